"""Command: the neurons of the run's sets, chosen by what is known of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.options import Data, Json, Relation, facts, language_of
from neuron_atlas.commands.printing import Found, between, number, signed

if TYPE_CHECKING:
    import pandas as pd

    from neuron_atlas.cards.reading import Cards

Kind = Literal["relation", "fact", "language_independent", "language_specific", "degenerate"]
POOLED = "pooled"
COLUMNS = {
    **{"neuron": "!", "kind": "!", "of": "<", "language": "!", "rank": ">", "score": ">"},
    **{"token at": ">", "sets": ">", "promotes": "<"},
}  # for people
KEY = {name: name for name in COLUMNS}
KEY |= {"neuron": "address", "of": "label", "token at": "token_rank", "sets": "n_sets"}
KEY |= {"promotes": "promoted"}
TOKENS = 5  # promoted tokens per neuron
KEYS = {
    "wanted": "the options, with what they are by default",
    "n_neurons": "how many neurons fit, shown or not",
    "neurons[].address": "`layer:index`",
    "neurons[].layer": "counted from 0",
    "neurons[].index": "in its layer, counted from 0",
    "neurons[].neuron": "both in one number: layer * width + index",
    "neurons[].kind": "of the set: relation, fact, language_independent, language_specific, "
    "degenerate",
    "neurons[].name": "of the set: the relation, the fact's id or the language",
    "neurons[].label": "of the set, for people",
    "neurons[].relation": "of the set; null for languages",
    "neurons[].language": "in which the set was found, `pooled` or null",
    "neurons[].rank": "in the set, from 0; null where there is no order",
    "neurons[].score": "in the set, such as its average precision; null where there is none",
    "neurons[].n_sets": "sets of any kind that it is in",
    "neurons[].massive": "whether its largest value is far outside those of its layer",
    "neurons[].promoted": "the first tokens that its value vector makes likelier",
    "neurons[].token_rank": "with `--promotes`: the token's place among them, from 0",
    "writes": "how far the relation's set promotes its answers: a row of "
    "data/cards/relations.parquet, or null",
    "in_the_run": "what the run found without the relation's neurons (`effect`), without random "
    "ones of equal push (`random`), and beyond them (`excess`, with its 95 % interval `low`, "
    "`high`), over `n_facts` unseen facts; or null",
}


@dataclass(frozen=True)
class Wanted:
    """Which neurons are wanted; None leaves a thing open."""

    relation: str | None
    language: str | None
    kind: Kind | None
    fact: str | None
    layer: int | None
    promotes: str | None

    @property
    def same(self) -> dict[str, Any]:
        """The columns of `memberships` that are given, with their values."""
        given = {"relation": self.relation, "language": self.language, "kind": self.kind}
        if self.fact is not None:
            given |= {"name": self.fact, "kind": self.kind or "fact"}
        elif self.relation is not None and self.kind is None:
            given["kind"] = "relation"
        if given["kind"] == "relation" and self.language is None:
            given["language"] = POOLED
        return {name: value for name, value in given.items() if value is not None}


def neurons(
    relation: Relation = None,
    language: Annotated[
        str | None,
        language_of(
            "Of the sets found in it; of relations' sets, by default those of all languages "
            "together (pooled)."
        ),
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option("--kind", help="Of sets; with --relation by default relation.")
    ] = None,
    fact: Annotated[
        str | None,
        typer.Option("--fact", metavar="ID", autocompletion=facts, help="Such as capital:FR."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option("--layer", metavar="N", min=0, help="Counted from 0.")
    ] = None,
    promotes: Annotated[
        str | None,
        typer.Option(
            "--promotes",
            metavar="TOKEN",
            help="A token that it makes likelier, by its value vector; case and spaces around it "
            "do not matter.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, help="Neurons to show; 0 shows all.")
    ] = 20,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List neurons of a relation, a fact, a language, a layer.

    All neurons that are in a set, or those that fit every option that is given.

    For example: neuron-atlas neurons --relation capital --language zh --top 20
    """
    run = outputs.find(data)
    wanted = Wanted(relation, language, kind, fact, layer, promotes)
    _require_known(run, wanted)
    folder = run.need(*outputs.CARDS)
    from neuron_atlas.cards.reading import read_cards

    cards = read_cards(folder)
    chosen = select(cards, wanted)
    found = {
        "wanted": wanted.same | {"layer": layer, "promotes": promotes},
        "n_neurons": len(chosen),
        "neurons": list(_rows(cards, chosen if top == 0 else chosen.head(top))),
        "writes": _writes(cards, wanted),
        "in_the_run": outputs.own_effect(run, relation) if relation else None,
    }
    printing.show(found, as_json, _shown)


def _require_known(run: outputs.Run, wanted: Wanted) -> None:
    if wanted.relation is not None:
        outputs.require(wanted.relation, run.relations(), what="relation")
    if wanted.language is not None:
        outputs.require(wanted.language, [*run.languages(), POOLED], what="language")


def select(cards: "Cards", wanted: Wanted) -> "pd.DataFrame":
    """Return the wanted neurons, best first.

    Returns:
        Rows of `memberships`: of each neuron that of its best rank among the wanted sets. With a
        token, the order is that of the token among those that a neuron promotes, in `token_rank`;
        with nothing that names sets, neurons that are in many come first.
    """
    table = cards.memberships
    for name, value in wanted.same.items():
        table = table[table[name] == value]
    if wanted.layer is not None:
        inside = cards.neurons.loc[cards.neurons["layer"] == wanted.layer, "neuron"]
        table = table[table["neuron"].isin(inside)]
    counts = cards.memberships.groupby("neuron").size()
    table = table.assign(n_sets=table["neuron"].map(counts))
    order, rising = ["rank", "name", "neuron"], [True, True, True]
    if wanted.promotes is not None:
        table = table.merge(_promoting(cards, wanted.promotes), on="neuron")
        order, rising = ["token_rank", *order], [True, *rising]
    elif not wanted.same:
        order, rising = ["n_sets", *order], [False, *rising]
    return table.sort_values(order, ascending=rising).drop_duplicates("neuron")


def _promoting(cards: "Cards", token: str) -> "pd.DataFrame":
    """Return the neurons that promote a token, and its best rank, from 0, among their tokens."""
    tokens = cards.tokens[cards.tokens["direction"] == "promoted"]
    same = tokens["token"].str.strip().str.casefold() == token.strip().casefold()
    return tokens[same].groupby("neuron")["rank"].min().rename("token_rank").reset_index()


def _rows(cards: "Cards", chosen: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Yield what is shown of each neuron, ready for JSON."""
    tokens = cards.tokens[cards.tokens["neuron"].isin(chosen["neuron"])]
    first = tokens[(tokens["direction"] == "promoted") & (tokens["script"] == "all")]
    promoted = first.sort_values("rank").groupby("neuron")["token"].apply(list).to_dict()
    massive = cards.neurons.set_index("neuron")["massive"]
    plain = chosen.astype(object).where(chosen.notna(), None)
    for row in plain.to_dict("records"):
        neuron = row.pop("neuron")
        layer, index = divmod(int(neuron), int(cards.meta["n_neurons"]))
        place = {"address": f"{layer}:{index}", "layer": layer, "index": index, "neuron": neuron}
        about = {"massive": bool(massive[neuron]), "promoted": promoted.get(neuron, [])[:TOKENS]}
        yield place | {str(name): value for name, value in row.items()} | about


def _writes(cards: "Cards", wanted: Wanted) -> dict[str, Any] | None:
    """Return how far a relation's set writes its answers, ready for JSON."""
    if wanted.relation is None or wanted.same["kind"] != "relation":
        return None
    table = cards.relations
    language = wanted.same["language"]
    own = table[(table["relation"] == wanted.relation) & (table["language"] == language)]
    if own.empty:
        return None
    row = own.astype(object).where(own.notna(), None).iloc[0]
    return {str(name): value for name, value in row.to_dict().items()}


def _shown(found: Found) -> Iterator[RenderableType]:
    rows = found["neurons"]
    if not found["wanted"]["promotes"]:
        columns = {name: kind for name, kind in COLUMNS.items() if name != "token at"}
    else:
        columns = dict(COLUMNS)
    same = [
        name for name in ("kind", "of", "language") if len({one[KEY[name]] for one in rows}) == 1
    ]
    title = ", ".join(str(rows[0][KEY[name]] or printing.NONE) for name in same)
    shown = {name: kind for name, kind in columns.items() if name not in same}
    yield printing.table(shown, (_cells(one, shown) for one in rows), title=title or None)
    more = found["n_neurons"] - len(rows)
    said = f"{len(rows)} of {found['n_neurons']} neurons; --top 0 shows all." if more else ""
    yield printing.prose(" ".join(filter(None, [said, *_notes(found)])))


def _cells(one: Mapping[str, Any], columns: Iterable[str]) -> list[object]:
    made: dict[str, Any] = {name: one.get(key) for name, key in KEY.items()}
    made["neuron"] = f"{one['address']}{' (massive)' if one['massive'] else ''}"
    made["score"] = number(one["score"], 3)
    for name in ("rank", "token at"):
        made[name] = None if made[name] is None else made[name] + 1
    made["promotes"] = "  ".join(map(printing.token, one["promoted"]))
    return [made[name] for name in columns]


def _notes(found: Found) -> Iterator[str]:
    if not found["neurons"]:
        yield "No neuron in a set of this run fits these options."
        return
    yield ("“Promotes”: tokens that it makes likelier where its relation is asked; ␣ is a space.")
    if writes := found["writes"]:
        yield (
            f"The set's promoted tokens begin answers of {writes['relation']} rather than of other "
            f"relations with chance {number(writes['auc'])} "
            f"{between(writes['low'], writes['high'])}; random neurons: {number(writes['random'])}."
        )
    if run := found["in_the_run"]:
        yield (
            "All languages together: without its neurons of each language "
            f"{run['n_facts']} unseen facts of {run['relation']} change by "
            f"{signed(run['effect'])} nats, without random ones of "
            f"equal push by {signed(run['random'])}: {signed(run['excess'])} "
            f"{between(run['low'], run['high'])} beyond them."
        )
