"""Tables of measured arms: where there is nothing to measure they have the types of all others."""

import pandas as pd

import tiny
from neuron_atlas.arms import arm, measuring_arms
from neuron_atlas.arms.measuring_arms import COLUMNS, PROMPT, ArmMeasurements
from neuron_atlas.arms.written_texts import TEXTS


def test_a_language_without_an_unseen_question_keeps_what_is_measured_of_the_seen_ones() -> None:
    arms = ArmMeasurements(
        tiny.random_model("llama"), "hidden", everywhere=False, tolerance=0.0, plans={}
    )
    none = arms.write(pd.DataFrame({"relation": pd.Series(dtype="str")}))
    assert none.empty
    kinds = COLUMNS.items()
    measured = pd.DataFrame(
        {name: pd.Series(["x" if kind == "str" else 1], dtype=kind) for name, kind in kinds}
    )
    joined = measured.merge(none, on=[*arm.COLUMNS, *PROMPT], how="left").astype(TEXTS)
    assert joined.dtypes.to_dict() == {**measured.dtypes, **none.dtypes[list(TEXTS)]}
    assert joined[list(TEXTS)].isna().all(axis=None)
    assert measuring_arms.no_rows().dtypes.to_dict() == measured.dtypes.to_dict()
