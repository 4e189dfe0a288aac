"""Which facts are attributed, and the table of their strongest neurons."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuron_atlas.attributions import batches, clean_pass, gradients, tolerance
from neuron_atlas.attributions.clean_pass import Attributed
from neuron_atlas.attributions.gradients import Mean
from neuron_atlas.attributions.quadrature import RULES
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.attributions.screening import Screen
from neuron_atlas.attributions.settings import AttributionPlan, Baseline
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.knowledge_sets import COLUMNS, META, PROMPTS, SCORES
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import CandidateTokens

SAMPLE = 6  # prompts on which the number of evaluations is measured
MIDDLE_STEPS = 2  # evaluations of paths that matter a little
PROMPT_COLUMNS = ["fact", "relation", "subject", "template", "correct"]


def baseline_mean(lm: LanguageModel, rows: pd.DataFrame, baseline: Baseline) -> Mean | None:
    """Return the mean of each neuron at the answer position over the prompts, if it is needed."""
    if baseline != "mean":
        return None
    tokens = CandidateTokens(lm)
    questions = [question_of(tokens, row) for row in store.records(rows)]
    total = torch.zeros(lm.n_layers, lm.n_neurons, dtype=torch.float64)
    for part in gradients.own_values(lm, questions):
        total += part.scores.double().sum(0)
    return (total / len(questions)).float()


def fewest_steps(
    lm: LanguageModel, rows: pd.DataFrame, plan: AttributionPlan, mean: Mean | None
) -> tolerance.Fewest:
    """Return the fewest evaluations per path that a few checked prompts need.

    Raises:
        ValueError: the tolerance cannot be met.
    """
    checked = rows[rows["checked"]]
    some = checked.iloc[np.linspace(0, len(checked) - 1, min(SAMPLE, len(checked))).astype(int)]
    tokens = CandidateTokens(lm)

    def make(steps: int, screened: bool, check: bool) -> clean_pass.Method:
        tried = plan.model_copy(update={"steps": steps, **({} if screened else {"screen": 0.0})})
        return attribution_method(lm, tried, mean, check=check)

    return tolerance.fewest_steps(
        lm,
        [question_of(tokens, row) for row in store.records(some)],
        by_words=plan.baseline == "occlusion",
        make=make,
        tolerance=plan.tolerance,
        strongest=plan.keep,
    )


def in_batches(
    lm: LanguageModel, rows: pd.DataFrame, plan: AttributionPlan
) -> tuple[pd.DataFrame, list[int]]:
    """Return the prompts in the order of the engine's batches, and how many each batch has.

    `attribute` computes each of these batches as one, given alone: what it finds does not depend on
    which batches another run has computed. The largest come first, so that out-of-memory fails
    early.
    """
    tokens, found = CandidateTokens(lm), []
    for _, some in rows.groupby("checked", sort=True):
        questions = [question_of(tokens, row) for row in store.records(some)]
        for batch in batches.batches(lm, questions, by_words=plan.baseline == "occlusion"):
            found.append((batch.size, some.iloc[list(batch.places)]))
    groups = [group for _, group in sorted(found, key=lambda one: one[0], reverse=True)]
    return pd.concat(groups), [len(group) for group in groups]


def attribute(
    lm: LanguageModel, rows: pd.DataFrame, plan: AttributionPlan, mean: Mean | None
) -> pd.DataFrame:
    """Attribute prompts by every method, and keep each prompt's strongest neurons.

    Returns:
        One row per stored neuron, `knowledge_sets.COLUMNS`, with the prompt's `value` (the target
        at the neurons' own values) and `completeness`, the error of `completeness_error`; NaN where
        the prompt is not `checked`.
    """
    tokens = CandidateTokens(lm)
    parts = []
    for checked, some in rows.groupby("checked", sort=True):
        listed = store.records(some)
        questions = [question_of(tokens, row) for row in listed]
        methods = _methods(lm, plan, mean, check=bool(checked))
        by_words = plan.baseline == "occlusion"
        for found in clean_pass.run_methods(lm, questions, methods, by_words=by_words):
            for method, part in found.items():
                parts += _kept(method, part, listed, plan)
    return pd.concat(parts, ignore_index=True)


def nothing() -> pd.DataFrame:
    """Return what `attribute` does of no prompt: a table without rows."""
    types = {
        **{"rank": "int32", "neuron": "int64", "score": "float32", "method": "str"},
        **{"value": "float64", "completeness": "float64", "template": "int64", "correct": "bool"},
        **dict.fromkeys(("fact", "relation", "subject"), "str"),
    }
    return store.no_rows(types)


def _methods(
    lm: LanguageModel, plan: AttributionPlan, mean: Mean | None, *, check: bool
) -> dict[str, clean_pass.Method]:
    target = plan.target
    return {
        "attribution": attribution_method(lm, plan, mean, check=check),
        "zero_ig": gradients.path_method(
            lm, baseline="zero", rule=plan.zero_quadrature, target=target, check=check
        ),
        "gradient_activation": gradients.gradient_activation_method(target=target),
        "activation": _sizes,
    }


def attribution_method(
    lm: LanguageModel, plan: AttributionPlan, mean: Mean | None, *, check: bool
) -> clean_pass.Method:
    """Return the method by which neurons are chosen, with the plan's steps and screen.

    Args:
        lm: The model.
        plan: With its steps.
        mean: As `baseline_mean` returns it.
        check: Whether every path is integrated, so that the completeness error is measured.
    """
    return gradients.path_method(
        lm,
        baseline=plan.baseline,
        rule=plan.quadrature,
        target=plan.target,
        mean=mean,
        screen=_screen(plan),
        check=check,
    )


def _screen(plan: AttributionPlan) -> Screen | None:
    """Return which paths are integrated; None if all are, alike."""
    if not plan.screen:
        return None
    return Screen(plan.screen, RULES[plan.rule](min(MIDDLE_STEPS, len(plan.quadrature.nodes))))


def _sizes(clean: clean_pass.CleanPass) -> clean_pass.PointScores:
    values, value, difference = gradients.own_values_method(clean)
    return values.abs(), value, difference


def _kept(
    method: str, part: Attributed, listed: Sequence[Mapping[str, Any]], plan: AttributionPlan
) -> list[pd.DataFrame]:
    """Return the strongest neurons of each prompt in a batch."""
    error = gradients.completeness_error(part.scores, part.difference).tolist()
    tables = []
    for k, i in enumerate(part.places.tolist()):
        info = {name: listed[i][name] for name in PROMPT_COLUMNS}
        kept = strongest_neurons(part.scores[k].flatten(), keep=plan.keep, floor=plan.floor)
        tables.append(
            kept.assign(method=method, value=float(part.value[k]), completeness=error[k], **info)
        )
    return tables


def strongest_neurons(scores: Float[Tensor, " n"], *, keep: int, floor: float) -> pd.DataFrame:
    """Return the `keep` best neurons, and all above `floor` of the best one, best first."""
    n = max(keep, int((scores > floor * scores.max()).sum()))
    least = scores.topk(min(n, len(scores))).values[-1]
    high = (scores >= least).nonzero()[:, 0]  # few, so that little is sorted
    best = high[scores[high].argsort(descending=True, stable=True)][:n]
    return pd.DataFrame(
        {
            "rank": np.arange(len(best), dtype=np.int32),
            "neuron": best.numpy().astype(np.int64),
            "score": scores[best].numpy().astype(np.float32),
        }
    )


def write(
    table: pd.DataFrame, out: Path, *, plan: AttributionPlan, found: float | None, lm: LanguageModel
) -> None:
    """Write the stored scores, the prompts and what they were made with to the folder `out`.

    Args:
        table: From `attribute`, or `nothing`.
        out: The folder to make.
        plan: With its steps.
        found: Share of the strongest neurons that the screen leaves; None if it was not measured.
        lm: The model.
    """
    table = table.sort_values(["fact", "template", "method", "rank"], ignore_index=True)
    prompts = _prompts(table, "attribution")
    about = {
        **plan.model_dump(exclude={"max_facts"}),
        "dtype": str(lm.dtype).removeprefix("torch."),
        "n_layers": lm.n_layers,
        "n_neurons": lm.n_neurons,
        "n_facts": int(prompts["fact"].nunique()),
        "screened_found": found,
        "completeness": _error(prompts),
        "zero_completeness": _error(_prompts(table, "zero_ig")),
    }
    with store.whole(out) as folder:
        store.write_table(folder / SCORES, table[COLUMNS])
        columns = [*PROMPT_COLUMNS, "value", "completeness"]
        store.write_table(folder / PROMPTS, prompts[columns].reset_index(drop=True))
        store.write_json(folder / META, about)


def _prompts(table: pd.DataFrame, method: str) -> pd.DataFrame:
    return table[table["method"] == method].drop_duplicates(["fact", "template"])


def _error(prompts: pd.DataFrame) -> dict[str, float | None]:
    error = prompts["completeness"].dropna()
    if error.empty:
        return {"median": None, "p95": None}
    return {"median": float(error.median()), "p95": float(error.quantile(0.95))}
