"""Run the whole editing experiment: from stored scores to the effect of every arm's edits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.editing import arm_sets, fitted_edits, plan
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.editing.tables import EDITS, EFFECTS, META, SETS
from neuron_atlas.interventions import neuron_sets, suppress_enhance
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.prompt_choice import KEY


@dataclass(frozen=True)
class Inputs:
    """Outputs of earlier stages, by language.

    Attributes:
        recall: Recall tables.
        attributions: Folders of stored scores.
        sizes: Folders of activation sizes, which random neurons match.
    """

    recall: Mapping[str, Path]
    attributions: Mapping[str, Path]
    sizes: Mapping[str, Path]


def run(
    lm: LanguageModel,
    inputs: Inputs,
    out: Path,
    how: EditingPlan,
    *,
    seed: int,
    tolerance: float,
    key: str,
) -> None:
    """Write `effects` (suppress, enhance), `edits`, `sets` (Parquet) and `meta.json` to `out`.

    If no fact is known in `n_sources` languages and one more, as with two languages, only
    `meta.json` is written, with the reason.

    Args:
        lm: The model.
        inputs: Outputs of earlier stages.
        out: The folder to make.
        how: Which facts are edited, with which neurons, and how edits are fitted.
        seed: The seed.
        tolerance: As in `log_probability.ask`.
        key: Names the finished parts on disk; see `checkpoints.key`.
    """
    scores = {c: knowledge_sets.read_scores(path) for c, path in inputs.attributions.items()}
    recalled = {code: store.read_table(path) for code, path in inputs.recall.items()}
    tables, tokens = plan.read_tables(recalled, scores), CandidateTokens(lm)
    cases = plan.cases(tables, tokens, n_sources=how.n_sources, max_facts=how.max_facts, seed=seed)
    about = _meta(cases, tables, how)
    if not cases:
        with store.whole(out) as folder:
            store.write_json(folder / META, {**about, "reason": _reason(tables, how.n_sources)})
        return
    sets = arm_sets.choose_sets(lm, _stored(tables, scores, inputs), cases, how, seed=seed)
    asked = plan.asked(tables, cases, n_unrelated=how.n_unrelated, seed=seed)
    setup = fitted_edits.EditingSetup(lm, tables, sets, asked, how.descent, tokens)
    effects, edits = _operations(setup, tolerance, key), _edits(setup, cases, key)
    with store.whole(out) as folder:
        store.write_table(folder / SETS, neuron_sets.members(sets))
        store.write_table(folder / EFFECTS, effects)
        store.write_table(folder / EDITS, edits)
        store.write_json(folder / META, about)
    for name in (EFFECTS, EDITS):
        checkpoints.done(f"{name}-{key}")


def _stored(
    tables: Tables, scores: Mapping[str, pd.DataFrame], inputs: Inputs
) -> arm_sets.SetInputs:
    first = next(iter(inputs.attributions.values()))
    return arm_sets.SetInputs(
        tables=tables,
        scores=scores,
        sizes={code: relation_sets.read_sets(path) for code, path in inputs.sizes.items()},
        target=store.read_json(first / knowledge_sets.META)["target"],
    )


def _operations(setup: fitted_edits.EditingSetup, tolerance: float, key: str) -> pd.DataFrame:
    intervention = suppress_enhance.both_operations(setup.lm, setup.sets, tolerance=tolerance)
    asked = setup.asked[["fact", "where", *KEY]]
    prompts = setup.asked.drop(columns=["fact", "where"]).drop_duplicates(KEY)
    prompts = prompts.sort_values(["language", "relation", "template", "measured"])
    found = checkpoints.in_parts(
        prompts,
        lambda part: suppress_enhance.measure_operations(
            intervention, setup.sets, part, asked, setup.tokens
        ),
        key=f"{EFFECTS}-{key}",
        size=4,
    )
    order = ["fact", "method", "draw", "operation", "where", *KEY]
    return found.rename(columns={"method": "arm"}).sort_values(
        [("arm" if c == "method" else c) for c in order], ignore_index=True
    )


def _edits(setup: fitted_edits.EditingSetup, cases: Sequence[Case], key: str) -> pd.DataFrame:
    by_fact = {case.fact: case for case in cases}
    return checkpoints.in_parts(
        pd.DataFrame({"fact": list(by_fact)}),
        lambda part: fitted_edits.measure_edits(setup, [by_fact[fact] for fact in part["fact"]]),
        key=f"{EDITS}-{key}",
        size=1,
    )


def _reason(tables: Tables, n_sources: int) -> str:
    known = {language: len(held) for language, held in tables.held.items()}
    return (
        f"no fact is attributed in {n_sources} languages and one more, with a new object that "
        f"begins differently in all of them; facts by language: {known}"
    )


def _meta(cases: Sequence[Case], tables: Tables, how: EditingPlan) -> dict[str, Any]:
    return {
        "n_facts": len(cases),
        "n_sources": how.n_sources,
        "neurons": how.neurons,
        "languages": list(tables.held),
        "cases": [
            {
                "fact": case.fact,
                "sources": list(case.sources),
                "others": list(case.others),
                "new": case.new,
            }
            for case in cases
        ],
    }
