"""Command: the facts of a run, and what would be kept of a source of facts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json, Relation, language_of
from neuron_atlas.commands.outputs import Run
from neuron_atlas.commands.printing import Found

REPORTS = "data/facts_report"
KEYS = {
    "source": "the source's `name`, `version`, `reference`, `licence` and `files`; with `--lint` "
    "its name alone",
    "languages": "by language and relation: what data/facts_report has, with `n_asked` and "
    "`n_known`; with `--lint` by language: `n_facts`, `relations`, `notices`",
    "labels": "with `--lint`, by language: `n_rows`, `n_plain`, and `reasons` why a row alone is "
    "odd, each with `n` and `examples`; null for built-in facts",
    "with_tokenizer": "with `--lint`: whether labels were tried with a model's tokenizer",
}


def facts(
    relation: Relation = None,
    language: Annotated[
        str | None,
        language_of("By default all."),
    ] = None,
    lint: Annotated[
        bool,
        typer.Option(
            "--lint", help="Say what would be kept of the source that params.yaml names, and why."
        ),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="With --lint: another parameter, as for dvc exp run -S; repeat it for more.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="FOLDER",
            help="With --lint: the model that labels are tried with; by default data/model, if it "
            "is there.",
        ),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What was kept of the source, and what the model knows of it.

    The data card; with --lint, what would be kept of a source, in seconds and without a run.

    For example: neuron-atlas facts --lint --set facts.source=jsonl --set facts.path=my.jsonl
    """
    if not lint and (changes or model):
        raise typer.BadParameter("it goes with --lint", param_hint="--set, --model")
    run = outputs.find(data)
    if lint:
        from neuron_atlas.fact_cards import kept

        found = kept.lint(run.root, changes or [], model or run.place("data/model"))
        printing.show(found, as_json, _linted)
        return
    card = _card(run, relation, run.languages() if language is None else [run.language(language)])
    printing.show(card, as_json, _shown)


def _card(run: Run, relation: str | None, codes: list[str]) -> dict[str, Any]:
    from neuron_atlas.fact_cards import answered

    folder = run.need(REPORTS, "facts")
    if relation is not None:
        outputs.require(relation, run.relations(), what="relation")
    found = {}
    for code in codes:
        report = outputs.read_json(run.need(f"{REPORTS}/{code}.json", "facts"))
        recall = run.place(f"data/recall/{code}.parquet")
        asked = answered.counts(recall) if recall.is_file() else {}
        found[code] = {
            name: {**row, **(asked[name]._asdict() if name in asked else answered.NOT_ASKED)}
            for name, row in report["relations"].items()
            if relation in (None, name)
        }
    source = outputs.read_json(folder / f"{codes[0]}.json")["source"]
    return {"source": source, "languages": found}


def _shown(found: Found) -> Iterator[RenderableType]:
    source = found["source"]
    names = ("name", "version", "reference", "licence")
    yield printing.pairs({name: source.get(name) for name in names})
    columns = {"relation": "!", "facts": ">", "asked": ">", "known": ">", "answers": ">"}
    columns |= {"wordings": ">", "left out": ">", "example": "<"}
    for code, relations in found["languages"].items():
        yield printing.table(columns, _rows(relations), title=code)
    yield printing.prose(
        "Known: the model's likeliest candidate is right in more than half of the wordings. Facts "
        "that are not asked are kept for demonstrations."
    )
    for code, relations in found["languages"].items():
        total: Counter[str] = Counter()
        for row in relations.values():
            total.update(row["dropped"])
        reasons = ", ".join(f"{reason} {n}" for reason, n in total.most_common() if n)
        yield printing.prose(f"Left out in {code}: {reasons or 'nothing'}.")


def _rows(relations: Mapping[str, Any]) -> Iterator[list[object]]:
    for name, row in relations.items():
        counts = [row[f"n_{what}"] for what in ("facts", "asked", "known", "candidates")]
        left = sum(row["dropped"].values())
        yield [name, *counts, row["templates"]["n_used"], left, row.get("example")]


def _linted(found: Found) -> Iterator[RenderableType]:
    from neuron_atlas.fact_cards import kept

    yield from kept.lines(found)
