"""A copy of this repository, in which tests run the real pipeline on a toy model."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML

import warm
from toy import RELATIONS

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "fr", "de")
FEWER = LANGUAGES[:2]  # where runs of a whole pipeline are many
SMALL: dict[str, dict[str, Any]] = {
    "facts": {
        "paraphrases": 3,  # those that the toy model is trained on
        "relations": list(RELATIONS),
        "max_per_relation": 12,
        "max_candidates": 12,
        "max_majority_share": 0.5,
        "development_share": 0.3,
    },
    "recall": {"shots": 0, "n_reference": 4},
    "relation_neurons": {"k": 8, "min_facts": 2, "min_positives": 2, "n_chimeras": 19},
    "interference": {
        **{"max_facts": 3, "max_seen": 1, "n_others": 2},
        **{"n_draws": 4, "n_across_draws": 2, "n_dose_draws": 2},
        **{"doses": [0.5], "pushes": [0.5]},
    },
    "attribution_methods": {"top": 5, "per_layer": 1, "mean_prompts": 2, "largest": 8},
    "selection": {"n_unrelated": 2, "n_draws": 2},
    "language_neurons": {"k": 10, "min_languages": 2, "n_permutations": 19, "n_draws": 2},
    "language_specific": {
        **{"max_tokens": 600, "min_tokens": 30, "share": 0.04},
        **{"n_texts": 3, "n_facts": 3},
    },
    "degenerate_neurons": {
        "search": {"candidates": 4, "random": 3},
        "use": {"n_facts": 2, "n_draws": 3},
        "checking": {"n_draws": 2},
    },
    "editing": {
        **{"max_facts": 1, "neurons": 4, "n_draws": 2, "descent": {"steps": 3}},
        "baselines": {"layers": 2, "n_facts": 1, "n_tokens": 64},
    },
    "knowledge": {"n_resamples": 100},
    "cards": {"tokens": 4, "tokens_counted": 20, "effect_facts": 1, "n_draws": 99},
}


def copied(folder: Path, model: Path, *, languages: Sequence[str] = LANGUAGES) -> Path:
    """Copy what git would commit, with parameters for a toy model."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        result = name.startswith(("metrics/", "dvc.lock")) and name != "metrics/calibration.json"
        if (ROOT / name).is_file() and not result:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    params["languages"] = {code: {} for code in languages}
    params["model"] = {
        "source": f"path:{model}",
        "path": str(model),
        "revision": None,
        "sha256": None,
        "dtype": "float32",
    }
    update(params, SMALL)
    yaml.dump(params, folder / "params.yaml")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Start"]):
        run(folder, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", *command)
    return folder


def update(params: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    """Set parameters, those of nested parts too; what `values` does not name stays."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            update(params[key], value)
        else:
            params[key] = value


def knobs(values: Mapping[str, Any], *outer: str) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of everything in params.yaml that is no mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from knobs(value, *outer, key)
        else:
            yield ".".join((*outer, key)), value


def environment(**variables: str) -> dict[str, str]:
    """Return what programs run in: this Python's tools first, one thread, nothing downloaded."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {
        f"GIT_{who}_{what}": "t@localhost"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    every = os.environ | identity | {"PATH": path} | warm.ALONE | variables
    return {name: value for name, value in every.items() if name != "PYTHONPATH"}


def tried(
    folder: Path, program: str, *words: str, cold: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that may fail, with additional environment variables.

    DVC and scripts are forked from a process that is `warm`, unless they are to start `cold`.
    """
    if not cold and warm.takes([program, *words]):
        return warm.run([program, *words], folder, environment(**variables))
    return subprocess.run(
        [program, *words],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder: Path, program: str, *words: str, cold: bool = False, **variables: str) -> str:
    """Run a program that has to succeed and return its standard output; `tried` says how."""
    done = tried(folder, program, *words, cold=cold, **variables)
    assert done.returncode == 0, (
        f"{program} {' '.join(words)}\n{done.stdout}\n{done.stderr[-3000:]}"
    )
    return done.stdout


Clone = Callable[..., Path]  # `cloned` of a known origin, to a folder of that name


def cloned(
    origin: Path, folder: Path, *, cache: Literal["shared", "own", "empty"] = "empty"
) -> Path:
    """Clone a repository with git, and bring its data from a cache.

    Args:
        origin: A repository whose pipeline has run; everything is committed.
        folder: What to make.
        cache: `shared` with `origin` (what a run adds lands there too), its `own` copy of all that
            is there (run-cache included), or `empty`, and then no data comes.
    """
    run(origin, "git", "clone", "-q", str(origin), str(folder))
    if cache == "shared":
        run(folder, "dvc", "cache", "dir", "--local", str(origin / ".dvc" / "cache"))
    if cache == "own":
        shutil.copytree(origin / ".dvc" / "cache", folder / ".dvc" / "cache")
    if cache != "empty":
        run(folder, "dvc", "checkout")
    return folder


def ran(output: str) -> set[str]:
    """Return the names of the stages that `dvc repro` or `dvc exp run` says it ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def stages(folder: Path, file: str) -> set[str]:
    """Return the names of the stages in `dvc.yaml`, or in `dvc.lock` of those that ran."""
    found = YAML(typ="safe").load(folder / file)["stages"]
    return {name.split("@")[0] for name in found}
