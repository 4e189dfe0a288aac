"""The real pipeline, run by DVC on a toy model: complete, repeatable, idle when nothing changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from neuron_atlas.model import LanguageModel
from saved import save
from toy import RELATIONS

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "fr")
SMALL = {
    "facts": {
        "relations": list(RELATIONS),
        "max_per_relation": 12,
        "max_candidates": 12,
        "max_majority_share": 0.5,
        "development_share": 0.3,
        "seed": 0,
    },
    "recall": {"shots": 0, "n_reference": 4},
    "relation_neurons": {"k": 8, "min_facts": 2, "n_permutations": 3, "n_null_neurons": 8},
    "interference": {"max_facts": 3, "n_draws": 4, "n_dose_draws": 2, "doses": [0.5]},
    "transfer": {"max_facts": 3, "n_draws": 3},
    "effects": {"n_resamples": 100},
}


def copy_of_the_repository(folder: Path, model: Path) -> Path:
    """Copy what git would commit, with parameters for a toy model in two languages."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("metrics/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    params["languages"] = {code: {} for code in LANGUAGES}
    params["model"] = {
        "source": f"path:{model}",
        "revision": None,
        "sha256": None,
        "dtype": "float32",
    }
    for section, values in SMALL.items():
        params[section].update(values)
    yaml.dump(params, folder / "params.yaml")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Start"]):
        run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", *command)
    return folder


def run(folder: Path, program: str, *words: str) -> str:
    """Run a program and return its standard output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {
        f"GIT_{who}_{what}": "t@localhost"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    environment = os.environ | identity | {"PATH": path, "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (
        f"{program} {' '.join(words)}\n{done.stdout}\n{done.stderr[-3000:]}"
    )
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, toy_decoder: LanguageModel) -> Path:
    model = save(toy_decoder, tmp_path_factory.mktemp("model") / "toy")
    folder = copy_of_the_repository(tmp_path_factory.mktemp("repository"), model)
    run(folder, "dvc", "repro")
    return folder


def test_the_results_are_complete(repository: Path) -> None:
    summary = json.loads((repository / "metrics" / "summary.json").read_text(encoding="utf-8"))
    assert summary["facts"]["languages"] == list(LANGUAGES)
    assert summary["facts"]["by_language"]["en"]["typed_accuracy"] > 0.8  # trained on these facts
    assert set(summary["verdicts"]) == {
        "relation_neurons_exist",
        "cumulativity",
        "versatility_relations",
        "versatility_languages",
        "interference",
    }
    assert (repository / "report" / "index.html").read_text(encoding="utf-8").count("<svg") >= 5
    assert not (repository / ".work").exists() or not list((repository / ".work").iterdir())


def test_nothing_runs_again(repository: Path) -> None:
    assert "Running stage" not in run(repository, "dvc", "repro")
    assert json.loads(run(repository, "dvc", "status", "--json")) == {}


def test_a_forced_run_gives_the_same_bytes(repository: Path) -> None:
    lock = (repository / "dvc.lock").read_bytes()
    assert "Running stage 'recall@en'" in run(repository, "dvc", "repro", "--force")
    assert (repository / "dvc.lock").read_bytes() == lock


def test_an_experiment_with_other_sets_does_not_extract_again(repository: Path) -> None:
    run(repository, "git", "add", "-A")
    run(repository, "git", "commit", "-q", "-m", "Results")
    output = run(repository, "dvc", "exp", "run", "-S", "relation_neurons.k=6")
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert {"check", "relation_neurons", "interference@en", "report"} <= ran
    assert not ran & {"model", "facts@en", "recall@en", "activations@en", "consistency"}
    shown = run(repository, "dvc", "exp", "show", "--csv")
    assert "relation_neurons.k" in shown.splitlines()[0]
    assert "verdicts" in run(repository, "dvc", "metrics", "show", "--json")
    assert "relation_neurons.k" in run(repository, "dvc", "params", "diff")
