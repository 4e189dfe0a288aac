"""From the folders of all languages to metrics, tables and the two verdicts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.degenerate_neurons.degeneracy import PAIRS, SETS
from neuron_atlas.findings.degenerate import interactions, summarise_degenerate
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts.verdict import Finding

LANGUAGES = ("xa", "xb")
N_FACTS, N_PAIRS = 30, 20


def pairs(rng: np.random.Generator, *, real: float, random: float) -> pd.DataFrame:
    """Pairs of which the given shares are degenerate; found twice as often as confirmed."""
    rows = N_FACTS * N_PAIRS
    table = pd.DataFrame(
        {
            "fact": np.tile(np.repeat([f"r{i % 6}:{i:02d}" for i in range(N_FACTS)], N_PAIRS), 2),
            "relation": "r",
            "random": np.repeat([False, True], rows),
            "held_out": 1,
            "small": True,
            "threshold": 0.05,
        }
    )
    chance = np.where(table["random"], random, real)
    drawn = rng.random(len(table))
    found, degenerate = drawn < 2 * chance, drawn < chance
    interaction = np.where(found, 0.2, rng.normal(scale=0.01, size=len(table)))
    return table.assign(
        interaction=interaction,
        log_odds_interaction=np.where(drawn < chance / 2, 0.2, 0.0),
        found=found,
        confirmed=degenerate,
        degenerate=degenerate,
        elsewhere=drawn < chance / 4,
        audited_error=np.nan,
        published=found ^ (rng.random(len(table)) < 0.02),
    )


def folders(root: Path, **shares: float) -> dict[str, Path]:
    result = {}
    for i, language in enumerate(LANGUAGES):
        table = pairs(np.random.default_rng(i), **shares)
        store.write_table(root / language / PAIRS, table)
        sets = table[table["found"]].assign(size=2)
        larger = sets.iloc[:3].assign(size=3, degenerate=[True, True, False])
        store.write_table(root / language / SETS, pd.concat([sets, larger], ignore_index=True))
        result[language] = root / language
    return result


def summed(where: dict[str, Path]) -> Finding:
    return summarise_degenerate(where, negligible=0.05, negligible_rate=0.005)


def test_rates_are_shares_of_pairs_and_the_claim_is_supported(tmp_path: Path) -> None:
    where = folders(tmp_path, real=0.1, random=0.01)
    part = summed(where)
    table = pd.concat([store.read_table(f / PAIRS) for f in where.values()])
    own, random = table[~table["random"]], table[table["random"]]
    found: dict[str, Any] = dict(part.summary)
    assert found["n_pairs_tested"] == len(own) == 2 * N_FACTS * N_PAIRS
    assert found["n_facts"] == N_FACTS  # the same in both languages
    assert found["n_degenerate"] == own["degenerate"].sum()
    assert found["rate"] == pytest.approx(own["degenerate"].mean())
    assert found["found_rate"] == pytest.approx(own["found"].mean())
    assert found["null_rate"] == pytest.approx(random["degenerate"].mean())
    assert found["published_rule_rate"] == pytest.approx(own["published"].mean())
    assert found["null_published_rate"] == pytest.approx(random["published"].mean())
    assert found["strict_rate"] < found["rate"] < found["found_rate"]
    assert found["confirmed"] == pytest.approx(own.loc[own["found"], "confirmed"].mean())
    assert found["n_larger"] == 4
    assert 0 < found["agreement"] < 1
    verdict = part.verdicts["degenerate_neurons_exist"]
    assert verdict.verdict == "supported"
    assert verdict.effect.mean == pytest.approx(found["rate"] - found["null_rate"], abs=1e-9)
    assert verdict.p_value == found["p_value"] < 0.05


def test_as_many_random_pairs_is_a_null_and_said_to_be_one(tmp_path: Path) -> None:
    part = summed(folders(tmp_path, real=0.01, random=0.012))
    verdict = part.verdicts["degenerate_neurons_exist"]
    assert verdict.verdict in ("undecided", "untestable", "not supported")
    assert verdict.p_value > 0.05


def test_no_degenerate_pair_anywhere_leaves_out_what_is_not_defined(tmp_path: Path) -> None:
    where = folders(tmp_path, real=0.0, random=0.0)
    for folder in where.values():
        table = store.read_table(folder / PAIRS).assign(published=False)
        store.write_table(folder / PAIRS, table)
    part = summed(where)
    assert part.summary["rate"] == part.summary["null_rate"] == 0
    assert not {"agreement", "agreement_jaccard", "confirmed", "elsewhere"} & set(part.summary)
    assert part.verdicts["degenerate_neurons_exist"].verdict == "not supported"
    assert part.tables["degenerate"]["confirmed"].isna().all()
    store.write_json(tmp_path / "summary.json", dict(part.summary))  # finite throughout


def test_interactions_the_other_way_are_counted(tmp_path: Path) -> None:
    where = folders(tmp_path, real=0.1, random=0.0)
    for folder in where.values():
        table = store.read_table(folder / PAIRS)
        store.write_table(folder / PAIRS, table.assign(interaction=-table["interaction"]))
    found = summed(where).summary
    assert found["opposite_rate"] == pytest.approx(found["found_rate"])


def test_tables_have_the_columns_that_the_page_reads(tmp_path: Path) -> None:
    tables = summed(folders(tmp_path, real=0.1, random=0.01)).tables
    assert tables["degenerate"].columns.tolist() == [
        "language", "n_facts", "n_pairs_tested", "n_degenerate", "rate", "null_rate",
        "published_rule_rate", "null_published_rate", "confirmed", "elsewhere", "larger",
    ]  # fmt: skip
    assert tables["degenerate"]["language"].tolist() == list(LANGUAGES)
    shown = tables["interactions"]
    assert shown.columns.tolist() == ["kind", "interaction", "share"]
    np.testing.assert_allclose(shown.groupby("kind")["share"].sum(), 1)
    centre = shown[shown["kind"] == "pair"]["interaction"].to_numpy(np.float64)
    np.testing.assert_allclose(centre, -centre[::-1], atol=1e-12)


def test_the_same_folders_give_the_same_part(tmp_path: Path) -> None:
    where = folders(tmp_path, real=0.05, random=0.01)
    first, again = summed(where), summed(where)
    assert first.summary == again.summary
    assert first.verdicts == again.verdicts


def test_histogram_ends_hold_what_lies_beyond() -> None:
    rng = np.random.default_rng(0)
    values = np.r_[rng.normal(size=999), 1e6]
    table = pd.DataFrame({"interaction": values, "random": np.arange(1000) % 2 == 0})
    shown = interactions(table)
    assert shown["interaction"].max() < 10
    np.testing.assert_allclose(shown.groupby("kind")["share"].sum(), 1)
