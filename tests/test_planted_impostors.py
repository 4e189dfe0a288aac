"""Neurons that matter to answers, and are no relation neurons, are not taken for them.

The planted model, changed: both constant units add to every relation's strength (unspecific), and a
relation's traps, which read one of its first paraphrases, add to its own (template neurons). The
planted units add less, so that answers are not beyond all doubt. What a fact unit adds goes to one
answer alone (answer-token neurons), as before.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted
from neuron_atlas.activations import extraction
from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.arms.settings import Interference
from neuron_atlas.interventions import interference
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.addresses import to_flat
from neuron_atlas.neurons.relation_sets import RelationSets, SetsByRelation
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.verdicts.relation_verdicts import relation_neurons_exist
from planted import NEURONS, RELATIONS, SUBJECTS
from planted_scores import recalled
from test_planted_pipeline import HOW

UNSPECIFIC = ("constant:0", "constant:1")
TEMPLATE = {r: [f"trap:{r}.{p}" for p in range(planted.N_PARAPHRASES - 1)] for r in RELATIONS}


def flat(*names: str) -> np.ndarray:
    return np.sort(to_flat([NEURONS[name] for name in names], planted.N_NEURONS))


@dataclass(frozen=True)
class Changed:
    """The changed model, asked."""

    lm: LanguageModel
    work: LanguageWork

    def measured(self, sets: SetsByRelation, folder: Path, how: Interference = HOW) -> pd.DataFrame:
        """Switch sets off; no control holds a unit that was planted or changed."""
        known = [planted.planted(r) for r in RELATIONS]
        known += [flat(*names) for names in (*TEMPLATE.values(), UNSPECIFIC)]
        size = np.ones((planted.N_LAYERS, planted.N_NEURONS))
        found = RelationSets(sets, size, np.unique(np.concatenate(known)), "xa")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)  # where finished groups are kept
            table = interference.measure_language(
                self.lm, self.work.values.facts, found, how, self.work, seed=0, tolerance=0.0
            )
        return table.assign(language="xa")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    folder = tmp_path_factory.mktemp("impostors")
    every = {f"strength:{r}": 1.0 for r in RELATIONS}
    own = {name: {f"strength:{r}": 1.0} for r in RELATIONS for name in TEMPLATE[r]}
    less = {f"{n}:{r}": {f"strength:{r}": -0.75} for n in ("first", "second") for r in RELATIONS}
    lm = planted.model(dict.fromkeys(UNSPECIFIC, every) | own | less)
    table = recalled(lm, "xa")
    prompts, place = prompt_choice.answered_prompts(table), folder / "work"
    extraction.save(lm, prompts, folder / "xa", site="hidden", pooling="answer", place=place)
    return Changed(lm, LanguageWork("xa", Recorded(folder / "xa", table), "impostors xa-"))


def verdict(table: pd.DataFrame) -> str:
    return relation_neurons_exist(table, negligible=0.05).verdict


def effects(table: pd.DataFrame) -> pd.Series:
    sets = table[(table["kind"] == "set") & (table["relation"] == table["measured"])]
    return sets.groupby("relation")["effect"].mean()


def test_relation_neurons_are_found_beside_unspecific_ones(
    changed: Changed, tmp_path: Path
) -> None:
    """Positive control."""
    sets = {r: np.union1d(planted.planted(r), flat(*UNSPECIFIC)) for r in RELATIONS}
    table = changed.measured(sets, tmp_path)
    assert (effects(table) < -1).all()
    assert verdict(table) == "supported"


def test_what_harms_every_relation_alike_is_not_found(changed: Changed, tmp_path: Path) -> None:
    table = changed.measured(dict.fromkeys(RELATIONS, flat(*UNSPECIFIC)), tmp_path)
    assert (effects(table) < -0.2).all()
    assert verdict(table) == "not supported"


def test_neurons_of_the_wordings_that_select_are_not_found(
    changed: Changed, tmp_path: Path
) -> None:
    asked = changed.work.values.facts
    by_template = asked[asked["context"] == "none"].groupby("template")["log_probability"].mean()
    assert (by_template[:-1] > by_template.iloc[-1] + 0.03).all()  # they matter
    table = changed.measured({r: flat(*TEMPLATE[r]) for r in RELATIONS}, tmp_path)
    assert (effects(table) == 0).all()
    assert verdict(table) == "untestable"  # they push nothing in the wording that tests


def test_neurons_of_answers_that_select_are_not_found(changed: Changed, tmp_path: Path) -> None:
    asked = changed.work.values.facts
    seen = set(asked.loc[asked["answer_split"] == "identification", "answer"])
    units = {r: [s for s in SUBJECTS if planted.answer(r, s) in seen] for r in RELATIONS}
    sets = {r: flat(*(f"fact:{r}:{s}" for s in some)) for r, some in units.items()}
    table = changed.measured(sets, tmp_path, HOW.model_copy(update={"max_seen": 2}))
    assert (effects(table[table["seen"]]) < -1).all()  # they matter
    assert (effects(table[~table["seen"]]) == 0).all()
    assert verdict(table) != "supported"
