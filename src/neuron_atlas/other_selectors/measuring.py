"""Switch off, and install, what each selector found: the ablations of average precision's sets."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from neuron_atlas.arms.arm import Arm, Scaled
from neuron_atlas.arms.controls import Asked
from neuron_atlas.arms.language_work import LanguageWork, asked_relations
from neuron_atlas.arms.measuring_arms import ALONE, ArmMeasurements, PlannedArms
from neuron_atlas.arms.settings import Interference
from neuron_atlas.arms.tested_prompts import prompts_of_relations
from neuron_atlas.interventions.sufficiency import crossed_prompts, installed_relations
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import BESIDE, RelationSets, SetsByRelation
from neuron_atlas.other_selectors import sets
from neuron_atlas.pipeline import checkpoints

STAGE = "other_selectors"
PARTS = ("selected", "off", "installed")
SetsBySelector = Mapping[str, SetsByRelation]


def part_key(key: str, part: str) -> str:
    """Return the name of one of the `PARTS` of a stage's finished work; see `checkpoints.key`."""
    return f"{part} {key}"


@dataclass(frozen=True)
class SelectorMeasurements:
    """What is measured, with what.

    Attributes:
        lm: The model.
        recalled: The language's recall table.
        found: Its sets by average precision: their relations, and what controls may not hold.
        selected: Its sets by other selectors, and what is measured beside them.
        how: What neurons are set to, on how many facts, with how many controls.
        work: The recorded values, and how the measurements are resumed.
        seed: Of the draws and of the choice of facts.
        tolerance: As in `log_probability.ask`.
    """

    lm: LanguageModel
    recalled: pd.DataFrame
    found: RelationSets
    selected: SetsBySelector
    how: Interference
    work: LanguageWork
    seed: int
    tolerance: float

    def with_selected_by_model(self) -> "SelectorMeasurements":
        """Return the same with the sets of `sets.by_model` added."""
        key = part_key(self.work.key, "selected")
        more = sets.by_model(
            self.lm,
            self.recalled,
            self.found,
            self.work.values,
            self.how.value,
            seed=self.seed,
            key=key,
        )
        return replace(self, selected={**self.selected, **more})

    def necessity(self) -> pd.DataFrame:
        """Switch the sets off on the held-out facts on which average precision's are tested.

        Returns:
            The rows of `ArmMeasurements.measure`, without demonstrations, on unseen answers, with
            `order` the selector's name. Kinds: `selector` (a set), `selector_matched` (random
            controls of equal push), and `selector_other_set` (the selector's sets of some other
            relations) beside `selector_own_scaled`, both at the smaller of the two pushes; the
            other sets at their own push are `selector` rows, too. What is `BESIDE` the selectors
            is compared with random controls alone.
        """
        asked = asked_relations(
            self.lm, self.how, self.work, self._relations, names=(STAGE,), seed=self.seed
        )
        plans = {r: partial(self._off, one) for r, one in asked.items()}
        alone = self.recalled[self.recalled["context"] == ALONE]
        how = self.how.model_copy(update={"max_seen": 0})
        return self._measured(
            prompts_of_relations(alone, list(asked), how, seed=self.seed), plans, "off"
        )

    def sufficiency(self) -> pd.DataFrame:
        """Install the sets' values on the questions on which average precision's are.

        Returns:
            As `sufficiency.measure_language`, with `order` the selector's name. Kinds:
            `selector_install` and `selector_install_matched` (of equal push).
        """
        prompts = crossed_prompts(
            self.recalled, self.how, relations=self._relations, seed=self.seed
        )
        asked = installed_relations(
            self.lm, self.work, prompts, names=(STAGE, "install"), seed=self.seed
        )
        plans = {r: partial(self._installed, one) for r, one in asked.items()}
        return self._measured(prompts[prompts["relation"].isin(plans)], plans, "installed")

    @property
    def _site(self) -> Site:
        site: Site = self.work.values.meta["site"]
        return site

    @property
    def _relations(self) -> list[str]:
        return sorted({r for one in self.selected.values() for r in one})

    def _measured(
        self, prompts: pd.DataFrame, plans: Mapping[str, Callable[[], PlannedArms]], part: str
    ) -> pd.DataFrame:
        everywhere = self.how.everywhere
        arms = ArmMeasurements(self.lm, self._site, everywhere, self.tolerance, plans)
        key = part_key(self.work.key, part)
        return checkpoints.in_parts(prompts, arms.measure, key=key, size=arms.group)

    def _off(self, asked: Asked) -> PlannedArms:
        planned: list[Scaled] = []
        for own, every in self._own(asked, "selector", asked.table_of(asked.relation)):
            planned.append(Scaled(own))
            planned += self._matched(asked, own)
            if own.order not in BESIDE:
                planned += self._others(asked, own, every)
        return PlannedArms(asked, planned)

    def _installed(self, asked: Asked) -> PlannedArms:
        planned: list[Scaled] = []
        for own, _ in self._own(asked, "selector_install", asked.relation):
            planned += [Scaled(own), *self._matched(asked, own)]
        return PlannedArms(asked, planned)

    def _own(self, asked: Asked, kind: str, table: str) -> Iterator[tuple[Arm, SetsByRelation]]:
        """Yield each selector's set of a relation, and its sets of all relations."""
        for selector, every in self.selected.items():
            if (relation := asked.relation) in every:
                chosen = every[relation]
                yield Arm(kind, self.work.language, relation, chosen, table, order=selector), every

    def _matched(self, asked: Asked, own: Arm) -> Iterator[Scaled]:
        n, kind = self.how.n_across_draws, f"{own.kind}_matched"
        return asked.push_matched(own, self.found, kind=kind, n_draws=n)

    def _others(self, asked: Asked, own: Arm, every: SetsByRelation) -> Iterator[Scaled]:
        """Compare a set with the same selector's sets of other relations, at equal push."""
        drawn = asked.drawn(own.source, sorted(every), self.how.n_others)
        for i, name in enumerate(drawn):
            other = replace(own, relation=name, neurons=every[name], table=asked.table_of(name))
            both = (own, other)
            yield Scaled(other)
            yield Scaled(replace(other, kind="selector_other_set", draw=i), both)
            yield Scaled(replace(own, kind="selector_own_scaled", draw=i), both)
