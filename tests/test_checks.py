"""Each mistake in params.yaml ends in one clear line, before a model is loaded."""

import re
import shlex
from functools import reduce
from io import StringIO
from operator import getitem
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import check
import scripts
from neuron_atlas.pipeline import store

ROOT = Path(__file__).parents[1]
TEMPLATES = Path("src/neuron_atlas/templates")
MISTAKES = [
    ("  zh: {}", "  xx: {}", "no templates for ['xx']; available: ['de', 'en'"),
    ("  relations:", "  relations: [capitol, capital]", "unknown: ['capitol']"),
    ("  relations:", "  relations: [capital]", "needs at least two relations"),
    ("  templates: src/", "  templates: no/", "no templates for ['en', 'fr'"),
    ("  allow: []", "  allow: [ambiguous]", "facts.allow.0: Input should be"),
    ("  min_languages: all", "  min_languages: most", "facts.min_languages"),
    ("  hub:", "  hub: {dataset: a/b}", "facts.hub.revision: Field required"),
    ("  k: 100\n", "  k: 36864\n", "relation_neurons.k must be in [1, 18432]"),
    ("  k: 100\n", "  k: 0\n", "relation_neurons.k: Input should be greater than or equal to 1"),
    ("  shots: 2\n", "  shots: 30\n", "leaves 6 to show"),
    ("  pooling: answer", "  pooling: last", "activations.pooling: Input should be 'answer'"),
    ("  max_facts: 8\n", "  max_fact: 8\n", "interference.max_facts: Field required"),
    ("  site: hidden", "  site: gate", "the MLP of gpt2 has no gate"),
    ("  pooling: answer", "  pooling: mean", "needs activations.pooling 'answer'"),
    ("  paraphrases: 3", "  paraphrases: 9", "fewer than 9 paraphrases"),
    ("  negligible: 0.05", "  negligible: -1.0", "effects.negligible"),
    ("  dtype: float32", "  dtype: int8", "model.dtype: Input should be 'bfloat16'"),
    ("  baseline: occlusion", "  baseline: eos", "attributions.baseline: Input should be 'zero'"),
    ("  rule: radau", "  rule: simpson", "attributions.rule: Input should be"),
    ("  steps:", "  steps: 0", "attributions.steps: Input should be greater than or equal"),
    ("  tau: 0.3", "  tau: 0.05", "selection.tau is 0.05, but attributions.floor 0.1 stores"),
    ("  k: 30\n", "  k: 101\n", "language_neurons.k is 101, but attributions.keep stores 100"),
    ("  min_languages: 3\n", "  min_languages: some\n", "language_neurons.min_languages"),
    (
        "  small: 0.22",
        "  small: 0.0",
        "degenerate_neurons.rule.small: Input should be greater than",
    ),
    ("  train: 0.75", "  train: 1.5", "degenerate_neurons.claims.train: Input should be less than"),
    ("  neurons: 10\n", "  neurons: 1\n", "editing.neurons: Input should be greater than or equal"),
    ("  n_sources: 2\n", "  n_sources: 11\n", "too few for a part of each of 11 sources"),
    ("  n_sources: 2", "  n_sources: 1", "editing.n_sources: Input should be greater than"),
    ("  rate: 0.002", "  rate: 0.0", "knowledge.negligible.rate"),
    (
        "  tau: 0.2\n",
        "  tau: 0.05\n",
        "degenerate_neurons.checking.tau is 0.05, but attributions.f",
    ),
    ("  candidates: 6", "  candidates: 101", "degenerate_neurons.search.candidates is 101, but at"),
    ("  beam: 1", "  beams: 1", "degenerate_neurons.search.beam: Field required"),
    ("  rate: 0.2\n", "  rate: 0.0\n", "editing.descent.rate: Input should be greater than 0"),
]


def prepared(folder: Path, params: str) -> Path:
    """A folder to run the stage in, with a model of which only the provenance exists."""
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    (folder / "src" / "neuron_atlas").mkdir(parents=True)
    (folder / TEMPLATES).symlink_to(ROOT / TEMPLATES)
    family = {"model_type": "gpt2", "gate": None, "up": "mlp.c_fc", "encoder": False}
    provenance = {"n_layers": 18, "n_neurons": 2048, "architecture": family}
    store.write_json(folder / "data" / "model" / "provenance.json", provenance)
    return folder


def shipped() -> str:
    return (ROOT / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_a_mistake_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, message: str
) -> None:
    assert right in shipped()
    monkeypatch.chdir(prepared(tmp_path, shipped().replace(right, wrong, 1)))
    with pytest.raises(ValueError, match=re.escape(message)):
        check.main(Path("data/model"), Path("data/check.json"))
    assert not Path("data/check.json").exists()


def test_a_mistake_is_one_clear_line(tmp_path: Path) -> None:
    right, wrong, message = MISTAKES[0]
    prepared(tmp_path, shipped().replace(right, wrong, 1))
    found = scripts.run(tmp_path, "check", "data/model", "data/check.json")
    assert found.returncode == 1
    assert message in found.stderr
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1


def presets() -> list[list[str]]:
    """The overrides of each `dvc exp run` among the papers' protocols."""
    text = (ROOT / "docs/protocols.md").read_text(encoding="utf-8")
    commands = text.replace("\\\n", " ").split("dvc exp run")[1:]
    return [shlex.split(command.split("\n")[0])[1::2] for command in commands]


@pytest.mark.parametrize("overrides", presets())
def test_the_protocols_of_the_papers_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str]
) -> None:
    assert len(overrides) >= 7
    yaml = YAML(typ="safe")
    values = yaml.load(shipped())
    for word in overrides:
        path, _, text = word.removeprefix("~").partition("=")
        *outer, key = path.split(".")
        part = reduce(getitem, outer, values)
        assert key in part
        if word.startswith("~"):
            del part[key]
        else:
            part[key] = yaml.load(text)
    text = StringIO()
    yaml.dump(values, text)
    monkeypatch.chdir(prepared(tmp_path, text.getvalue()))
    check.main(Path("data/model"), Path("data/check.json"))


def test_the_shipped_parameters_pass_and_give_a_constant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, params in (("a", shipped()), ("b", shipped().replace("  k: 100\n", "  k: 200\n", 1))):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(prepared(tmp_path / name, params))
        check.main(Path("data/model"), Path("data/check.json"))
    first, second = (tmp_path / name / "data" / "check.json" for name in "ab")
    assert first.read_bytes() == second.read_bytes()
