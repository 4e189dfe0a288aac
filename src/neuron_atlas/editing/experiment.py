"""The whole editing experiment: from stored scores to what every arm's edits did."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neuron_atlas.editing import arm_sets, fitted_edits, plan
from neuron_atlas.editing.descent import Descent
from neuron_atlas.editing.plan import Case, Tables
from neuron_atlas.editing.tables import EDITS, EFFECTS, META, SETS
from neuron_atlas.interventions import neuron_sets, suppress_enhance
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.prompt_choice import KEY

Run = Callable[[pd.DataFrame], pd.DataFrame]


def run(
    lm: LanguageModel,
    recalls: Mapping[str, Path],
    attributed: Mapping[str, Path],
    sizes: Mapping[str, Path],
    out: Path,
    *,
    n_sources: int,
    max_facts: int,
    m: int,
    n_unrelated: int,
    n_draws: int,
    how: Descent,
    seed: int,
    key: str,
) -> None:
    """Write `effects` (suppress, enhance), `edits`, `sets` (Parquet) and `meta.json` to `out`.

    Args:
        lm: The model.
        recalls: Each language's recall table.
        attributed: Each language's stored scores.
        sizes: Each language's activation sizes.
        out: The folder to make.
        n_sources: Languages in which a fact's neurons are looked for.
        max_facts: Facts a relation.
        m: Neurons of a set.
        n_unrelated: Prompts of other relations a fact.
        n_draws: Matched random sets a fact.
        how: How edits are looked for.
        seed: Of new objects, unrelated prompts and random sets.
        key: Names the work; see `checkpoints.key`.

    Where no fact is known in `n_sources` languages and one more, as with two languages,
    `meta.json` alone is written and says so.
    """
    scores = {language: knowledge_sets.read_scores(path) for language, path in attributed.items()}
    recalled = {language: store.read_table(path) for language, path in recalls.items()}
    tables, tokens = plan.read_tables(recalled, scores), CandidateTokens(lm)
    cases = plan.cases(tables, tokens, n_sources=n_sources, max_facts=max_facts, seed=seed)
    about = _meta(cases, tables, n_sources=n_sources, m=m)
    if not cases:
        with store.whole(out) as folder:
            store.write_json(folder / META, {**about, "reason": _reason(tables, n_sources)})
        return
    sets = arm_sets.choose(
        lm,
        tables,
        scores,
        {language: relation_sets.read_sets(path) for language, path in sizes.items()},
        cases,
        m=m,
        target=store.read_json(next(iter(attributed.values())) / knowledge_sets.META)["target"],
        n_draws=n_draws,
        seed=seed,
    )
    asked = plan.asked(tables, cases, n_unrelated=n_unrelated, seed=seed)
    bench = fitted_edits.EditBench(lm, tables, sets, asked, how, tokens)
    effects, edits = _operations(bench, key), _edits(bench, cases, key)
    with store.whole(out) as folder:
        store.write_table(folder / SETS, neuron_sets.members(sets))
        store.write_table(folder / EFFECTS, effects)
        store.write_table(folder / EDITS, edits)
        store.write_json(folder / META, about)
    for name in (EFFECTS, EDITS):
        checkpoints.done(f"{name}-{key}")


def _operations(bench: fitted_edits.EditBench, key: str) -> pd.DataFrame:
    intervention = suppress_enhance.both_operations(bench.lm, bench.sets)
    asked = bench.asked[["fact", "where", *KEY]]
    prompts = bench.asked.drop(columns=["fact", "where"]).drop_duplicates(KEY)
    prompts = prompts.sort_values(["language", "relation", "template", "measured"])
    found = checkpoints.in_parts(
        prompts,
        lambda part: suppress_enhance.measure_operations(
            intervention, bench.sets, part, asked, bench.tokens
        ),
        key=f"{EFFECTS}-{key}",
        size=16,
    )
    order = ["fact", "method", "draw", "operation", "where", *KEY]
    return found.rename(columns={"method": "arm"}).sort_values(
        [("arm" if c == "method" else c) for c in order], ignore_index=True
    )


def _edits(bench: fitted_edits.EditBench, cases: Sequence[Case], key: str) -> pd.DataFrame:
    by_fact = {case.fact: case for case in cases}
    return checkpoints.in_parts(
        pd.DataFrame({"fact": list(by_fact)}),
        lambda part: fitted_edits.edit(bench, [by_fact[fact] for fact in part["fact"]]),
        key=f"{EDITS}-{key}",
        size=4,
    )


def _reason(tables: Tables, n_sources: int) -> str:
    known = {language: len(held) for language, held in tables.held.items()}
    return (
        f"no fact is attributed in {n_sources} languages and one more, with a new object that "
        f"begins differently in all of them; facts by language: {known}"
    )


def _meta(cases: Sequence[Case], tables: Tables, *, n_sources: int, m: int) -> dict[str, Any]:
    return {
        "n_facts": len(cases),
        "n_sources": n_sources,
        "neurons": m,
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
