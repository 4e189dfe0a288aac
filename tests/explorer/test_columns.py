"""Columns of the explorer's data: they can be read back, and are as short as their digits."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_atlas.explorer import columns

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))))
def test_coded_texts_are_the_texts(texts: list[str | None]) -> None:
    found = columns.coded(pd.Series(texts, dtype=object))
    back = [None if code == columns.NONE else found["texts"][code] for code in found["codes"]]
    assert back == texts
    assert found["texts"] == sorted(set(texts) - {None})


@given(FINITE)
def test_a_number_keeps_its_first_digits(value: float) -> None:
    (found,) = columns.rounded(pd.Series([value]))
    assert found == pytest.approx(value, rel=0.5 * 10.0 ** (1 - columns.DIGITS) * (1 + 1e-9))


@pytest.mark.parametrize(
    ("value", "short"),
    [(0.123456, "0.123"), (-2.0, "-2"), (123456.0, "123000"), (1e-7 / 3, "3.33e-08"), (0.0, "0")],
)
def test_a_number_takes_no_more_room_than_its_digits(value: float, short: str) -> None:
    assert json.dumps(columns.rounded(pd.Series([value]))) == f"[{short}]"


def test_what_is_no_number_is_none() -> None:
    given = pd.Series([np.nan, np.inf, -np.inf, 1.5])
    assert columns.rounded(given) == [None, None, None, 1.5]


def test_a_missing_whole_number_is_none() -> None:
    assert columns.whole(pd.Series([3, None], dtype="Int64")) == [3, None]
    assert columns.whole(pd.Series([3, 4])) == [3, 4]
    assert columns.whole(pd.Series([True, False])) == [1, 0]


@given(st.lists(st.integers(0, 2**40)))
def test_steps_add_up_to_the_numbers(numbers: list[int]) -> None:
    given = np.array(numbers, dtype=np.int64)
    assert np.cumsum(columns.steps(given)).tolist() == numbers


def test_rows_are_cut_neuron_by_neuron_in_their_order() -> None:
    table = pd.DataFrame({"neuron": [7, 3, 7, 9], "text": ["b", "c", "a", None], "n": [1, 2, 3, 4]})
    among = {"text": pd.Index(columns.different([table["text"]]), dtype=object)}
    found = columns.Ragged(table, among).packed(np.array([3, 5, 7]))
    assert found == {"counts": [1, 0, 2], "columns": {"text": [2, 1, 0], "n": [2, 1, 3]}}


def test_no_neurons_have_no_rows() -> None:
    table = pd.DataFrame({"neuron": [7], "value": [1.0]})
    found = columns.Ragged(table, {}).packed(np.array([], dtype=np.int64))
    assert found == {"counts": [], "columns": {"value": []}}
