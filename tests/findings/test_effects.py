"""Effects and verdicts on made-up measurements whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.findings import effects, interference_verdicts, verdict
from neuron_atlas.statistics.estimates import Estimate

RELATIONS, LANGUAGES = ("a", "b", "c"), ("xx", "yy")
DRAWS, FACTS, SIZES = 20, 12, (25, 50, 100)
BASE = {"source": "xx", "order": "", "k": 100, "draw": -1, "template": 0, "correct_before": True}


def measurements(
    rng: np.random.Generator, *, within: float = 0.0, across: float = 0.0, noise: float = 0.2
) -> pd.DataFrame:
    """Sets that change their own relation by `within` and others by `across`, in nats."""
    rows = []
    for measured in RELATIONS:
        for fact in range(FACTS):
            shared = rng.normal(scale=noise)  # languages of one fact go together
            for language in LANGUAGES:
                item = {"fact": f"{measured}:{fact}", "measured": measured, "language": language}
                for relation in RELATIONS:
                    mean = within if relation == measured else across
                    cell = BASE | item | {"relation": relation}
                    change = mean + shared + rng.normal(scale=noise)
                    rows.append(cell | {"kind": "set", "effect": change})
                    rows += [
                        cell | {"kind": "random", "draw": j, "effect": rng.normal(scale=noise)}
                        for j in range(DRAWS)
                    ]
                    if relation == measured:
                        rows += _doses(cell, change, rng, noise)
    table = pd.DataFrame(rows)
    return table.assign(correct_after=table["effect"] > -1)


def _doses(
    cell: dict[str, object], change: float, rng: np.random.Generator, noise: float
) -> list[dict[str, object]]:
    dose = cell | {"kind": "dose"}
    rows: list[dict[str, object]] = []
    for k in SIZES[:-1]:
        part = dose | {"k": k, "effect": change * k / 100}
        rows += [part | {"order": order} for order in ("rank", "reverse")]
        rows += [part | {"order": "random_order", "draw": j} for j in range(3)]
        control = part | {"order": "matched_random"}
        rows += [control | {"draw": j, "effect": rng.normal(scale=noise)} for j in range(3)]
    return rows


def test_planted_effects_are_found_where_they_are() -> None:
    table = measurements(np.random.default_rng(0), within=-1.0)
    cells = effects.cells(table)
    own = cells["relation"] == cells["measured"]
    assert (cells.loc[own, "q_value"] < 0.01).all()
    assert (cells.loc[own, ["low", "high"]].to_numpy() < 0).all()
    np.testing.assert_allclose(cells.loc[own, "excess"], -1, atol=0.25)
    assert (cells.loc[~own, "q_value"] > 0.05).all()
    assert (
        interference_verdicts.relation_neurons_exist(table, negligible=0.05).verdict == "supported"
    )
    items = effects.dose_items(table)
    assert interference_verdicts.cumulativity(items, table, negligible=0.05).verdict == "supported"


def test_nothing_is_found_where_nothing_is() -> None:
    """Over 16 tables of noise, few own-relation cells are called significant."""
    rng = np.random.default_rng(1)
    found = [effects.cells(measurements(rng)) for _ in range(16)]
    own = pd.concat([c[c["relation"] == c["measured"]] for c in found])
    assert (own["p_value"] < 0.05).mean() < 0.1
    assert sum((c["q_value"] < 0.05).any() for c in found) <= 4


def test_improvements_count_only_after_correction() -> None:
    better = effects.cells(measurements(np.random.default_rng(2), within=-1.0, across=0.8))
    assert interference_verdicts.interference(better, negligible=0.05).verdict == "supported"
    null = interference_verdicts.interference(
        effects.cells(measurements(np.random.default_rng(3))), negligible=0.05
    )
    assert null.verdict == "undecided"
    assert null.because.startswith("0 of 6 other-relation cells improve")
    precise = effects.cells(measurements(np.random.default_rng(4), noise=0.01))
    assert interference_verdicts.interference(precise, negligible=0.05).verdict == "not supported"


@pytest.mark.parametrize(
    ("interval", "p_value", "expected"),
    [
        ((-0.5, -0.8, -0.2), 0.001, "supported"),
        ((0.0, -0.04, 0.04), 0.9, "not supported"),
        ((0.3, 0.1, 0.5), 0.01, "not supported"),
        ((-0.2, -0.5, 0.1), 0.2, "undecided"),
    ],
)
def test_a_verdict_follows_from_its_interval(
    interval: tuple[float, float, float], p_value: float, expected: str
) -> None:
    assert verdict.harm(Estimate(*interval), p_value, negligible=0.05) == expected


def test_a_missing_draw_is_an_error() -> None:
    table = measurements(np.random.default_rng(5))
    first = table[table["kind"] == "random"].index[0]
    with pytest.raises(ValueError, match="lack a random draw"):
        effects.cells(table.drop(index=first))


def test_dose_curves_end_in_the_whole_set() -> None:
    table = measurements(np.random.default_rng(6), within=-1.0)
    items = effects.dose_items(table)
    curves = effects.doses(items, rng=np.random.default_rng(0), n_resamples=200)
    ends = curves[curves["k"] == 100].set_index("order")["effect"]
    assert ends["rank"] == ends["reverse"] == ends["random_order"]
    assert abs(ends["matched_random"]) < 0.1 < abs(ends["rank"])
    areas = effects.areas(items, rng=np.random.default_rng(0), n_resamples=200)
    assert areas["rank"].mean == pytest.approx(ends["rank"] / 2, rel=1e-6)  # a straight line
