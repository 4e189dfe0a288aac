"""Scores of facts that the stage `attributions` left out, computed as it computes them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from neuron_atlas.attributions import clean_pass, strongest
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.editing.inputs import Experiment, Inputs
from neuron_atlas.editing.plan import Case, Tables, shown
from neuron_atlas.language_neurons.build import METHOD
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.knowledge_sets import COLUMNS, META
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.scoring.candidates import CandidateTokens

PROMPT = ("language", "fact", "relation", "template")


def with_missing(
    one: Experiment,
    inputs: Inputs,
    known: Tables,
    scores: Mapping[str, pd.DataFrame],
    cases: Sequence[Case],
) -> dict[str, pd.DataFrame]:
    """Return the scores with those of the facts that were not attributed, made as these were."""
    rows = missing(known, scores, cases)
    if rows.empty:
        return dict(scores)
    fields = set(AttributionPlan.model_fields) - {"max_facts"}
    plans = {
        code: AttributionPlan(**{k: v for k, v in meta.items() if k in fields}, max_facts=None)
        for code, path in inputs.attributions.items()
        for meta in [store.read_json(path / META)]
    }
    sizes = [len(part) for _, part in rows.groupby(["language", "fact"], sort=False)]
    found = checkpoints.in_parts(
        rows,
        lambda part: attribute(one.lm, part, plans[part["language"].iloc[0]]),
        key=one.part("scores"),
        size=sizes,
    )
    added = {str(code): part.drop(columns="language") for code, part in found.groupby("language")}
    return {
        code: pd.concat([table, added[code]], ignore_index=True) if code in added else table
        for code, table in scores.items()
    }


def missing(
    tables: Tables, scores: Mapping[str, pd.DataFrame], cases: Sequence[Case]
) -> pd.DataFrame:
    """Return the paraphrases of the cases that have no stored scores and are not measured.

    Returns:
        Rows of the recall table with `language`, one language's together.
    """
    parts = [
        shown(tables, case.fact, language)
        for language in tables.prompts
        for case in cases
        if language in case.sources and not scores[language]["fact"].eq(case.fact).any()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["language"])


def attribute(lm: LanguageModel, rows: pd.DataFrame, plan: AttributionPlan) -> pd.DataFrame:
    """Attribute some prompts by the method that neurons are chosen by, and by no other.

    Args:
        lm: The model.
        rows: Rows of the recall table, with `language`.
        plan: How the language's stored scores were made, with its steps.

    Returns:
        `language` and `knowledge_sets.COLUMNS`, as many neurons per prompt as are stored.

    Raises:
        ValueError: the plan's baseline is the mean over the attributed prompts, which is not kept.
    """
    if plan.baseline == "mean":
        raise ValueError(
            "editing attributes facts that the stage attributions left out, and does not have the "
            "mean that it took; raise attributions.max_facts to null or use another "
            "attributions.baseline"
        )
    tokens, listed = CandidateTokens(lm), store.records(rows)
    questions = [question_of(tokens, row) for row in listed]
    by_words = plan.baseline == "occlusion"
    parts: list[pd.DataFrame] = []
    run = {METHOD: strongest.attribution_method(lm, plan, None, check=False)}
    for found in clean_pass.run_methods(lm, questions, run, by_words=by_words):
        part = found[METHOD]
        for place, one in zip(part.places.tolist(), part.scores, strict=True):
            kept = strongest.strongest_neurons(one.flatten(), keep=plan.keep, floor=plan.floor)
            info = {name: listed[place][name] for name in PROMPT}
            parts.append(kept.assign(method=METHOD, **info))
    return pd.concat(parts, ignore_index=True)[["language", *COLUMNS]]
