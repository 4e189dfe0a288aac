"""The explorer's data hold all that the cards' tables do, and are the same bytes every time."""

import json
from typing import Any

import pandas as pd
import pytest

import made_cards
from neuron_atlas.cards import tables
from neuron_atlas.cards.reading import Cards, card
from neuron_atlas.explorer import columns, packed

N = 600  # more than two blocks of details


@pytest.fixture(scope="module")
def cards() -> Cards:
    return made_cards.planted(made_cards.made(N))


@pytest.fixture(scope="module")
def listed(cards: Cards) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(packed.payload(cards).neurons)
    return found


def numbers(listed: dict[str, Any]) -> list[int]:
    return pd.Series(listed["neuron"]).cumsum().tolist()


def value(column: Any, row: int) -> Any:
    """Read a column that is read by itself as the page's script does."""
    if isinstance(column, list):
        return column[row]
    return None if column["codes"][row] < 0 else column["texts"][column["codes"][row]]


def rows(table: dict[str, Any], i: int, texts: dict[str, list[str]]) -> list[dict[str, Any]]:
    first = sum(table["counts"][:i])

    def read(name: str, row: int) -> Any:
        found = table["columns"][name][row]
        if name not in texts:
            return found
        return None if found < 0 else texts[name][found]

    return [
        {name: read(name, row) for name in table["columns"]}
        for row in range(first, first + table["counts"][i])
    ]


def some(ragged: dict[str, Any], i: int, texts: list[Any], name: str = "token") -> list[Any]:
    first = sum(ragged["counts"][:i])
    codes = ragged["columns"][name]
    return [texts[code] for code in codes[first : first + ragged["counts"][i]]]


def short(given: Any) -> Any:
    return columns.rounded(pd.Series([given]))[0] if isinstance(given, float) else given


def test_the_details_are_the_card(cards: Cards) -> None:
    """Law: what a page shows of any neuron is what `cards.card` says of it, but for token ids."""
    found = packed.payload(cards)
    neurons = numbers(json.loads(found.neurons))
    texts = {**json.loads(found.texts), "token": json.loads(found.tokens)}
    assert neurons == sorted(cards.neurons["neuron"])
    for i in (0, packed.AT_ONCE - 1, packed.AT_ONCE, neurons.index(made_cards.PLANTED), N):
        block = json.loads(found.details[i // packed.AT_ONCE])
        assert set(block) == set(tables.OF_A_NEURON)
        known = card(cards, neurons[i])
        for name, table in block.items():
            left_out = {"token_id", "address"}
            wanted = [
                {key: short(one) for key, one in row.items() if key not in left_out}
                for row in known[name]
            ]
            assert rows(table, i % packed.AT_ONCE, texts) == wanted, name


def test_the_list_knows_the_planted_neuron(cards: Cards, listed: dict[str, Any]) -> None:
    i = numbers(listed).index(made_cards.PLANTED)
    assert listed["massive"][i] == 1
    assert listed["size"][i] == 3.25
    assert {kind: counts[i] for kind, counts in listed["sets"].items()} == {
        "relation": 1,
        "fact": 1,
        "language_independent": 0,
        "language_specific": 1,
        "degenerate": 0,
    }
    assert some(listed["places"], i, listed["places"]["different"], "place") == [
        ["fact", "capital", "fr"],
        ["language_specific", None, "de"],
        ["relation", "capital", "zh"],
    ]
    first = sum(listed["places"]["counts"][:i])
    assert listed["places"]["columns"]["rank"][first : first + 3] == [4, None, 0]
    tokens = json.loads(packed.payload(cards).tokens)
    assert some(listed["shown"], i, tokens) == [made_cards.TOKEN, "首都", "京城"]
    effect = {name: value(column, i) for name, column in listed["effect"].items()}
    assert effect == {"relation": "capital", "effect": -0.375, "low": -0.5, "high": -0.25}
    assert value(listed["writes"]["auc"], i) == short(0.9375)
    assert listed["facts"]["capital:FR"] == "France -> Paris"


def test_every_promoted_token_can_be_searched(cards: Cards) -> None:
    found = packed.payload(cards)
    promoted, texts = json.loads(found.promoted), json.loads(found.tokens)
    tokens = cards.tokens[cards.tokens["direction"] == tables.PROMOTED]
    neurons = numbers(json.loads(found.neurons))
    for i in (0, 17, neurons.index(made_cards.PLANTED)):
        wanted = tokens.loc[tokens["neuron"] == neurons[i], "token"]
        assert sorted(some(promoted, i, texts)) == sorted(set(wanted))


def test_an_effect_on_another_relation_stands_in_where_there_is_none_of_the_best() -> None:
    row = made_cards.ROWS["effects"][0]
    other = [{**row, "relation": "currency"}, {**row, "relation": "language", "effect": 9.0}]
    cards = made_cards.planted(made_cards.made(5), effects=other)
    listed = json.loads(packed.payload(cards).neurons)
    i = numbers(listed).index(made_cards.PLANTED)
    assert value(listed["effect"]["relation"], i) == "currency"
    assert value(listed["effect"]["effect"], i) == -0.375


def test_an_effect_that_other_stages_measured_is_not_in_the_list() -> None:
    row = {**made_cards.ROWS["effects"][0], "measured_by": "attribution_methods"}
    cards = made_cards.planted(made_cards.made(5), effects=[row])
    listed = json.loads(packed.payload(cards).neurons)
    i = numbers(listed).index(made_cards.PLANTED)
    assert value(listed["effect"]["effect"], i) is None


def test_the_same_tables_give_the_same_bytes() -> None:
    given = made_cards.made(300)
    other = made_cards.made(300)
    assert packed.payload(given) == packed.payload(other)
    assert packed.payload(given) != packed.payload(made_cards.made(300, seed=1))


def test_no_neurons_are_an_empty_list() -> None:
    found = packed.payload(made_cards.made(0))
    assert json.loads(found.neurons)["neuron"] == []
    assert found.details == ()
