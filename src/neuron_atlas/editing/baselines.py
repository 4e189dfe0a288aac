"""Edits of one layer's whole down-projection, and the layers in which they are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from torch import Tensor

from neuron_atlas.editing.equal_reliability import to_margin
from neuron_atlas.editing.fitted_edits import ArmEdit
from neuron_atlas.editing.measured_edits import Questions, measure
from neuron_atlas.editing.plan import Case
from neuron_atlas.editing.settings import EditingPlan
from neuron_atlas.editing.tables import BASELINES, FT_L, GENERALITY, LOCALITY, ROME
from neuron_atlas.editing.tokenised import fit_prompts
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.fine_tuning import fine_tune
from neuron_atlas.model_edits.fit_prompts import FitPrompts
from neuron_atlas.model_edits.key_covariance import KeyCovariance
from neuron_atlas.model_edits.rome import edit_by_rome
from neuron_atlas.model_edits.value_edits import ValueEdit, layer_neurons


@dataclass(frozen=True)
class Baselines:
    """The two ways of editing a matrix, ready for use.

    Attributes:
        how: Their bounds, and the steps of all arms.
        covariance: Of the keys of each layer that may be edited by ROME.
    """

    how: EditingPlan
    covariance: Mapping[int, KeyCovariance]

    @property
    def margin(self) -> float:
        """The margin that all edits are fitted and scaled to."""
        return self.how.descent.margin

    def fit(self, lm: LanguageModel, prompts: FitPrompts, arm: str, layer: int) -> list[ArmEdit]:
        """Return one baseline's edit of each fact, in one layer."""
        found, neurons = self._change(lm, prompts, arm, layer), layer_neurons(lm, layer)
        return [ArmEdit(arm, ValueEdit(neurons, delta)) for delta in found.cpu()]

    def _change(self, lm: LanguageModel, prompts: FitPrompts, arm: str, layer: int) -> Tensor:
        descent, bounds = self.how.descent, self.how.baselines
        if arm == FT_L:
            return fine_tune(lm, prompts, layer, descent, max_change=bounds.max_change)
        return edit_by_rome(
            lm, prompts, layer, self.covariance[layer], descent, max_norm=bounds.max_norm
        )


def tried_layers(n_layers: int, n: int) -> list[int]:
    """Return the middles of `n` equal parts of the layers, or all layers if there are fewer."""
    return [int((i + 0.5) * n_layers / min(n, n_layers)) for i in range(min(n, n_layers))]


def measurable(questions: Questions, cases: Sequence[Case]) -> list[Case]:
    """Return the cases on which a layer can be tried: those with a held or an unrelated prompt."""
    asked = questions.asked
    known = set(asked.loc[asked["where"].isin((GENERALITY, LOCALITY)), "fact"])
    return [case for case in cases if case.fact in known]


def try_layers(
    questions: Questions, with_baselines: Baselines, cases: Sequence[Case], layers: Sequence[int]
) -> pd.DataFrame:
    """Measure both baselines in some layers on the development facts, which are `measurable`.

    Returns:
        One row per layer and baseline: `layer`, `arm`, and `generality` and `locality`, the mean
        gain of the new answer over the old one on the held paraphrase and the mean absolute change
        of other facts' answers, nats.
    """
    lm, asked = questions.lm, questions.asked
    some = replace(questions, asked=asked[asked["where"].isin((GENERALITY, LOCALITY))])
    prompts = fit_prompts(lm, questions.tables, questions.tokens, cases)
    rows = []
    for layer in layers:
        fitted = {arm: with_baselines.fit(lm, prompts, arm, layer) for arm in BASELINES}
        tables = []
        for i, case in enumerate(cases):
            edits = to_margin(
                some, case, [fitted[arm][i] for arm in BASELINES], margin=with_baselines.margin
            )
            tables.append(measure(some, case, edits))
        found = pd.concat(tables, ignore_index=True)
        rows += [{"layer": layer, "arm": arm, **_tried(found, arm)} for arm in BASELINES]
    return pd.DataFrame(rows)


def _tried(table: pd.DataFrame, arm: str) -> dict[str, float]:
    own = table[table["arm"] == arm]
    old = (own["old_after"] - own["old_before"]).astype(np.float64)
    gain = (own["new_after"] - own["new_before"]).astype(np.float64) - old
    return {
        GENERALITY: float(gain[own["where"] == GENERALITY].mean()),
        LOCALITY: float(old[own["where"] == LOCALITY].abs().mean()),
    }


def best_layers(tried: pd.DataFrame, n_layers: int) -> dict[str, int]:
    """Return each baseline's layer: where generality less locality is largest, or the lowest such.

    Languages other than the first source have no part in it. Where nothing was tried it is the
    middle layer.
    """
    if tried.empty:
        return dict.fromkeys((FT_L, ROME), n_layers // 2)
    score = (tried[GENERALITY].fillna(0) - tried[LOCALITY].fillna(0)).round(6)
    order = tried.assign(score=score).sort_values(["score", "layer"], ascending=[False, True])
    best = order.drop_duplicates("arm").set_index("arm")["layer"]
    return {arm: int(best[arm]) for arm in BASELINES}
