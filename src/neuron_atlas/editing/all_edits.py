"""Fit, apply and measure every arm's edits of all facts."""

from collections.abc import Mapping, Sequence

import pandas as pd

from neuron_atlas.editing import tables
from neuron_atlas.editing.baselines import (
    Baselines,
    best_layers,
    measurable,
    tried_layers,
    try_layers,
)
from neuron_atlas.editing.equal_reliability import to_margin
from neuron_atlas.editing.fitted_edits import ArmEdit, fit_edits
from neuron_atlas.editing.inputs import Experiment
from neuron_atlas.editing.measured_edits import Questions, measure
from neuron_atlas.editing.plan import Case, Cases
from neuron_atlas.editing.tables import BASELINES, EDITS
from neuron_atlas.editing.tokenised import fit_prompts
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model_edits.key_covariance import covariances
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.scoring.prompt_choice import KEY

AT_ONCE = 2  # facts that are fitted together, at most; a kill costs the work on so many


def edit_all(
    one: Experiment, questions: Questions, cases: Cases, sets: Sequence[NeuronSet]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit, scale, apply and measure every arm's edits.

    Returns:
        What they do, as `measured_edits.measure` gives it, and what the tried layers of the
        baselines do.
    """
    own: dict[str, list[NeuronSet]] = {case.fact: [] for case in cases.edited}
    for s in sets:
        own[s.fact].append(s)
    by_fact = {case.fact: case for case in cases.edited}
    tried = tried_layers(one.lm.n_layers, one.how.baselines.layers)
    development = measurable(questions, cases.development)
    ready = _ready(one, questions, tried if development else [one.lm.n_layers // 2])
    layers = _layers(one, questions, ready, development, tried)
    chosen = best_layers(layers, one.lm.n_layers)

    def measured(part: pd.DataFrame) -> pd.DataFrame:
        some = [by_fact[fact] for fact in part["fact"]]
        fitted = _fitted(one, questions, some, own, ready, chosen)
        return pd.concat([_measured(questions, c, fitted[c.fact], ready.margin) for c in some])

    shapes = {fact: (len(own[fact]), len(own[fact][0].neurons)) for fact in by_fact}
    ordered = sorted(by_fact, key=shapes.__getitem__)  # facts whose sets are alike together
    sizes = _sizes([shapes[fact] for fact in ordered])
    items = pd.DataFrame({"fact": ordered})
    found = checkpoints.in_parts(items, measured, key=one.part(EDITS), size=sizes)
    order = ["fact", "arm", "draw", "where", *KEY]
    return found.sort_values(order, ignore_index=True), layers


def _measured(
    questions: Questions, case: Case, edits: Sequence[ArmEdit], margin: float
) -> pd.DataFrame:
    return measure(questions, case, to_margin(questions, case, edits, margin=margin))


def _ready(one: Experiment, questions: Questions, layers: Sequence[int]) -> Baselines:
    """Prepare the baselines: estimate each layer's covariance of keys, on no prompt that tests."""
    bounds, used = one.how.baselines, questions.asked
    tests = used[used["where"] != tables.RELIABILITY]
    prompts = {
        code: untested(table, tests[tests["language"] == code])
        for code, table in questions.tables.prompts.items()
    }
    found = covariances(one.lm, prompts, layers, n_tokens=bounds.n_tokens, ridge=bounds.ridge)
    return Baselines(one.how, found)


def untested(prompts: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return one language's prompts but for those that measure an edit; all, if all do."""
    asked = pd.MultiIndex.from_frame(tests[["measured", "template"]])
    rest = prompts[~pd.MultiIndex.from_frame(prompts[["fact", "template"]]).isin(asked)]
    return rest if len(rest) else prompts


def _sizes(shapes: Sequence[tuple[int, int]]) -> list[int]:
    """Return how many consecutive facts are fitted together: `AT_ONCE`, of one shape.

    Args:
        shapes: Of each fact, how many sets it has, and how many neurons each.
    """
    sizes: list[int] = []
    for i, shape in enumerate(shapes):
        if i and shape == shapes[i - 1] and sizes[-1] < AT_ONCE:
            sizes[-1] += 1
        else:
            sizes.append(1)
    return sizes


def _layers(
    one: Experiment,
    questions: Questions,
    ready: Baselines,
    development: Sequence[Case],
    tried: Sequence[int],
) -> pd.DataFrame:
    """Try the baselines' layers on the development facts; an empty table where there are none."""
    if not development:
        return pd.DataFrame(columns=["layer", "arm", tables.GENERALITY, tables.LOCALITY])
    return checkpoints.in_parts(
        pd.DataFrame({"layer": tried}),
        lambda part: try_layers(questions, ready, development, part["layer"].tolist()),
        key=one.part(tables.LAYERS),
        size=1,
    )


def _fitted(
    one: Experiment,
    questions: Questions,
    cases: Sequence[Case],
    sets: Mapping[str, Sequence[NeuronSet]],
    ready: Baselines,
    layers: Mapping[str, int],
) -> dict[str, list[ArmEdit]]:
    """Fit all edits of some facts."""
    prompts = fit_prompts(one.lm, questions.tables, questions.tokens, cases)
    found = fit_edits(one.lm, cases, prompts, sets, one.how.descent)
    for arm in BASELINES:
        edits = ready.fit(one.lm, prompts, arm, layers[arm])
        for case, edit in zip(cases, edits, strict=True):
            found[case.fact].append(edit)
    return found
