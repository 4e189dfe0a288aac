"""Command: a first finding within minutes, as a DVC experiment in a folder apart.

It runs the whole pipeline on few facts: `tools/quick.yaml` has the sizes. The working copy's data,
metrics, dvc.lock and params.yaml stay as they are; the experiment `quick` is beside others in
`make compare`, and a run with the same parameters finds its results in DVC's cache.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.repo import Repo

from neuron_atlas.pipeline import params

NAME = "quick"
SETTINGS = Path(__file__).with_name("quick.yaml")
OUT = Path(".work/quick")
LANGUAGES = "languages"
CAVEAT = (
    "This is a look at how things work and no result: the facts are too few to decide anything, so "
    "quote neither its verdicts nor its p-values. `make repro` runs the sizes that can decide."
)


def overrides(settings: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Return what `dvc exp run -S` takes to set the settings.

    Args:
        settings: `languages`, and by section the keys to set.
        present: The languages that params.yaml has, with their settings.
    """
    wanted = settings[LANGUAGES]
    found = [f"~{LANGUAGES}.{code}" for code in present if code not in wanted]
    found += [f"+{LANGUAGES}.{code}={{}}" for code in wanted if code not in present]
    sections = {name: part for name, part in settings.items() if name != LANGUAGES}
    return found + [f"{key}={_text(value)}" for key, value in _leaves(sections)]


def _leaves(part: Mapping[str, Any], *outer: str) -> Iterator[tuple[str, Any]]:
    for key, value in part.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, *outer, key)
        else:
            yield ".".join((*outer, key)), value


def _text(value: Any) -> str:
    """Return a value as Hydra reads it; lists and numbers are written as in JSON."""
    return json.dumps(value, ensure_ascii=False)


def run() -> None:
    """Run the experiment in place of an earlier one of the name.

    Raises:
        SystemExit: a stage failed.
    """
    with Repo() as repo:
        if NAME in {name for names in repo.experiments.ls().values() for name, _ in names}:
            repo.experiments.remove([NAME])
    chosen = overrides(params.read_yaml(SETTINGS), params.read_yaml(params.PARAMS)[LANGUAGES])
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", NAME]
    for override in chosen:
        command += ["--set-param", override]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit("error: the quick run failed; what it says above names the stage")


def finding(effects: Mapping[str, Mapping[str, float]]) -> str:
    """Say what switching relation neurons off did, beside random neurons.

    Args:
        effects: The part `interference` of metrics/summary.json; nats.
    """
    if not {"within", "random"} <= effects.keys():
        return "too few relations are answered right to measure an effect"
    own, random = (effects[name]["mean"] for name in ("within", "random"))
    return (
        "switching a relation's neurons off changes the log-probability of its answers by "
        f"{own:+.2f} nats on average; random neurons that push as hard, by {random:+.2f}"
    )


def main() -> None:
    """Run, put the pages in `.work/quick/`, and print what was found and where they are."""
    start = time.monotonic()
    run()
    files = DVCFileSystem(rev=NAME)
    for name in ("index.html", "facts.html"):
        OUT.mkdir(parents=True, exist_ok=True)
        files.get_file(f"report/{name}", str(OUT / name))
    summary = json.loads(files.read_text("metrics/summary.json"))
    print(f"\n{time.monotonic() - start:.0f} s: {finding(summary['interference'])}.")
    print(f"{CAVEAT}\nThe page: {OUT / 'index.html'}")


if __name__ == "__main__":
    main()
