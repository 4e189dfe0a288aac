"""What would be kept of a fact source, what not and why: the lint of a source, without a run."""

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides

from neuron_atlas.builtin_facts import builtin
from neuron_atlas.fact_sets import cleaning, reading, tables
from neuron_atlas.fact_sets.settings import Facts
from neuron_atlas.fact_sets.tables import LanguageFacts
from neuron_atlas.pipeline import params, store
from neuron_atlas.sources import readers

EXAMPLES = 3  # labels per reason
Report = Mapping[str, Any]


def lint(root: Path, changes: Sequence[str], model: Path) -> dict[str, Any]:
    """Read a fact source as the stage `facts` does, and say what is kept.

    Args:
        root: The folder of params.yaml.
        changes: Other values of parameters, as for `dvc exp run -S`; each text holds one or
            several, quoted as in a shell. Paths are relative to `root`.
        model: A folder that may have `tokenizer.json`, which labels are tried with, and
            `provenance.json`, which says whether the model is an encoder.

    Returns:
        `source`; `languages`, with the facts, relations and notices of each; `labels`, of each
        language the reasons for which a row alone is dropped or noted, with examples (None for
        built-in facts); `with_tokenizer`, whether labels were tried.

    Raises:
        ValueError: a parameter or the source is refused, or nothing is left of it.
    """
    model, split = model.absolute(), [word for text in changes for word in shlex.split(text)]
    with tempfile.TemporaryDirectory() as folder, chdir(root):
        path = Path(folder) / params.PARAMS.name
        shutil.copy2(params.PARAMS, path)
        try:
            if split:
                apply_overrides(path, split)
        except DvcException as error:
            raise ValueError(str(error)) from error
        return _report(path, model)


def _report(path: Path, model: Path) -> dict[str, Any]:
    facts, languages = params.load("facts", Facts, path), params.load_languages(path)
    own = facts.source != "builtin"
    return {
        "source": facts.source,
        "with_tokenizer": (model / "tokenizer.json").exists(),
        "labels": _labels(facts, languages, model) if own else None,
        "languages": {
            code: {
                "n_facts": sum(row["n_facts"] for row in one.report["relations"].values()),
                "relations": one.report["relations"],
                "notices": list(one.report.get("notices", ())),
            }
            for code, one in _made(facts, languages, path, model)
        },
    }


def _made(
    facts: Facts, languages: Sequence[str], path: Path, model: Path
) -> Iterator[tuple[str, LanguageFacts]]:
    seed, recall = params.load_seed(path), params.read_yaml(path)["recall"]
    if facts.source == "builtin":
        yield from builtin.make(facts, languages, seed=seed)
        return
    second = recall["demonstrations"]
    shots = max(recall["shots"], second["shots"] if second["blocks"] else 0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store.write_json(folder / "provenance.json", _provenance(model))
        if (model / "tokenizer.json").exists():
            (folder / "tokenizer.json").symlink_to((model / "tokenizer.json").absolute())
        yield from tables.make(facts, languages, seed=seed, shots=shots, model_folder=folder)


def _provenance(model: Path) -> dict[str, Any]:
    file = model / "provenance.json"
    return store.read_json(file) if file.exists() else {"architecture": {"encoder": False}}


def _labels(facts: Facts, languages: Sequence[str], model: Path) -> dict[str, Any]:
    """Return some labels for each reason for which a row alone, whatever the others, is dropped."""
    tried = reading.of_model(model, required=False)
    found = {}
    for code, raw in readers.read_source(facts, languages, facts.relations).items():
        table = tables.comparable(raw.table)
        repeated = cleaning.repeated(table)
        odd = cleaning.drop_reasons(table[repeated == ""], tried, facts.max_answer_tokens)
        why = repeated.where(repeated != "", odd.dropped.reindex(table.index, fill_value=""))
        why = why.where(why != "", odd.noted.reindex(table.index, fill_value=""))
        reasons = dict(_examples(table, why))
        found[code] = {"n_rows": len(table), "n_plain": int((why == "").sum()), "reasons": reasons}
    return found


def _examples(table: pd.DataFrame, why: pd.Series) -> Iterator[tuple[str, dict[str, Any]]]:
    for reason, rows in table[why != ""].groupby(why[why != ""], sort=True):
        pairs = zip(rows["subject_label"], rows["object_label"], strict=True)
        yield str(reason), {"n": len(rows), "examples": [list(p) for p in list(pairs)[:EXAMPLES]]}


def lines(report: Report) -> Iterator[str]:
    """Yield the lines that people read."""
    if report["labels"] is not None:
        known = "tried with its tokenizer" if report["with_tokenizer"] else "without a tokenizer"
        yield f"labels, {known}:"
        for code, one in report["labels"].items():
            yield f"  {code}: {one['n_rows']} rows read; {one['n_plain']} have nothing odd"
            for reason, some in one["reasons"].items():
                shown = "; ".join(f"{s!r} - {o!r}" for s, o in some["examples"])
                yield f"    {reason}: {some['n']}, such as {shown}"
    for code, one in report["languages"].items():
        yield from _language(code, one)


def _language(code: str, one: Report) -> Iterator[str]:
    yield f"{code}: {one['n_facts']} facts"
    for name, row in one["relations"].items():
        yield f"  {name}: {row['n_facts']} facts, {row['n_candidates']} answers" + _left_out(
            row["dropped"]
        )
        templates = row["templates"]
        left = _left_out(templates.get("left_out", {}))
        yield f"    {templates['n_used']} templates{left}; {row.get('example')}"
    yield from (f"  notice: {notice}" for notice in one["notices"])


def _left_out(counts: Mapping[str, int]) -> str:
    said = ", ".join(f"{reason} {n}" for reason, n in counts.items() if n)
    return f"; left out: {said}" if said else ""
