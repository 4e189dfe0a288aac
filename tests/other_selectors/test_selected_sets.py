"""Other selectors' sets go through the ablation of average precision's, and are compared."""

from dataclasses import replace
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
from neuron_atlas.findings import selectors
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import BESIDE, LEFT_OUT, WITHOUT_SIBLINGS, RelationSets
from neuron_atlas.other_selectors import measuring, sets
from neuron_atlas.other_selectors.measuring import SelectorMeasurements
from neuron_atlas.other_selectors.scores import BY_MODEL
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.verdicts.selector_verdict import average_precision_beats_other_selectors

HOW = FEW.model_copy(update={"max_seen": 1})
FOUND = RelationSets(
    {r: planted.planted(r) for r in planted.RELATIONS},
    np.ones((planted.N_LAYERS, planted.N_NEURONS)),
    np.empty(0, dtype=np.int64),
    "xa",
)


@pytest.fixture(scope="module")
def tested(
    planted_model: LanguageModel, tmp_path_factory: pytest.TempPathFactory
) -> SelectorMeasurements:
    folder = tmp_path_factory.mktemp("other_selectors")
    recalled = planted_scores.recalled(planted_model, "xa")
    prompts, values = prompt_choice.answered_prompts(recalled), folder / "values"
    extraction.save(
        planted_model, prompts, values, site="hidden", pooling="answer", place=folder / "work"
    )
    junk = {r: np.sort(planted_scores.unit(*planted_scores.FILLER[:3])) for r in FOUND.sets}
    work = LanguageWork("xa", Recorded(values, recalled), "other_selectors xa-0")
    given = SelectorMeasurements(
        planted_model,
        recalled,
        FOUND,
        {"junk": junk, WITHOUT_SIBLINGS: {"epsilon": FOUND.sets["epsilon"]}},
        HOW,
        work,
        seed=0,
        tolerance=0.01,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where finished groups are kept
        return given.with_selected_by_model()


@pytest.fixture(scope="module")
def measured(
    tested: SelectorMeasurements, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        return pd.concat([tested.necessity(), tested.sufficiency()], ignore_index=True)


def test_all_selectors_get_as_many_neurons(tested: SelectorMeasurements) -> None:
    assert set(tested.selected) == {"junk", *BY_MODEL, *BESIDE}
    for name, found in tested.selected.items():
        every = ("epsilon",) if name == WITHOUT_SIBLINGS else planted.RELATIONS
        assert {r: len(one) for r, one in found.items()} == dict.fromkeys(every, planted.M)


def test_the_null_of_patching_lacks_the_relations_own_neurons(tested: SelectorMeasurements) -> None:
    patching, null = (tested.selected[name] for name in ("attribution_patching", LEFT_OUT))
    for relation in planted.RELATIONS:
        own = set(planted.planted(relation).tolist())
        assert len(own & set(patching[relation].tolist())) > planted.M / 2
        assert not own & set(null[relation].tolist())


def test_no_banned_neuron_is_selected(tested: SelectorMeasurements, tmp_path: Path) -> None:
    banned = np.unique(np.concatenate([s["epsilon"] for s in tested.selected.values()]))
    again = replace(tested, found=replace(FOUND, banned=banned))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        found = again.with_selected_by_model().selected
    for name in BY_MODEL:
        assert not np.isin(found[name]["epsilon"], banned).any()


def test_every_arm_is_there_on_unseen_answers(
    tested: SelectorMeasurements, measured: pd.DataFrame
) -> None:
    assert not measured["seen"].any()
    assert set(measured["order"]) == set(tested.selected)
    facts = measured[measured["kind"] == "selector"].groupby("measured")["fact"].nunique()
    assert facts.between(1, HOW.max_facts).all()
    own = measured[measured["relation"] == measured["measured"]]
    each = own.groupby(["order", "measured", "fact"])["kind"].value_counts().unstack(fill_value=0)
    assert (each["selector"] == 1).all()
    assert (each["selector_matched"] == HOW.n_across_draws).all()
    scaled = each["selector_own_scaled"]
    beside = scaled.index.get_level_values("order").isin(BESIDE)
    assert (scaled[~beside] == HOW.n_others).all()
    assert (scaled[beside] == 0).all()
    other = measured[measured["kind"] == "selector_other_set"]
    assert (other["relation"] != other["measured"]).all()


def test_junk_costs_nothing_and_what_gradients_find_does(measured: pd.DataFrame) -> None:
    """Positive control: one selector that finds what nothing reads."""
    own = measured[measured["relation"] == measured["measured"]]
    effects = own[own["kind"] == "selector"].groupby("order")["effect"].mean()
    assert effects["junk"] == pytest.approx(0, abs=planted.NATS)
    assert effects["attribution_patching"] < -1
    assert effects[LEFT_OUT] > effects["attribution_patching"] / 2
    assert effects[WITHOUT_SIBLINGS] < -1


def test_the_table_has_every_selector_beside_average_precision(
    tested: SelectorMeasurements, measured: pd.DataFrame
) -> None:
    renamed = {new: old for old, new in (selectors.OFF | selectors.INSTALLED).items()}
    patching = measured[measured["order"] == "attribution_patching"]
    own = patching.assign(kind=patching["kind"].map(renamed), order="", language="xa")
    off, installed = (own[own["kind"].isin(list(k))] for k in (selectors.OFF, selectors.INSTALLED))
    rows = selectors.beside_average_precision(off, installed, measured.assign(language="xa"))
    members = sets.as_table(tested.selected, FOUND).assign(language="xa")
    found = selectors.compared(rows, members).set_index("selector")
    assert list(found.index[:1]) == ["average_precision"]
    assert set(found.index[1:]) == set(tested.selected)
    best, same, junk = (
        found.loc[name] for name in ("average_precision", "attribution_patching", "junk")
    )
    assert best["necessity_excess"] == same["necessity_excess"] < -1 < junk["necessity_excess"]
    assert best["specificity_excess"] == same["specificity_excess"] < -0.3
    assert (found["jaccard"] <= 1).all()
    assert junk["jaccard"] == 0
    assert np.isnan(found.loc[list(BESIDE), "specificity_excess"]).all()
    beaten = rows[rows["order"].isin(["average_precision", "junk", WITHOUT_SIBLINGS])]
    verdict = average_precision_beats_other_selectors(beaten, negligible=0.05)
    assert verdict is not None
    assert verdict.as_dict()["verdict"] == "supported"  # its own sets again are no rival


def test_without_rows_the_claim_is_untestable_and_the_table_empty() -> None:
    nothing = pd.DataFrame()
    rows = selectors.beside_average_precision(nothing, nothing, nothing)
    table = selectors.compared(rows, nothing)
    assert list(table.columns) == selectors.COLUMNS
    assert table.empty
    bare = pd.DataFrame(
        columns=["kind", "relation", "measured", "language", "context", "fact", "order"],
        dtype="str",
    ).assign(seen=False, correct_before=True, effect=0.0)
    for rows in (nothing, bare):
        found = average_precision_beats_other_selectors(rows, negligible=0.05)
        assert (found.verdict, bool(found.reason)) == ("untestable", True)


def test_the_parts_of_finished_work_have_names_of_their_own() -> None:
    names = {measuring.part_key("other_selectors xa-0", part) for part in measuring.PARTS}
    assert len({name.rpartition("-")[0] for name in names}) == len(measuring.PARTS)
