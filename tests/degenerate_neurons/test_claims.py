"""Claims: false ones are false, subjects stay in one split, and hashes make it repeatable."""

from typing import Any

import pandas as pd
import pytest

from neuron_atlas.degenerate_neurons import claims
from neuron_atlas.degenerate_neurons.claims import ClaimPlan

PLAN = ClaimPlan(n_facts=100, n_negatives=3, train=0.75, validation=0.4)
LABELS = {"a": "Ada", "b": "Bob", "c": "Cy", "d": "Dee", "e": " ADA"}


def table(n_subjects: int = 60, **changes: Any) -> pd.DataFrame:
    """Two relations that share their subjects, two templates, two correct objects each."""
    rows = [
        {
            "fact": f"{relation}:s{i:02d}",
            "relation": relation,
            "subject": f"s{i:02d}",
            "template": template,
            "objects": ["a", "b"],
            "object_labels": ["Ada", "Bob"],
            "candidates": list(LABELS),
            "candidate_labels": list(LABELS.values()),
            **changes,
        }
        for relation in ("r", "q")
        for i in range(n_subjects)
        for template in (1, 0)
    ]
    return pd.DataFrame(rows)


def made(rows: pd.DataFrame, *, seed: int = 0, **changes: Any) -> pd.DataFrame:
    attributed = sorted(rows["subject"].unique())[:20]
    plan = PLAN.model_copy(update=changes)
    splits = claims.split_subjects(rows["subject"], attributed, plan, seed=seed)
    return claims.make_claims(rows, splits, plan, seed=seed)


def test_no_false_claim_is_one_of_the_fact_s_correct_objects_or_named_like_one() -> None:
    found = made(table(), n_negatives=99)
    false, true = found[~found["label"]], found[found["label"]]
    assert set(true["claimed"]) == {"a", "b"}  # any correct object may be claimed
    assert set(false["claimed"]) == {"c", "d"}  # "e" is called as "a" is
    assert (found.groupby("fact")["label"].sum() == 1).all()
    assert (found["claimed"] == [list(LABELS)[p] for p in found["place"]]).all()


def test_a_relation_s_other_right_answers_are_not_negatives_by_accident() -> None:
    """All but one candidate is correct: a single false claim is left, never a correct one."""
    rows = table(objects=["a", "b", "c"], object_labels=["Ada", "Bob", "Cy"])
    found = made(rows, n_negatives=99)
    assert set(found.loc[~found["label"], "claimed"]) == {"d"}


def test_a_fact_without_a_false_candidate_is_left_out() -> None:
    rows = table(objects=list(LABELS), object_labels=list(LABELS.values()))
    assert made(rows).empty


def test_a_subject_is_never_in_two_splits_and_train_has_no_claims() -> None:
    rows = table()
    attributed = sorted(rows["subject"].unique())[:20]
    splits = claims.split_subjects(rows["subject"], attributed, PLAN, seed=0)
    train = {s for s, split in splits.items() if split == "train"}
    assert train < set(attributed)
    assert 10 <= len(train) < 20
    found = made(rows)
    assert (found.groupby("subject")["split"].nunique() == 1).all()
    assert not set(found["subject"]) & train
    assert set(found["split"]) == {"validation", "test"}
    assert set(found["relation"]) == {"r", "q"}
    share = (found["split"] == "validation").mean()
    assert share == pytest.approx(PLAN.validation, abs=0.2)


def test_claims_do_not_depend_on_order_or_on_other_facts() -> None:
    rows = table()
    shuffled = rows.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(made(rows), made(shuffled))
    fewer = made(rows[rows["relation"] == "r"])
    whole = made(rows)
    pd.testing.assert_frame_equal(fewer, whole[whole["relation"] == "r"].reset_index(drop=True))
    other = made(rows, seed=1)
    assert not other.equals(whole)


def test_limits_hold_and_the_first_template_is_asked() -> None:
    found = made(table(), n_facts=5, n_negatives=1)
    assert (found.groupby("relation")["fact"].nunique() == 5).all()
    assert (found.groupby("fact").size() == 2).all()
    assert (found["template"] == 0).all()


def test_two_facts_a_relation_reach_both_splits() -> None:
    found = made(table(), n_facts=2)
    counts = found.groupby(["relation", "split"])["fact"].nunique()
    assert counts.to_dict() == {(r, s): 1 for r in "qr" for s in ("test", "validation")}


def test_relations_share_subjects_and_still_each_subject_has_one_split() -> None:
    found = made(table(), n_facts=6)
    assert (found.groupby("subject")["split"].nunique() == 1).all()
    assert (found.groupby("relation")["fact"].nunique() == 6).all()
