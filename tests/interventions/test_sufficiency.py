"""Installing a relation's neurons raises its type and answer where they carry the relation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted
import planted_scores
from few_controls import FEW
from neuron_atlas.activations import extraction
from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.facts import roles
from neuron_atlas.interventions import sufficiency
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints
from neuron_atlas.scoring import prompt_choice

HOW = FEW.model_copy(update={"n_draws": 3})


def carried() -> LanguageModel:
    """Return the planted model, but its fact units need the strength alone, not the word.

    A unit is relu(strength:r + 4 subject:s - 4), so installed strength stands in for the question.
    """
    lm = planted.model()
    gate = lm.blocks[2].get_submodule("mlp.gate_proj").weight
    for name, neuron in planted.NEURONS.items():
        if name.startswith("fact:"):
            gate[neuron.index, planted.PLACE[f"relation:{name.split(':')[1]}"]] = 0
            gate[neuron.index, planted.PLACE["one"]] = -4
    return lm


def measured(lm: LanguageModel, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the recall table of one language, and what installing does."""
    table = planted_scores.recalled(lm, "xa")
    extraction.save(
        lm,
        prompt_choice.answered_prompts(table),
        folder / "xa",
        site="hidden",
        pooling="answer",
        place=folder / "work",
    )
    every = np.concatenate([planted.planted(r) for r in planted.RELATIONS])
    sets = {r: planted.planted(r) for r in planted.RELATIONS}
    found = RelationSets(sets, planted_scores.source().size, np.unique(every), "xa")
    work = LanguageWork("xa", Recorded(folder / "xa", table), "sufficiency xa-")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = sufficiency.measure_language(lm, table, found, HOW, work, seed=0, tolerance=0.0)
        checkpoints.done(work.key)
    return table, rows


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    return measured(carried(), tmp_path_factory.mktemp("carried"))


def apart(rows: pd.DataFrame) -> pd.Series:
    """Say per row whether what is asked feeds no neuron of what is installed."""
    pairs = [{*pair} for pair in zip(rows["relation"], rows["measured"], strict=True)]
    return pd.Series([p not in ({"alpha", "beta"}, {"gamma", "delta"}) for p in pairs], rows.index)


def of_kind(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    return rows[rows["kind"] == kind]


def test_another_relation_is_asked_of_the_same_subject(
    both: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    table, _ = both
    crossed = sufficiency.crossed_prompts(table, HOW, relations=list(planted.RELATIONS), seed=0)
    assert crossed.groupby("relation")["fact"].nunique().eq(HOW.max_facts).all()
    assert (crossed["measured"] != crossed["relation"]).all()
    asked = table[roles.testing_templates(table)].set_index(["relation", "subject"])["prompt"]
    for row in crossed.itertuples():
        assert row.prompt == asked[row.measured, row.subject]
        assert all(c.startswith(f"{row.relation}.") for c in row.candidates)
    one = table[table["relation"] == "alpha"]
    assert sufficiency.crossed_prompts(one, HOW, relations=["alpha"], seed=0).empty


def test_installed_neurons_raise_the_type_and_the_answer(
    both: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """By hand, where gamma or epsilon is installed while beta is asked: logits 8 and 7."""
    _, rows = both
    install = of_kind(rows, "install")
    assert set(install["relation"]) == set(planted.RELATIONS)
    assert (install["effect_type"] > 1).all()
    assert (install["effect"] > 2).all()
    assert (install.loc[apart(install), "effect_given_type"] > 0.5).all()
    shown = install["correct_after"] & ~install["correct_before"]
    assert shown.any()
    assert install["correct_after"].all()


def test_controls_of_equal_push_do_not(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    _, rows = both
    key = ["relation", "measured", "fact"]
    install = of_kind(rows, "install").set_index(key)
    matched = of_kind(rows, "install_matched")
    assert matched["draw"].nunique() == HOW.n_draws
    assert (matched["effect"] == 0).all()
    assert (matched["effect_type"] == 0).all()
    others = of_kind(rows, "install_other")
    assert others.groupby(key)["order"].nunique().eq(HOW.n_others).all()
    assert (others["order"] != others["relation"]).all()
    rest = others[~others["order"].isin(["alpha", "gamma", "delta"])]  # they feed other strengths
    assert (rest["effect_type"] <= 1e-6).all()
    mean = rows.groupby("kind")["effect_type"].mean()
    assert mean["install"] > 3
    assert (mean.drop("install") <= 1e-6).all()  # directions do harm
    for kind in ("install_other", "install_direction", "install_matched"):
        part = of_kind(rows, kind).set_index(key)["push"]
        share = (part / install["push"].reindex(part.index)).to_numpy()
        assert (share < 1.001).all()
        assert (share > 0.999).mean() > 0.3  # others move nothing, or not enough at any gain


def test_neurons_that_only_detect_are_not_enough(tmp_path: Path) -> None:
    """Positive control: as planted, a fact unit needs the relation's own word as well."""
    _, rows = measured(planted.model(), tmp_path)
    install = of_kind(rows, "install")
    assert (install.loc[apart(install), "effect_type"].abs() < 1e-6).all()
    assert (install["push"] > 1).all()
