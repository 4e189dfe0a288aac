"""Command: what the model answers without some neurons, beside random neurons."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.ask import Candidates, Prompt, listed
from neuron_atlas.commands.options import Data, Json, Relation, Seed, language_of
from neuron_atlas.commands.outputs import Run
from neuron_atlas.commands.printing import Found, between, number, signed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from neuron_atlas.neurons.relation_sets import RelationSets

POOLED = "pooled"
BESIDE = {
    "before": "its log-probability without any change",
    "after": "the same with the neurons changed",
    "change": "`after` less `before`",
    "same_number": "the change under random sets of as many neurons: `mean`, `lowest`, `highest`, "
    "and `n_as_far`, how many change it as much",
    "equal_push": "the same under random sets of equal push; null for edits",
}
PUSHES = {
    "push": "of the neurons on this prompt: how far they move the residual stream",
    "push_of_same_number": "mean push of the random sets of as many neurons",
    "push_is_equal": "whether all random sets of equal push have it, within a hundredth",
}
KEYS = {
    "prompt": "as it was asked, without spaces at its end",
    "relation": "whose neurons were switched off, or null",
    "source": "the language whose set and means were taken, or `pooled`",
    "neurons": "as `layer:index`",
    "set_to": "`mean` or `zero`",
    "given": "whether the answers were given; else they are the likeliest next tokens, with and "
    "without the neurons",
    "answers[].answer": "the candidate, or the token with its spaces",
    **{f"answers[].{name}": meaning for name, meaning in BESIDE.items()},
    **PUSHES,
    "n_draws": "random sets of each kind",
    "seed": "of the draws",
    "in_the_run": "as of `neurons`",
}


Value = Literal["mean", "zero"]
Neurons = Annotated[
    str | None,
    typer.Option(
        "--neurons", metavar="LAYER:INDEX,...", help="These neurons, such as 12:149,14:9."
    ),
]
Number = Annotated[
    int, typer.Option("--draws", metavar="N", min=2, max=1000, help="Random sets of each kind.")
]


def ablate(
    prompt: Prompt,
    relation: Relation = None,
    neurons: Neurons = None,
    language: Annotated[
        str | None,
        language_of("Whose set and means are taken; by default those of all languages together."),
    ] = None,
    candidates: Candidates = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=1, max=50, help="Next tokens to show.")
    ] = 5,
    value: Annotated[Value, typer.Option("--value", help="What the neurons are set to.")] = "mean",
    draws: Number = 20,
    seed: Seed = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Switch neurons off and ask, beside random neurons.

    Neurons of a relation, or given ones, are set to their mean or to 0 at the answer's position.
    Beside what that does stand random neurons of the same layers: as many of like activation, and
    as many that push the model equally hard.

    For example: neuron-atlas ablate --relation capital "The capital of France is"
    """
    if (relation is None) == (neurons is None):
        raise typer.BadParameter("name either a relation or neurons", param_hint="--relation")
    run, given = outputs.find(data), listed(candidates)
    source = outputs.require(language, run.languages(), what="language") if language else POOLED
    folder, like = run.need(*outputs.MODEL), outputs.read_sets(run, source)
    chosen = _chosen(like, relation, neurons)
    from neuron_atlas.live import asking, beside_random, loading

    how = beside_random.Draws(like, n=draws, seed=seed, site=outputs.site(run))
    change = beside_random.Change(_off(run, source, value, like))
    lm = loading.load(folder)
    if given:
        asked = asking.question(lm, prompt, given)
    else:
        off = beside_random.opened(lm, chosen, change, how.site)
        asked = asking.likeliest(lm, prompt, top, off=off)
    effects, pushes = beside_random.measure(lm, asked, chosen, change, how)
    found = {
        "prompt": asked.prompt,
        "relation": relation,
        "source": source,
        "neurons": outputs.addresses(chosen, like),
        "set_to": value,
        "given": asked.given,
        "answers": [{"answer": a, **effects.as_dict(i)} for i, a in enumerate(asked.labels)],
        **pushes.as_dict(),
        "n_draws": draws,
        "seed": seed,
        "in_the_run": outputs.own_effect(run, relation) if relation else None,
    }
    printing.show(found, as_json, _shown)


def _chosen(like: "RelationSets", relation: str | None, neurons: str | None) -> "np.ndarray":
    if neurons is not None:
        return outputs.parsed(neurons, like)
    what = "relation" if like.source == POOLED else f"relation of {like.source}"
    name = outputs.require(str(relation), like.sets, what=what)
    return like.sets[name]


def _off(run: Run, source: str, value: Value, like: "RelationSets") -> "Tensor":
    """Return the value that each neuron is set to."""
    import torch

    from neuron_atlas.live import off_values

    if value == "zero":
        return torch.zeros(like.size.shape)
    codes = run.languages() if source == POOLED else [source]
    return off_values.means(
        {
            run.need(f"data/activations/{c}", f"activations@{c}"): run.need(
                f"data/facts/{c}.parquet", "facts"
            )
            for c in codes
        }
    )


EQUAL_PUSH = "random, equal push"
RANDOM = {"random, as many": ">", EQUAL_PUSH: ">", "as far": ">"}  # columns about random sets


def random_cells(one: Mapping[str, Any], n_draws: int) -> list[str]:
    """Return an answer's cells about random sets: mean and range of each kind, and as far."""
    kinds = [one[kind] for kind in ("same_number", "equal_push") if one[kind]]
    cells = [f"{signed(k['mean'])} {between(k['lowest'], k['highest'])}" for k in kinds]
    return [*cells, f"{kinds[-1]['n_as_far']} of {n_draws}"]


def _shown(found: Found) -> Iterator[RenderableType]:
    n, given = len(found["neurons"]), found["given"]
    whose = f"{n} neurons of {found['relation']} ({found['source']})"
    if not found["relation"]:
        whose = ", ".join(found["neurons"])
    set_to = "0" if found["set_to"] == "zero" else f"their mean ({found['source']})"
    yield printing.prose(f"{found['prompt']} …\nwithout {whose}, set to {set_to}")
    columns = {"answer" if given else "next token": "<", "before": ">", "after": ">"}
    columns |= {"change": ">", **RANDOM}
    yield printing.table(
        columns,
        (
            [
                one["answer"] if given else printing.token(one["answer"]),
                number(one["before"]),
                number(one["after"]),
                signed(one["change"]),
                *random_cells(one, found["n_draws"]),
            ]
            for one in found["answers"]
        ),
    )
    yield printing.prose(" ".join(_notes(found)))


def _notes(found: Found) -> Iterator[str]:
    yield from notes_on_random(found["n_draws"], [found])
    yield "One prompt shows no more than itself."
    if run := found["in_the_run"]:
        yield (
            f"Over {run['n_facts']} unseen facts of {run['relation']} in the run's languages, its "
            f"neurons of each language do {signed(run['effect'])} nats, random ones of equal push "
            f"{signed(run['random'])}: {signed(run['excess'])} "
            f"{between(run['low'], run['high'])} beyond them."
        )


def notes_on_random(n_draws: int, measured: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what the numbers about random sets are.

    Args:
        n_draws: Random sets of each kind.
        measured: Of each prompt, its `Pushes.as_dict` among others.
    """
    yield (
        f"Log-probabilities in nats; random: the change under {n_draws} sets of as many neurons of "
        "the same layers, mean and range. “As far”: how many of equal push move the answer as far."
    )
    own, random = (
        ", ".join(f"{one[key]:.4g}" for one in measured) for key in ("push", "push_of_same_number")
    )
    yield f"Push of the neurons: {own}; of as many random ones: {random}."
    if not all(one["push_is_equal"] for one in measured):
        yield "Some random sets cannot push as hard, and stay below."
