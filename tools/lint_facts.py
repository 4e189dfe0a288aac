"""Command: print what would be kept of a fact source, what not and why, without any model.

`make lint-facts` reads what params.yaml names; SET='facts.source=jsonl facts.path=my.jsonl' another
source, written as for `dvc exp run -S`. MODEL=<folder> has the tokenizer that labels are
tried with and says whether the model is an encoder; without it, neither is known.
"""

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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

SHOWN = 3  # labels per reason


def card(path: Path, model: Path) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        path: params.yaml.
        model: A folder that may have `tokenizer.json` and `provenance.json`.

    Raises:
        ValueError: a parameter or the source is refused, or nothing is left of it.
    """
    facts, languages = params.load("facts", Facts, path), params.load_languages(path)
    if facts.source != "builtin":
        yield from _suspicious(facts, languages, model)
    for code, one in _made(facts, languages, path, model):
        yield from _language(code, one)


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


def _suspicious(facts: Facts, languages: Sequence[str], model: Path) -> Iterator[str]:
    """Yield some labels for each reason for which a row alone, whatever the others, is dropped."""
    tried = reading.of_model(model, required=False)
    known = "tried with its tokenizer" if tried.tokenizer else "without a tokenizer"
    yield f"labels, {known}:"
    for code, raw in readers.read_source(facts, languages, facts.relations).items():
        table = tables.comparable(raw.table)
        repeated = cleaning.repeated(table)
        found = cleaning.drop_reasons(table[repeated == ""], tried, facts.max_answer_tokens)
        why = repeated.where(repeated != "", found.dropped.reindex(table.index, fill_value=""))
        why = why.where(why != "", found.noted.reindex(table.index, fill_value=""))
        yield f"  {code}: {len(table)} rows read; {int((why == '').sum())} have nothing odd"
        yield from _examples(table, why)


def _examples(table: pd.DataFrame, why: pd.Series) -> Iterator[str]:
    for reason, rows in table[why != ""].groupby(why[why != ""], sort=True):
        pairs = zip(rows["subject_label"], rows["object_label"], strict=True)
        shown = "; ".join(f"{s!r} - {o!r}" for s, o in list(pairs)[:SHOWN])
        yield f"    {reason}: {len(rows)}, such as {shown}"


def _language(code: str, one: LanguageFacts) -> Iterator[str]:
    relations = one.report["relations"]
    n = sum(row["n_facts"] for row in relations.values())
    yield f"{code}: {n} facts"
    for name, row in relations.items():
        dropped = {reason: k for reason, k in row["dropped"].items() if k}
        yield f"  {name}: {row['n_facts']} facts, {row['n_candidates']} answers{_counts(dropped)}"
        templates = row["templates"]
        left = {reason: k for reason, k in templates.get("left_out", {}).items() if k}
        yield f"    {templates['n_used']} templates{_counts(left)}; {row.get('example')}"
    yield from (f"  notice: {notice}" for notice in one.report.get("notices", ()))


def _counts(left_out: Mapping[str, int]) -> str:
    said = ", ".join(f"{reason} {n}" for reason, n in left_out.items())
    return f"; left out: {said}" if said else ""


def main(arguments: Sequence[str]) -> int:
    """Print the card; 1 if the source is refused."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--set", default="", help="as for dvc exp run -S, quoted as in a shell")
    options.add_argument("--model", type=Path, default=Path("data/model"))
    chosen = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        shutil.copy2(params.PARAMS, path)
        try:
            if chosen.set:
                apply_overrides(path, shlex.split(chosen.set))
            for line in card(path, chosen.model):
                print(line)
        except (DvcException, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
