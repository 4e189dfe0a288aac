"""Stage `attribution_methods`: score, ablate and write down, one fact after the other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from neuron_atlas.attribution_methods import costs, means, methods
from neuron_atlas.attribution_methods.case import Case, case_of
from neuron_atlas.attribution_methods.methods import METHODS, OWN, Scored
from neuron_atlas.attribution_methods.sample import best, sample
from neuron_atlas.attribution_methods.set_ablations import kept_and_taken, set_sizes
from neuron_atlas.attribution_methods.settings import MethodComparison
from neuron_atlas.attribution_methods.single_ablations import drops
from neuron_atlas.attributions import strongest
from neuron_atlas.attributions.gradients import Mean
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens

TABLE, META = "measurements.parquet", "meta.json"  # of the stage's folder
COLUMNS = {
    **dict.fromkeys(("fact", "relation"), "str"),
    "template": "int64",
    **dict.fromkeys(("quantity", "name"), "str"),
    "item": "int64",
    "value": "float64",
}
NO_ITEM = -1
Rows = Iterator[tuple[str, str, int, float]]  # quantity, name, item and value


@dataclass(frozen=True)
class Comparison:
    """What is compared in one language, and with which settings.

    Attributes:
        lm: The model.
        recalled: The language's recall table.
        plan: How stage `attributions` attributes, with its steps.
        how: What is compared.
        language: Its code.
        seed: The seed.
    """

    lm: LanguageModel
    recalled: pd.DataFrame
    plan: AttributionPlan
    how: MethodComparison
    language: str
    seed: int

    @cached_property
    def prompts(self) -> pd.DataFrame:
        """One right prompt of each compared fact; none in a language without known facts."""
        if not self.recalled["known"].any():
            return self.recalled.iloc[:0]
        known = prompt_choice.first_known(self.recalled, max_facts=self.how.max_facts)
        return prompt_choice.measured_prompts(
            self.recalled, known["fact"].drop_duplicates().tolist()
        )

    @cached_property
    def means(self) -> means.Means:
        """Each relation's mean values."""
        chosen = means.mean_prompts(self.recalled, per_relation=self.how.mean_prompts)
        return means.relation_means(self.lm, chosen)

    @cached_property
    def path_mean(self) -> Mean | None:
        """Where the paths of stage `attributions` start, if its baseline is `mean`."""
        known = prompt_choice.first_known(self.recalled, max_facts=self.plan.max_facts)
        return strongest.baseline_mean(self.lm, known, self.plan.baseline)

    @cached_property
    def methods(self) -> list[str]:
        """The methods that the model has."""
        missing = methods.absent(self.lm)
        return [name for name in METHODS if name not in missing]

    def measured(self, *, key: str) -> pd.DataFrame:
        """Return `COLUMNS` of all facts; finished ones are kept under the key.

        Each row is one number: of `quantity` `score` a method's, of `drop` a reference's exact one,
        both of the neuron `item`; of `kept` and `taken` the target with the `item` best neurons of
        a method alone kept, or alone taken away; of `target` that of the `clean` model, and with
        `none` of the neurons kept; of `error`, `forward` and `backward` a method's completeness
        error and passes.
        """
        return checkpoints.in_parts(self.prompts, self._of, key=key, size=1)

    def _of(self, prompts: pd.DataFrame) -> pd.DataFrame:
        parts, tokens = [], CandidateTokens(self.lm)
        for row in store.records(prompts):
            names = {name: row[name] for name in ("fact", "relation", "template")}
            found = pd.DataFrame(
                list(self._rows(self._case(row, tokens))),
                columns=["quantity", "name", "item", "value"],
            )
            parts.append(found.assign(**names)[[*COLUMNS]].astype(COLUMNS))
        return pd.concat(parts, ignore_index=True) if parts else store.no_rows(COLUMNS)

    def _case(self, row: Mapping[str, Any], tokens: CandidateTokens) -> Case:
        return case_of(
            self.lm,
            question_of(tokens, row),
            self.plan,
            others=means.of_others(self.means, str(row["relation"])),
            path_mean=self.path_mean,
            name=(self.language, str(row["fact"])),
            seed=self.seed,
            input_steps=self.how.input_steps,
        )

    def _rows(self, case: Case) -> Rows:
        scored = {name: METHODS[name](case) for name in self.methods}
        flat = {name: one.scores.double().flatten().numpy() for name, one in scored.items()}
        sizes = set_sizes(self.how.largest, case.lm.n_layers * case.lm.n_neurons)
        orders = {name: best(one, max(self.how.top, sizes[-1])) for name, one in flat.items()}
        yield from self._single(case, flat, orders)
        yield from _sets(case, orders, sizes)
        yield from _about(case, scored)

    def _single(
        self,
        case: Case,
        flat: Mapping[str, Float[np.ndarray, " neuron"]],
        orders: Mapping[str, Int64[np.ndarray, " _"]],
    ) -> Rows:
        neurons = sample(
            [order[: self.how.top] for order in orders.values()],
            n_layers=case.lm.n_layers,
            n_neurons=case.lm.n_neurons,
            per_layer=self.how.per_layer,
            rng=stream(self.seed, "attribution_methods", "sample", *case.name),
        )
        found = {("score", name): one[neurons] for name, one in flat.items()}
        found |= {
            ("drop", name): one.double().numpy() for name, one in drops(case, neurons).items()
        }
        for (quantity, name), values in found.items():
            for neuron, value in zip(neurons.tolist(), values.tolist(), strict=True):
                yield quantity, name, neuron, value


def _sets(case: Case, orders: Mapping[str, Int64[np.ndarray, " _"]], sizes: Sequence[int]) -> Rows:
    kept, taken, none = kept_and_taken(case, orders, sizes)
    yield "target", "clean", NO_ITEM, float(case.value.sum())
    yield "target", "none", NO_ITEM, none
    for quantity, curves in (("kept", kept), ("taken", taken)):
        for name, values in curves.items():
            for size, value in zip(sizes, values, strict=True):
                yield quantity, name, size, value


def _about(case: Case, scored: Mapping[str, Scored]) -> Rows:
    passes = costs.passes(case)
    for name, one in scored.items():
        yield "error", name, NO_ITEM, one.error
        yield "forward", name, NO_ITEM, float(passes[name].forward)
        yield "backward", name, NO_ITEM, float(passes[name].backward)


def write(table: pd.DataFrame, out: Path, comparison: Comparison) -> None:
    """Write the measurements, and what they were made with, to the folder `out`."""
    plan, how = comparison.plan, comparison.how
    about = {
        **how.model_dump(),
        "target": plan.target,
        "baseline": plan.baseline,
        "steps": plan.steps,
        "own": {name: OWN[name] for name in comparison.methods},
        "absent": methods.absent(comparison.lm),
        "n_facts": int(table["fact"].nunique()),
    }
    with store.whole(out) as folder:
        store.write_table(folder / TABLE, table)
        store.write_json(folder / META, about)
