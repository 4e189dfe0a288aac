"""Run the whole editing experiment: from stored scores to the effect of every arm's edits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.editing import arm_sets, asked, missing_scores, plan, tables
from neuron_atlas.editing.all_edits import edit_all
from neuron_atlas.editing.baselines import best_layers
from neuron_atlas.editing.inputs import Experiment, Inputs
from neuron_atlas.editing.measured_edits import Questions
from neuron_atlas.editing.plan import Case, Cases, Tables
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.editing.tables import EDITS, EFFECTS, INDEPENDENT, LAYERS, META, SETS
from neuron_atlas.interventions import neuron_sets, suppress_enhance
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.neurons.language_sets import read_language_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.prompt_choice import KEY


def run(one: Experiment, inputs: Inputs, out: Path) -> None:
    """Write `effects` (suppress, enhance), `edits`, `sets`, `layers` and `meta.json` to `out`.

    If no fact is known in `n_sources` languages and one more, as with two languages, only
    `meta.json` is written, with the reason.

    Args:
        one: The model, and how it is edited.
        inputs: Outputs of earlier stages.
        out: The folder to make.
    """
    scores = {c: knowledge_sets.read_scores(path) for c, path in inputs.attributions.items()}
    recalled = {code: store.read_table(path) for code, path in inputs.recall.items()}
    known, tokens = plan.read_tables(recalled, inputs.new_objects()), CandidateTokens(one.lm)
    stored = {code: set(table["fact"]) for code, table in scores.items()}
    cases = plan.choose_cases(known, tokens, one.how, stored=stored, seed=one.seed)
    about = _meta(cases, known, one.how)
    if not cases.edited:
        with store.whole(out) as folder:
            reason = _reason(known, one.how.n_sources)
            store.write_json(folder / META, {**about, "reason": reason})
        return
    sets = _sets(one, inputs, known, scores, cases.edited)
    every = [*cases.edited, *cases.development]
    prompts = asked.asked(known, every, n_unrelated=one.how.n_unrelated, seed=one.seed)
    questions = Questions(one.lm, known, prompts, tokens)
    effects = _operations(one, questions, sets)
    edits, layers = edit_all(one, questions, cases, sets)
    counts = _counts(cases.edited, sets, layers, one)
    written = {SETS: neuron_sets.members(sets), EFFECTS: effects, EDITS: edits, LAYERS: layers}
    with store.whole(out) as folder:
        for name, table in written.items():
            store.write_table(folder / name, table)
        store.write_json(folder / META, {**about, **counts})
    for name in (EFFECTS, EDITS, LAYERS, "scores"):
        checkpoints.done(one.part(name))


def _sets(
    one: Experiment,
    inputs: Inputs,
    known: Tables,
    scores: Mapping[str, pd.DataFrame],
    cases: Sequence[Case],
) -> list[NeuronSet]:
    """Choose every arm's neurons, from stored scores and those that are missing."""
    chosen = arm_sets.SetInputs(
        tables=known,
        scores=missing_scores.with_missing(one, inputs, known, scores, cases),
        sizes={code: relation_sets.read_sets(path) for code, path in inputs.sizes.items()},
        target=inputs.target(),
        rule=one.rule,
        specific=read_language_sets(inputs.specific),
    )
    return arm_sets.choose_sets(one.lm, chosen, cases, one.how, seed=one.seed)


def _operations(one: Experiment, questions: Questions, sets: Sequence[NeuronSet]) -> pd.DataFrame:
    """Suppress and enhance each set; monolingual sets are the same two times, and measured once."""
    some = [s for s in sets if s.method != tables.MONOLINGUAL]
    intervention = suppress_enhance.both_operations(one.lm, some, tolerance=one.tolerance)
    facts = {s.fact for s in sets}
    mine = questions.asked[
        questions.asked["where"].isin(tables.IN_ALL_ARMS) & questions.asked["fact"].isin(facts)
    ]
    prompts = mine.drop(columns=["fact", "where"]).drop_duplicates(KEY)
    prompts = prompts.sort_values(["language", "relation", "template", "measured"])
    found = checkpoints.in_parts(
        prompts,
        lambda part: suppress_enhance.measure_operations(
            intervention, some, part, mine[["fact", "where", *KEY]], questions.tokens
        ),
        key=one.part(EFFECTS),
        size=4,
    ).rename(columns={"method": "arm"})
    order = ["fact", "arm", "draw", "operation", "where", *KEY]
    return found.sort_values(order, ignore_index=True)


def _reason(known: Tables, n_sources: int) -> str:
    count = {language: len(held) for language, held in known.held.items()}
    return (
        f"no fact is known in {n_sources} languages and one more, with a new object that "
        f"begins differently in all of them; facts by language: {count}"
    )


def _counts(
    cases: Sequence[Case],
    sets: Sequence[NeuronSet],
    layers: pd.DataFrame,
    one: Experiment,
) -> dict[str, Any]:
    """Count the facts that have an independent set, and those whose new object was given."""
    n = len({s.fact for s in sets if s.method == INDEPENDENT})
    return {
        "n_independent": n,
        "n_too_few_independent": len(cases) - n,
        "n_given": sum(case.given for case in cases),
        "layers": best_layers(layers, one.lm.n_layers),
    }


def _meta(cases: Cases, known: Tables, how: EditingPlan) -> dict[str, Any]:
    return {
        "n_facts": len(cases.edited),
        "n_development": len(cases.development),
        "n_sources": how.n_sources,
        "n_draws": how.n_draws,
        "neurons": how.neurons,
        "steps": how.descent.steps,
        "n_tokens": how.baselines.n_tokens,
        "languages": list(known.held),
        "cases": [
            {
                "fact": case.fact,
                "sources": list(case.sources),
                "others": list(case.others),
                "new": case.new,
                "given": case.given,
            }
            for case in cases.edited
        ],
    }
