"""Which findings hold when neurons are set to other values, at other positions, in other numbers?

`make robustness` measures each combination on one language of the last run, beside controls of
equal push, and writes docs/robustness.md.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.arm import Arm, Scaled
from neuron_atlas.arms.controls import Asked
from neuron_atlas.arms.language_work import LanguageWork, asked_relations
from neuron_atlas.arms.measuring_arms import ALONE, ArmMeasurements, PlannedArms
from neuron_atlas.arms.settings import Interference, Positions, Value
from neuron_atlas.arms.tested_prompts import prompts_of_relations
from neuron_atlas.interventions.relation_arms import equal_pairs
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import relation_sets
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints, params, progress, store
from neuron_atlas.relation_neurons import build, casting
from neuron_atlas.relation_neurons.settings import SetPlan
from neuron_atlas.statistics.random_effects import MeanTest
from neuron_atlas.verdicts import arms

VALUES: tuple[Value, ...] = ("zero", "mean", "other_mean", "resampled")
POSITIONS: tuple[Positions, ...] = ("answer", "all")
SIZES = (0.25, 1.0, 4.0)  # of `relation_neurons.k`
MAX_FACTS, N_DRAWS = 6, 8
HEADER = """# Which findings hold

Made by `make robustness` from the last run, in one language ({language}): the neurons are set to
other values, at the answer or at all positions, in other numbers. Each line has controls of its
own: random sets of equal push ({draws} draws), and other relations' sets at equal push. Change of
the right answer's log-probability beyond them, nats, with 95 % intervals over {relations}
relations; at most {facts} unseen facts per relation, zero-shot. No line is corrected for others.

| set to | at | neurons | beyond random | of it the type | given the type | beyond other sets |
|---|---|---|---|---|---|---|
"""


class Line(NamedTuple):
    """One combination and what came out."""

    value: Value
    positions: Positions
    k: int
    beyond_random: MeanTest
    in_type: MeanTest
    given_type: MeanTest
    beyond_others: MeanTest


def largest_sets(data: Path, language: str, plan: SetPlan, seed: int) -> RelationSets:
    """Rank the neurons anew, four times as many as in the run; the first ones are the same."""
    many = plan.model_copy(update={"k": int(max(SIZES) * plan.k)})
    facts = store.read_table(data / "facts" / f"{language}.parquet")
    values = Recorded(data / "activations" / language, facts)
    settings = {**many.of_scores, "seed": seed}
    key = checkpoints.key("robustness", sorted(values.folder.iterdir()), settings)
    with tempfile.TemporaryDirectory() as folder:
        given = casting.languages({language: values}, {}, many, seed=seed)
        out = Path(folder) / "sets"
        build.build(given, out, many, seed=seed, keys={language: key})
        checkpoints.done(key)
        return relation_sets.read_sets(out / language)


def planned(asked: Asked, language: str, found: RelationSets) -> PlannedArms:
    """List a relation's set, random ones of equal push, and pairs with the other relations'."""
    sets = {
        r: Arm("set", language, r, neurons, table=asked.table_of(r))
        for r, neurons in found.sets.items()
    }
    own = sets.pop(asked.relation)
    listed = [Scaled(arm) for arm in (own, *sets.values())]
    listed += asked.push_matched(own, found, kind="push_matched", n_draws=N_DRAWS)
    listed += equal_pairs(own, list(sets.values()))
    return PlannedArms(asked, listed)


def measured(
    lm: LanguageModel,
    recalled: pd.DataFrame,
    found: RelationSets,
    how: Interference,
    work: LanguageWork,
    seed: int,
) -> pd.DataFrame:
    """Measure one combination."""
    asked = asked_relations(lm, how, work, list(found.sets), names=("robustness",), seed=seed)
    plans = {r: partial(planned, one, work.language, found) for r, one in asked.items()}
    prompts = prompts_of_relations(recalled, list(asked), how, seed=seed)
    prompts = prompts[(prompts["context"] == ALONE) & ~prompts["seen"]]
    return ArmMeasurements(lm, "hidden", how.everywhere, 1e-3, plans).measure(prompts)


def judged(table: pd.DataFrame) -> dict[str, MeanTest]:
    """Return the contrasts of one combination."""
    rows = arms.held_out(table, right=True)
    sets, own = arms.own(arms.of_kind(rows, "set")), arms.own(rows)
    matched = arms.of_kind(own, "push_matched")
    parts = {"beyond_random": "effect", "in_type": "effect_type", "given_type": "effect_given_type"}
    found = {
        name: arms.excess(sets, matched, value=value).tested() for name, value in parts.items()
    }
    return {**found, "beyond_others": arms.specificity(rows, sets, prefix="").tested()}


def lines(model: Path, data: Path, language: str) -> Iterator[Line]:
    """Measure every combination."""
    seed, plan = params.load_seed(), params.load("relation_neurons", SetPlan)
    how = params.load("interference", Interference)
    how = how.model_copy(update={"max_facts": MAX_FACTS, "max_seen": 0})
    largest = largest_sets(data, language, plan, seed)
    lm = language_model.load(model)
    recalled = store.read_table(data / "recall" / f"{language}.parquet")
    values = Recorded(data / "activations" / language, recalled)
    work = LanguageWork(language, values, "robustness")
    every = list(product(SIZES, POSITIONS, VALUES))
    for size, positions, value in progress.each(every, "robustness", unit="combination"):
        k = round(size * plan.k)
        sets = {r: neurons[:k] for r, neurons in largest.sets.items()}
        chosen = how.model_copy(update={"value": value, "positions": positions})
        table = measured(lm, recalled, replace(largest, sets=sets), chosen, work, seed)
        yield Line(value, positions, k, **judged(table.assign(language=language)))


def shown(found: MeanTest) -> str:
    """Return a mean with its interval."""
    effect = found.effect
    return f"{effect.mean:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}]"


def row(line: Line) -> str:
    """Return a line of the table."""
    cells: list[object] = [line.value.replace("_", " "), line.positions, line.k]
    return "| " + " | ".join(map(str, [*cells, *map(shown, line[3:])])) + " |\n"


def main(model: Path, data: Path, language: str, out: Path) -> None:
    """Write the table."""
    found = list(lines(model, data, language))
    n = round(found[0].beyond_random.freedom) + 1
    about: Mapping[str, object] = {
        "language": language,
        "draws": N_DRAWS,
        "relations": n,
        "facts": MAX_FACTS,
    }
    with store.atomic(out) as temporary:
        text = HEADER.format(**about) + "".join(map(row, found))
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
