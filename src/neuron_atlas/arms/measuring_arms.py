"""Measure arms on prompts, one relation at a time, and how far each pushes on each prompt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from neuron_atlas.activations import extraction
from neuron_atlas.arms import arm as listed
from neuron_atlas.arms.arm import Scaled
from neuron_atlas.arms.controls import Asked, scaled
from neuron_atlas.arms.measuring import MEASURES, measure, question
from neuron_atlas.arms.push import CleanValues, Writing
from neuron_atlas.arms.written_texts import TEXTS, write
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Edits, Intervention
from neuron_atlas.scoring.candidates import CandidateTokens

ALONE = "none"  # the context of a question that is asked without demonstrations
PROMPT = {
    **dict.fromkeys(("measured", "context", "fact"), "str"),
    "template": "int64",
    **dict.fromkeys(("seen", "known"), "bool"),
}
COLUMNS = {**listed.COLUMNS, **PROMPT, "push": "float32", **MEASURES}


@dataclass(frozen=True)
class PlannedArms:
    """The arms that are measured for one relation.

    Attributes:
        asked: The relation's questions, as controls see them.
        arms: The arms, each with what it is scaled to.
        few: Places of those that are measured with demonstrations, and on seen answers, too.
    """

    asked: Asked
    arms: Sequence[Scaled]
    few: Sequence[int] = ()

    def places(self, *, few: bool) -> list[int]:
        """Return the places of the arms to measure."""
        return list(self.few) if few else list(range(len(self.arms)))


@dataclass
class ArmMeasurements:
    """Measures each relation's arms on its prompts.

    Attributes:
        lm: The model.
        site: Which values of the MLP are neurons.
        everywhere: Whether all positions of a prompt are edited.
        tolerance: As in `log_probability.ask`.
        plans: What makes each relation's arms; called once, when its first prompt comes.
        group: Prompts that are measured together: few, so that little is lost by a kill, and
            enough that what all of their arms share is small beside them.
    """

    lm: LanguageModel
    site: Site
    everywhere: bool
    tolerance: float
    plans: Mapping[str, Callable[[], PlannedArms]]
    group: int = 6
    _ready: "dict[str, _ReadyArms]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tokens = CandidateTokens(self.lm)
        self._writing = Writing(self.lm, self.site)

    def measure(self, prompts: pd.DataFrame) -> pd.DataFrame:
        """Measure every arm of a prompt's relation on it.

        Args:
            prompts: One row per prompt: of the recall table's row of a fact, `relation` (whose arms
                are measured) and what tells its candidates; `prompt` (what is asked), `measured`
                (the relation that it asks for), and the rest of `PROMPT`.

        Returns:
            One row per (prompt, arm), with `COLUMNS`: changes in nats, negative where the model
            finds a text less probable; `push` is that of the arm on this prompt.
        """
        groups = prompts.groupby(["relation", "context", "seen"], sort=False)
        tables = [self._one(str(r), str(context), rows) for (r, context, _), rows in groups]
        return pd.concat(tables, ignore_index=True) if tables else no_rows()

    def _one(self, relation: str, context: str, rows: pd.DataFrame) -> pd.DataFrame:
        ready, records = self._prepared(relation), store.records(rows)
        places = ready.planned.places(few=context != ALONE or bool(rows["seen"].all()))
        planned = [ready.planned.arms[i] for i in places]
        scale, pushes = scaled(planned, ready.edits.some(places), self._clean(rows))
        off = self._intervention(listed.on_each_prompt(ready.edits.some(places), scale))
        numbers = np.arange(len(places) * len(records)).reshape(len(records), -1).tolist()
        found = measure(off, [question(self._tokens, row) for row in records], numbers)
        shown = listed.describe([one.arm for one in planned])
        tables = [
            shown.join(one.table()).assign(push=moved, **{name: row[name] for name in PROMPT})
            for one, row, moved in zip(found, records, pushes.T, strict=True)
        ]
        return pd.concat(tables, ignore_index=True)[list(COLUMNS)].astype(COLUMNS)

    def write(self, prompts: pd.DataFrame) -> pd.DataFrame:
        """Read what the model writes by itself under every arm, all prompts together.

        A step of a text costs a pass over the vocabulary, however many texts there are.

        Returns:
            One row per (prompt, arm) with the columns of `arms.COLUMNS`, `PROMPT` and
            `written_texts.TEXTS`; none for an encoder, which writes no text.
        """
        groups = [self._scaled(str(r), rows) for r, rows in prompts.groupby("relation", sort=True)]
        if not groups or self.lm.architecture.encoder:
            return store.no_rows({**listed.COLUMNS, **PROMPT, **TEXTS})
        off = self._intervention(ablation.joined([edits for edits, _, _ in groups]))
        rows = [row for _, _, records in groups for row in records]
        shown = [shown for _, shown, records in groups for _ in records]
        texts = write(off, rows, [question(self._tokens, row) for row in rows], map(len, shown))
        tables = [
            arms.join(text).assign(**{name: row[name] for name in PROMPT})
            for arms, text, row in zip(shown, texts, rows, strict=True)
        ]
        return pd.concat(tables, ignore_index=True)

    def _scaled(
        self, relation: str, rows: pd.DataFrame
    ) -> tuple[Edits, pd.DataFrame, list[dict[str, Any]]]:
        """Return a relation's arms on each of its prompts, what they are, and the prompts."""
        ready = self._prepared(relation)
        scale, _ = scaled(ready.planned.arms, ready.edits, self._clean(rows))
        shown = listed.describe([one.arm for one in ready.planned.arms])
        return listed.on_each_prompt(ready.edits, scale), shown, store.records(rows)

    def _intervention(self, edits: Edits) -> Intervention:
        return Intervention(
            self.lm, edits, site=self.site, everywhere=self.everywhere, tolerance=self.tolerance
        )

    def _clean(self, rows: pd.DataFrame) -> CleanValues:
        """Return the values of some prompts at the answer position, without intervention."""
        readings = [extraction.reading(self.lm, p, (0, 0), "answer") for p in rows["prompt"]]
        parts = list(extraction.extract(self.lm, readings, site=self.site))
        order = np.argsort(np.concatenate([places for places, _ in parts]))
        values = torch.cat([values for _, values in parts])[torch.from_numpy(order)]
        return CleanValues(self._writing, values.float())

    def _prepared(self, relation: str) -> "_ReadyArms":
        if relation not in self._ready:
            planned = self.plans[relation]()
            tables, arms = planned.asked.tables, [one.arm for one in planned.arms]
            self._ready = {relation: _ReadyArms(planned, listed.edits(arms, tables))}
        return self._ready[relation]  # one at a time: prompts come sorted by relation


@dataclass(frozen=True)
class _ReadyArms:
    """One relation's arms, ready to be scaled to each prompt."""

    planned: PlannedArms
    edits: Edits


def no_rows() -> pd.DataFrame:
    """Return an empty table with the columns and types of `ArmMeasurements.measure`."""
    return store.no_rows(COLUMNS)
