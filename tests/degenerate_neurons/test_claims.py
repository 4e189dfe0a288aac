"""Claims: false ones are false, subjects and answers stay in one split, hashes repeat them."""

from typing import Any

import pandas as pd
import pytest

from neuron_atlas.degenerate_neurons import claims
from neuron_atlas.degenerate_neurons.claims import Splits
from neuron_atlas.degenerate_neurons.settings import ClaimPlan

PLAN = ClaimPlan(n_train=100, n_validation=100, n_test=100, n_negatives=3, validation=0.4)
LABELS = {"a": "Ada", "b": "Bob", "c": "Cy", "d": "Dee", "e": " ADA"}
N_ANSWERS = 12


def some_facts(**changes: Any) -> pd.DataFrame:
    """Facts of one relation that all lie in the test."""
    rows = [
        {
            **{"fact": f"r:s{i}", "relation": "r", "subject": f"s{i}", "template": 0},
            **{"objects": ["a", "b"], "object_labels": ["Ada", "Bob"]},
            **{"candidates": list(LABELS), "candidate_labels": list(LABELS.values())},
            **{"split": "held_out", "answer_split": "held_out"},
            **changes,
        }
        for i in range(40)
    ]
    return pd.DataFrame(rows)


def all_tested(rows: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """Make claims of facts whose subjects and candidates are all in the test."""
    answers = {("r", name): "test" for name in LABELS}
    splits = Splits(dict.fromkeys(rows["subject"], "test"), answers)  # type: ignore[arg-type]
    return claims.make_claims(rows, splits, PLAN.model_copy(update=changes), seed=0)


def table(n_subjects: int = 60) -> pd.DataFrame:
    """Two relations that share their subjects: unique answers, and answers that subjects share.

    Every second subject is held out; answers of `q` with an even number belong to these.
    """
    rows = []
    for i in range(n_subjects):
        half = "held_out" if i % 2 == 0 else "identification"
        shared = 2 * (i // 2 % (N_ANSWERS // 2)) + i % 2
        for relation, answer, n in (("r", i, n_subjects), ("q", shared, N_ANSWERS)):
            names = [f"{relation}{k}" for k in range(n)]
            rows += [
                {
                    **{"fact": f"{relation}:s{i:02d}", "relation": relation},
                    **{"subject": f"s{i:02d}", "template": template},
                    **{"objects": [names[answer]], "object_labels": [names[answer]]},
                    **{"candidates": names, "candidate_labels": names},
                    **{"split": half, "answer_split": half},
                }
                for template in (1, 0)
            ]
    return pd.DataFrame(rows)


ATTRIBUTED = [f"{relation}:s{i:02d}" for relation in "rq" for i in range(8)]


def made(rows: pd.DataFrame, *, seed: int = 0, **changes: Any) -> pd.DataFrame:
    plan = PLAN.model_copy(update=changes)
    splits = claims.split(rows, ATTRIBUTED, plan, seed=seed)
    return claims.make_claims(rows, splits, plan, seed=seed)


def test_no_false_claim_is_one_of_the_fact_s_correct_objects_or_named_like_one() -> None:
    found = all_tested(some_facts(), n_negatives=99)
    false, true = found[~found["label"]], found[found["label"]]
    assert set(true["claimed"]) == {"a", "b"}  # any correct object may be claimed
    assert set(false["claimed"]) == {"c", "d"}  # "e" is called as "a" is
    assert (found.groupby("fact")["label"].sum() == 1).all()
    assert (found["claimed"] == [list(LABELS)[p] for p in found["place"]]).all()


def test_a_relation_s_other_right_answers_are_not_negatives_by_accident() -> None:
    """All but one candidate is correct: a single false claim is left, never a correct one."""
    rows = some_facts(objects=["a", "b", "c"], object_labels=["Ada", "Bob", "Cy"])
    found = all_tested(rows, n_negatives=99)
    assert set(found.loc[~found["label"], "claimed"]) == {"d"}


def test_a_fact_without_a_false_candidate_is_left_out() -> None:
    rows = some_facts(objects=list(LABELS), object_labels=list(LABELS.values()))
    found = all_tested(rows)
    assert found.empty
    assert found["label"].dtype == bool


def test_neither_a_subject_nor_an_answer_is_in_two_splits() -> None:
    found = made(table())
    assert set(found["split"]) == {"train", "validation", "test"}
    assert set(found["relation"]) == {"r", "q"}
    for names in (["subject"], ["relation", "claimed"]):
        assert (found.groupby(names)["split"].nunique() == 1).all()


def test_held_out_subjects_test_and_attributed_ones_train() -> None:
    found = made(table())
    halves = table().drop_duplicates("subject").set_index("subject")["split"]
    own = found["subject"].map(halves)
    assert ((own == "held_out") == (found["split"] == "test")).all()
    attributed = found[found["fact"].isin(ATTRIBUTED)]
    assert set(attributed["split"]) == {"train", "test"}
    splits = claims.split(table(), ATTRIBUTED, PLAN, seed=0)
    first = table().drop_duplicates("fact").set_index("fact").loc[ATTRIBUTED].reset_index()
    for row in first[first["split"] != "held_out"].to_dict("records"):
        assert splits.of_fact(row) == "train"  # whatever the other facts with its answer
    others = found[(found["split"] != "test") & (found["relation"] == "r")]
    share = (others["split"] == "validation").mean()
    assert share == pytest.approx(PLAN.validation, abs=0.25)


def test_a_text_is_claimed_in_one_split_whatever_the_relation() -> None:
    """All answers of `q` are called as answers of `r` are, which test with other splits."""
    rows = table()
    renamed = {f"q{k}": f"R{(k + 1) % N_ANSWERS} " for k in range(N_ANSWERS)}
    for name in ("object_labels", "candidate_labels"):
        rows[name] = [[renamed.get(x, x) for x in labels] for labels in rows[name]]
    found = made(rows, n_negatives=99)
    text = found["claimed"].map(lambda x: renamed.get(x, x).strip().casefold())
    assert (found.groupby(text)["split"].nunique() == 1).all()
    assert len(found)


def test_a_fact_whose_answers_lie_on_both_sides_is_left_out() -> None:
    rows = table()
    mixed = rows["fact"] == "r:s00"
    found = made(rows.assign(answer_split=rows["answer_split"].mask(mixed, "mixed")))
    assert "r:s00" not in set(found["fact"])
    assert "r:s02" in set(found["fact"])


def test_claims_do_not_depend_on_order() -> None:
    rows = table()
    pd.testing.assert_frame_equal(made(rows), made(rows.sample(frac=1, random_state=1)))
    assert not made(rows, seed=1).equals(made(rows))


def test_limits_hold_and_the_first_template_is_asked() -> None:
    found = made(table(), n_train=4, n_validation=2, n_test=3, n_negatives=1)
    counts = found.groupby(["relation", "split"])["fact"].nunique()
    assert counts["r"].to_dict() == {"train": 4, "validation": 2, "test": 3}
    assert (found.groupby("fact").size() == 2).all()
    assert (found["template"] == 0).all()


def test_no_facts_make_no_claims() -> None:
    assert made(table().iloc[:0]).empty
