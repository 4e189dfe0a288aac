"""Command: the card of one neuron."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json
from neuron_atlas.commands.printing import Fitting, Found, between, number, percent, signed

KEYS = {
    "address": "`layer:index`",
    "neuron": "both in one number: layer * width + index",
    "layer": "counted from 0",
    "index": "in its layer, counted from 0",
    "massive": "whether its largest value is far outside those of its layer",
    "size": "mean absolute value",
    "n_relation": "relations' sets that it is in",
    "n_fact": "the same of facts",
    "n_language_independent": "the same of language-independent neurons of facts",
    "n_language_specific": "the same of languages",
    "n_degenerate": "the same of degenerate neurons",
    "best_relation": "the relation in whose set it ranks best",
    "best_language": "the language of that set",
    "memberships": "its sets: rows of data/cards/memberships.parquet",
    "scores": "by language and relation: rows of data/cards/scores.parquet",
    "tokens": "that it promotes and suppresses: rows of data/cards/tokens.parquet",
    "scripts": "their shares by script: rows of data/cards/scripts.parquet",
    "prompts": "on which its value is largest and smallest: rows of data/cards/prompts.parquet",
    "effects": "of it alone: rows of data/cards/effects.parquet",
    "partners": "rows of data/cards/partners.parquet, with `address`",
    "writes": "whether it promotes a relation's answers: rows of data/cards/writes.parquet",
}
KINDS = {
    "n_relation": "relation",
    "n_fact": "fact",
    "n_language_independent": "language-independent",
    "n_language_specific": "language-specific",
    "n_degenerate": "degenerate",
}
Rows = Sequence[Mapping[str, Any]]


def neuron(
    address: Annotated[
        str, typer.Argument(metavar="LAYER:INDEX", help="Such as 12:149.", show_default=False)
    ],
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Rows per table at most.")
    ] = 8,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what is known of one neuron: its card.

    Its sets and scores, the tokens that it promotes and suppresses, the prompts on which its value
    is largest and smallest, its effect alone, its partners.

    For example: neuron-atlas neuron 12:149
    """
    folder = outputs.find(data).need(*outputs.CARDS)
    from neuron_atlas.cards.reading import card, parse_address, read_cards

    cards = read_cards(folder)
    found = card(cards, parse_address(address, cards.meta))
    printing.show(found, as_json, lambda one: _shown(one, rows))


def _shown(found: Found, n: int) -> Iterator[RenderableType]:
    yield printing.pairs(dict(_about(found)))
    for name, made in TABLES.items():
        if found[name]:
            yield made(found[name], n)


def _about(found: Found) -> Iterator[tuple[str, object]]:
    yield (
        "neuron",
        found["address"] + (" (massive: outside the range of others)" * found["massive"]),
    )
    sets = [f"{found[key]} {name}" for key, name in KINDS.items() if found[key]]
    yield "in sets", ", ".join(sets)
    best = [found["best_relation"], found["best_language"] and f"({found['best_language']})"]
    yield "best for", " ".join(filter(None, best))
    yield "mean |value|", number(found["size"], 3)
    for direction in ("promoted", "suppressed"):
        first = [t for t in _of(found["tokens"], direction) if t["script"] == "all"]
        words = [printing.token(t["token"]) for t in sorted(first, key=lambda t: t["rank"])]
        yield ("promotes" if direction == "promoted" else "suppresses"), "  ".join(words[:12])
    shares = sorted(_of(found["scripts"], "promoted"), key=lambda s: -s["share"])[:5]
    yield "promotes in", ", ".join(f"{s['script']} {percent(s['share'])} %" for s in shares)


def _of(rows: Rows, direction: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["direction"] == direction]


def _table(
    title: str, columns: Mapping[str, str], rows: Sequence[Sequence[object]], n: int
) -> Fitting:
    more = f", {n} of {len(rows)}" if len(rows) > n else ""
    return printing.table(columns, rows[:n], title=title + more)


def _memberships(rows: Rows, n: int) -> Fitting:
    columns = {"kind": "!", "of": "<", "language": "!", "rank": ">", "score": ">"}
    ranked = sorted(rows, key=lambda r: (r["rank"] is None, r["rank"] or 0))
    cells = [
        [r["kind"], r["label"], r["language"], _place(r["rank"]), number(r["score"], 3)]
        for r in ranked
    ]
    return _table("Sets", columns, cells, n)


def _place(rank: int | None) -> int | None:
    """Return a rank as people count."""
    return None if rank is None else rank + 1


def _scores(rows: Rows, n: int) -> Fitting:
    columns = {"relation": "<", "language": "!", "average precision": ">"}
    columns |= {"mean there": ">", "elsewhere": ">"}
    best = sorted(rows, key=lambda r: -(r["average_precision"] or 0))
    cells = [
        [
            r["relation"],
            r["language"],
            number(r["average_precision"], 3),
            signed(r["mean"], 3),
            signed(r["elsewhere"], 3),
        ]
        for r in best
    ]
    return _table("Scores", columns, cells, n)


def _prompts(rows: Rows, n: int) -> Fitting:
    columns = {"end": "!", "value": ">", "language": "!", "prompt": "<", "answer": "<"}
    cells = [
        [r["end"], signed(r["value"]), r["language"], r["prompt"], r["answer"]]
        for r in sorted(rows, key=lambda r: (r["rank"], r["end"]))
    ]
    return _table("Prompts on which its value is largest and smallest", columns, cells, n)


def _effects(rows: Rows, n: int) -> Fitting:
    columns = {"measured by": "!", "of": "<", "language": "!", "effect": ">", "95 %": ">"}
    cells = [
        [
            r["measured_by"],
            r["fact"] or r["relation"],
            r["language"],
            f"{signed(r['effect'], 3)} {r['unit']}",
            between(r["low"], r["high"], 3) or None,
        ]
        for r in sorted(rows, key=lambda r: r["effect"] or 0)
    ]
    return _table("Effect alone: the right answer without it", columns, cells, n)


def _writes(rows: Rows, n: int) -> Fitting:
    columns = {"relation": "<", "language": "!", "chance": ">", "random": ">", "p": ">"}
    cells = [
        [r["relation"], r["language"], *(number(r[k], 3) for k in ("auc", "random", "p_value"))]
        for r in sorted(rows, key=lambda r: -(r["auc"] or 0))
    ]
    title = (
        "Chance that it promotes beginnings of a relation's answers above others' (p of it alone)"
    )
    return _table(title, columns, cells, n)


def _partners(rows: Rows, n: int) -> Fitting:
    columns = {"partner": "!", "kind": "!", "in common": ">", "by chance": ">"}
    columns |= {"interaction, nats": ">"}
    cells = [
        [
            r["address"],
            r["kind"],
            r["count"],
            number(r["expected"]),
            signed(r["interaction"]),
        ]
        for r in sorted(rows, key=lambda r: -(r["count"] or 0))
    ]
    return _table("Partners", columns, cells, n)


TABLES: Mapping[str, Callable[[Rows, int], Fitting]] = {
    "memberships": _memberships,
    "scores": _scores,
    "prompts": _prompts,
    "effects": _effects,
    "writes": _writes,
    "partners": _partners,
}
