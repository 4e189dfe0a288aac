"""From the folders of all languages to metrics, tables and the verdict."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.degenerate_neurons.degeneracy import MATCHED, OWN, PAIRS, RANDOM, SETS
from neuron_atlas.knowledge_findings.degenerate import interactions, summarise_degenerate
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts.verdict import Finding

LANGUAGES = ("xa", "xb")
N_FACTS, N_PAIRS = 30, 20
CLAIM = "degenerate_neurons_exist"


def pairs(rng: np.random.Generator, *, up: tuple[float, ...], down: float = 0.0) -> pd.DataFrame:
    """Pairs of each kind of which the given shares are degenerate, found twice as often.

    As many of all kinds are opposite as is said.
    """
    rows = N_FACTS * N_PAIRS
    fact = np.repeat([f"r{i % 6}:{i:02d}" for i in range(N_FACTS)], N_PAIRS)
    number = np.tile(np.arange(N_PAIRS), N_FACTS)
    table = pd.DataFrame(
        {
            **{"fact": np.tile(fact, 3), "relation": "r", "held_out": 1},
            **{"own_a": np.tile(number, 3), "own_b": np.tile(number + 100, 3)},
            **{"kind": np.repeat([OWN, MATCHED, RANDOM], rows)},
            **{"small": True, "testable": True, "threshold": 0.05, "audited_error": np.nan},
        }
    )
    chance, drawn = np.repeat(up, rows), rng.random(len(table))
    found, degenerate = drawn < 2 * chance, drawn < chance
    opposite = drawn > 1 - down
    interaction = np.where(found, 0.2, rng.normal(scale=0.01, size=len(table)))
    interaction = np.where(opposite, -0.2, interaction)
    return table.assign(
        interaction=interaction,
        log_odds_interaction=interaction,
        surplus=interaction,
        found=found,
        opposed=opposite,
        confirmed=degenerate,
        degenerate=degenerate,
        opposite=opposite,
        elsewhere=drawn < chance / 4,
        mismatch=np.where(table["kind"] == MATCHED, 0.03, np.nan),
        published=found ^ (rng.random(len(table)) < 0.02),
    )


def folders(root: Path, *, up: tuple[float, ...], down: float = 0.0) -> dict[str, Path]:
    result = {}
    for i, language in enumerate(LANGUAGES):
        table = pairs(np.random.default_rng(i), up=up, down=down)
        store.write_table(root / language / PAIRS, table)
        sets = table[table["found"]].assign(size=2)
        signs = {"degenerate": [True, True, True, False], "opposite": [False, False, False, True]}
        larger = table[:4].assign(size=3, **signs)
        store.write_table(root / language / SETS, pd.concat([sets, larger], ignore_index=True))
        result[language] = root / language
    return result


def changed(where: dict[str, Path], **columns: Any) -> None:
    for folder in where.values():
        table = store.read_table(folder / PAIRS)
        store.write_table(folder / PAIRS, table.assign(**columns))


def summed(where: dict[str, Path]) -> Finding:
    return summarise_degenerate(where, negligible_rate=0.005)


def test_rates_are_shares_of_compared_pairs_and_the_claim_is_supported(tmp_path: Path) -> None:
    where = folders(tmp_path, up=(0.1, 0.01, 0.0))
    part = summed(where)
    table = pd.concat([store.read_table(f / PAIRS) for f in where.values()])
    own, control = (table[table["kind"] == kind] for kind in (OWN, MATCHED))
    found: dict[str, Any] = dict(part.summary)
    assert found["n_pairs_tested"] == found["n_compared"] == len(own) == 2 * N_FACTS * N_PAIRS
    assert found["n_facts"] == N_FACTS  # the same in both languages
    assert found["n_degenerate"] == own["degenerate"].sum()
    assert found["rate"] == pytest.approx(own["degenerate"].mean())
    assert found["null_rate"] == pytest.approx(control["degenerate"].mean())
    assert found["found_rate"] == pytest.approx(own["found"].mean())
    assert found["weak_null_rate"] == 0
    assert found["published_rule_rate"] == pytest.approx(own["published"].mean())
    assert found["null_published_rate"] == pytest.approx(control["published"].mean())
    assert found["n_elsewhere"] < found["n_degenerate"]
    assert found["confirmed"] == pytest.approx(own.loc[own["found"], "confirmed"].mean())
    assert found["n_larger"] == 4  # three degenerate ones and an opposite one in each language
    assert found["mismatch"] == pytest.approx(0.03)
    assert found["mismatch_compared"] == pytest.approx(0.03)
    assert 0 < found["agreement"] < 1
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict == "supported"
    assert verdict.effect.mean == pytest.approx(found["rate"] - found["null_rate"], abs=1e-9)
    assert verdict.p_value == found["p_value"] < 0.05
    assert "within 0.030 nats" in verdict.because


def test_as_many_controls_is_a_null_and_said_to_be_one(tmp_path: Path) -> None:
    part = summed(folders(tmp_path, up=(0.01, 0.01, 0.0)))
    verdict = part.verdicts[CLAIM]
    assert verdict.verdict in ("undecided", "untestable", "not supported")
    assert verdict.p_value > 0.05


def test_pairs_of_the_opposite_sign_are_subtracted(tmp_path: Path) -> None:
    plain = summed(folders(tmp_path / "plain", up=(0.06, 0.0, 0.0))).summary
    both = summed(folders(tmp_path / "both", up=(0.06, 0.0, 0.0), down=0.06))
    assert both.summary["share_degenerate"] == plain["share_degenerate"] == plain["rate"]
    assert both.summary["rate"] == pytest.approx(0.0, abs=0.02)
    assert both.summary["null_rate"] == pytest.approx(-0.06, abs=0.02)
    assert both.summary["opposite_rate"] > 0.04


def test_a_tail_of_noise_is_no_degeneracy(tmp_path: Path) -> None:
    """As many pairs interact either way, and more of a fact's pairs than of controls do."""
    where = folders(tmp_path, up=(0.08, 0.0, 0.0))
    for folder in where.values():
        table = store.read_table(folder / PAIRS)
        turned = table["degenerate"] & (np.arange(len(table)) % 2 == 0)
        table = table.assign(
            degenerate=table["degenerate"] & ~turned, opposite=table["opposite"] | turned
        )
        store.write_table(folder / PAIRS, table)
    part = summed(where)
    assert part.summary["share_degenerate"] > 0.02
    assert part.verdicts[CLAIM].verdict != "supported"


def test_only_pairs_that_could_be_confirmed_and_do_little_alone_are_compared(
    tmp_path: Path,
) -> None:
    where = folders(tmp_path, up=(0.1, 0.01, 0.0))
    n = len(LANGUAGES) * N_FACTS * N_PAIRS
    table = store.read_table(where["xa"] / PAIRS)
    rows = np.arange(len(table))
    changed(where, small=rows % N_PAIRS > 4)
    assert summed(where).summary["n_compared"] == 0.75 * n
    changed(where, small=True, testable=(table["kind"] != MATCHED) | (rows % 2 == 0))
    assert summed(where).summary["n_compared"] == 0.5 * n  # the control could not
    changed(where, testable=False)
    none = summed(where)
    assert none.summary["n_compared"] == 0
    assert none.verdicts[CLAIM].verdict == "untestable"
    assert "rate" not in none.summary
    store.write_json(tmp_path / "summary.json", dict(none.summary))  # finite throughout


def test_no_degenerate_pair_anywhere_leaves_out_what_is_not_defined(tmp_path: Path) -> None:
    where = folders(tmp_path, up=(0.0, 0.0, 0.0))
    changed(where, published=False)
    part = summed(where)
    assert part.summary["rate"] == part.summary["null_rate"] == 0
    assert not {"agreement", "agreement_jaccard", "confirmed", "elsewhere"} & set(part.summary)
    assert part.verdicts[CLAIM].verdict == "not supported"
    assert part.tables["degenerate"]["confirmed"].isna().all()
    store.write_json(tmp_path / "summary.json", dict(part.summary))  # finite throughout


def test_tables_have_the_columns_that_the_page_reads(tmp_path: Path) -> None:
    tables = summed(folders(tmp_path, up=(0.1, 0.01, 0.0))).tables
    assert tables["degenerate"].columns.tolist() == [
        "language", "n_facts", "n_pairs_tested", "n_compared", "n_degenerate", "n_opposite", "rate",
        "null_rate", "weak_null_rate", "mismatch", "published_rule_rate", "null_published_rate",
        "confirmed", "elsewhere", "larger", "null_larger",
    ]  # fmt: skip
    assert tables["degenerate"]["language"].tolist() == list(LANGUAGES)
    shown = tables["interactions"]
    assert shown.columns.tolist() == ["kind", "interaction", "share"]
    np.testing.assert_allclose(shown.groupby("kind")["share"].sum(), 1)
    centre = shown[shown["kind"] == "pair"]["interaction"].to_numpy(np.float64)
    np.testing.assert_allclose(centre, -centre[::-1], atol=1e-12)


def test_the_same_folders_give_the_same_part(tmp_path: Path) -> None:
    where = folders(tmp_path, up=(0.05, 0.01, 0.0))
    first, again = summed(where), summed(where)
    assert first.summary == again.summary
    assert first.verdicts == again.verdicts


def test_histogram_ends_hold_what_lies_beyond() -> None:
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(size=999), 1e6]
    kinds = np.resize([OWN, MATCHED, RANDOM], 1000)
    shown = interactions(pd.DataFrame({"log_odds_interaction": values, "kind": kinds}))
    assert shown["interaction"].max() < 10
    np.testing.assert_allclose(shown.groupby("kind")["share"].sum(), 1)
