"""Command: change a fact through some neurons, and ask it and an unrelated fact again."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from neuron_atlas.commands import outputs, printing
from neuron_atlas.commands.ablate import (
    BESIDE,
    EQUAL_PUSH,
    PUSHES,
    RANDOM,
    Neurons,
    Number,
    notes_on_random,
    random_cells,
)
from neuron_atlas.commands.options import Data, Json, Seed, facts, language_of
from neuron_atlas.commands.outputs import Run
from neuron_atlas.commands.printing import Found, number, signed

if TYPE_CHECKING:
    import numpy as np

    from neuron_atlas.live.known_facts import KnownFact
    from neuron_atlas.model_edits.settings import Descent
    from neuron_atlas.neurons.relation_sets import RelationSets


KEYS = {
    "fact": "its id",
    "language": "in which it is asked",
    "operation": "`suppress`, `enhance` or `edit`",
    "new": "the answer that it was to get, or null",
    "neurons": "through which it was changed, as `layer:index`",
    "n_draws": "random sets of each kind",
    "seed": "of the draws, and of the choice of the unrelated fact",
    "prompts[].where": "`prompt`, `paraphrase` (another wording, which neither found neurons nor "
    "was fitted to) or `unrelated` (a fact of another relation)",
    "prompts[].fact": "that is asked",
    "prompts[].prompt": "as it was asked",
    "prompts[].says_before": "the likeliest candidate without any change",
    "prompts[].says_after": "the same with the neurons changed",
    "prompts[].answers[].answer": "the right answer, then the new one",
    **{f"prompts[].answers[].{name}": meaning for name, meaning in BESIDE.items()},
    **{f"prompts[].{name}": f"{meaning}; not for edits" for name, meaning in PUSHES.items()},
}


def edit(
    fact: Annotated[
        str, typer.Argument(autocompletion=facts, help="The id of a fact, such as capital:FR.")
    ],
    suppress: Annotated[
        bool, typer.Option("--suppress", help="Multiply the neurons' values by 0.")
    ] = False,
    enhance: Annotated[
        bool, typer.Option("--enhance", help="Multiply the neurons' values by 2.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="ANSWER",
            help="Change what the neurons write, until this candidate is the fact's answer.",
        ),
    ] = None,
    neurons: Neurons = None,
    strongest: Annotated[
        int,
        typer.Option(
            "--strongest",
            metavar="N",
            min=1,
            max=1000,
            help="Without --neurons: so many of the fact's strongest ones by attribution.",
        ),
    ] = 4,
    language: Annotated[
        str | None,
        language_of("In which the fact is asked; by default the run's first."),
    ] = None,
    draws: Number = 10,
    seed: Seed = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Suppress, enhance or edit a fact through neurons.

    The fact's prompt, a paraphrase and an unrelated fact are asked before and after, beside random
    neurons. The model on disk stays as it is.

    For example: neuron-atlas edit capital:FR --to Rome
    """
    if suppress + enhance + (to is not None) != 1:
        raise typer.BadParameter("name one of the three", param_hint="--suppress, --enhance, --to")
    run = outputs.find(data)
    code = run.language(language)
    folder = run.need(*outputs.MODEL)
    like = outputs.read_sets(run, code)
    if (site := outputs.site(run)) != "hidden":
        raise ValueError(f"edits are of hidden units, and this run's neurons are {site} outputs")
    from neuron_atlas.live import fact_edits, known_facts, loading
    from neuron_atlas.live.beside_random import Draws

    known = known_facts.find(outputs.read_recall(run, code), fact, code)
    new = None if to is None else known.candidate(to)
    chosen = _chosen(run, known, like, neurons, strongest)
    lm, how = loading.load(folder), Draws(like, n=draws, seed=seed)
    if new is None:
        prompts = fact_edits.operate(lm, known, "suppress" if suppress else "enhance", chosen, how)
    else:
        prompts = fact_edits.edit(lm, known, new, chosen, how, _descent(run))
    found = {
        "fact": fact,
        "language": code,
        "operation": "suppress" if suppress else "enhance" if enhance else "edit",
        "new": to,
        "neurons": outputs.addresses(chosen, like),
        "n_draws": draws,
        "seed": seed,
        "prompts": prompts,
    }
    printing.show(found, as_json, _shown)


def _chosen(
    run: Run, known: "KnownFact", like: "RelationSets", neurons: str | None, strongest: int
) -> "np.ndarray":
    """Return the given neurons, or the fact's strongest ones."""
    if neurons is not None:
        return outputs.parsed(neurons, like)
    from neuron_atlas.live import known_facts
    from neuron_atlas.neurons.knowledge_sets import read_scores

    code = known.language
    scores = read_scores(run.need(f"data/attributions/{code}", f"attributions@{code}"))
    return known_facts.strongest(scores, known, strongest)


def _descent(run: Run) -> "Descent":
    """Return how the run fits edits."""
    from neuron_atlas.editing.settings import EditingPlan
    from neuron_atlas.pipeline import params

    return params.load("editing", EditingPlan, run.place("params.yaml")).descent


DONE = {
    "suppress": "suppressed (values times 0)",
    "enhance": "enhanced (values times 2)",
    "edit": "edited",
}


def _shown(found: Found) -> Iterator[RenderableType]:
    said = f"{found['fact']} in {found['language']}, through {', '.join(found['neurons'])}: "
    said += DONE[found["operation"]]
    yield printing.prose(said + (f", so that it is {found['new']}" if found["new"] else ""))
    for place in found["prompts"]:
        before, after = place["says_before"], place["says_after"]
        says = f"{before}, then {after}" if after != before else f"{before}, before and after"
        yield printing.prose(f"{place['where']}: {place['prompt']} … {says}")
    random = dict(RANDOM)
    if found["operation"] == "edit":
        del random[EQUAL_PUSH]
    columns = {"": "!", "answer": "<", "before": ">", "after": ">", "change": ">", **random}
    yield printing.table(columns, _rows(found))
    yield printing.prose(" ".join(_notes(found)))


def _rows(found: Found) -> Iterator[list[object]]:
    for place in found["prompts"]:
        for one in place["answers"]:
            cells = [place["where"], one["answer"], number(one["before"]), number(one["after"])]
            yield [*cells, signed(one["change"]), *random_cells(one, found["n_draws"])]


def _notes(found: Found) -> Iterator[str]:
    if found["operation"] == "edit":
        yield (
            "Log-probabilities in nats. Random: the change under edits of as many random neurons, "
            f"fitted in the same way: mean and range over {found['n_draws']} sets. “As far”: how "
            "many of them move the answer as far."
        )
    else:
        yield from notes_on_random(found["n_draws"], found["prompts"])
    yield (
        "The edit was fitted to other wordings than the paraphrase."
        if found["operation"] == "edit"
        else "The paraphrase did not help to find the fact's own neurons."
    )
    yield "One fact shows no more than itself; what the run found over facts: neuron-atlas verdicts"
