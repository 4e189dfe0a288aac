"""One language's neurons in another: the effect, its share of that at home, beside the overlap."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuron_atlas.editing.tables import EFFECTS, META
from neuron_atlas.knowledge_findings import functional_sharing
from neuron_atlas.pipeline import store

RELATIONS, FACTS = ("a", "b", "c", "d"), 3
LEFT = {"xb": 0.5, "xc": 0.25, "xd": 0.125, "xe": 0.0}  # of 2 nats that the neurons do in xa


def written(folder: Path, relations: tuple[str, ...] = RELATIONS) -> tuple[Path, Path]:
    facts = [f"{r}:{i}" for r, i in product(relations, range(FACTS))]
    rows = []
    for i, fact in enumerate(facts):
        for language in ("xa", *LEFT):
            where = "generality" if language == "xa" else "portability"
            size = 2 * LEFT.get(language, 1.0) + 0.01 * (i % 2)
            about = {"fact": fact, "language": language, "where": where}
            for sign, operation in ((1, "enhance"), (-1, "suppress")):
                named = about | {"operation": operation}
                rows.append(named | {"arm": "monolingual_neurons", "effect": sign * size})
                for draw in range(2):
                    rows.append(named | {"arm": "random", "draw": draw, "effect": sign * 0.1})
    cases = [{"fact": fact, "sources": ["xa", "xz"]} for fact in facts]
    store.write_table(folder / "editing" / EFFECTS, pd.DataFrame(rows))
    store.write_json(folder / "editing" / META, {"n_facts": len(facts), "cases": cases})
    pairs = pd.DataFrame([("xb", "xa", 0.4), ("xa", "xc", 0.3), ("xa", "xd", 0.2)])
    pairs = pd.concat([pairs, pd.DataFrame([("xa", "xe", 0.1)])]).set_axis(
        ["a", "b", "value"], axis=1
    )
    store.write_table(folder / "language_neurons" / "map.parquet", pairs)
    return folder / "editing", folder / "language_neurons"


def test_what_is_left_of_the_effect_goes_with_the_overlap(tmp_path: Path) -> None:
    found = functional_sharing.summarise(*written(tmp_path))
    rows = found.tables["functional_sharing"].set_index("language")
    assert set(rows["source"]) == {"xa"}
    for code, left in LEFT.items():
        assert rows.loc[code, "effect"] == pytest.approx(2 * left + 0.005, abs=0.002)
        assert rows.loc[code, "share"] == pytest.approx(left, abs=0.01)
        assert rows.loc[code, "low"] <= rows.loc[code, "effect"] <= rows.loc[code, "high"]
    assert rows["random"].to_numpy() == pytest.approx(0.1)
    assert rows["n_facts"].tolist() == 4 * [len(RELATIONS) * FACTS]
    assert found.summary["overlap_rho"] == 1
    assert found.summary["n_pairs"] == 4


def test_without_a_map_the_overlap_is_not_known(tmp_path: Path) -> None:
    editing, neurons = written(tmp_path)
    (neurons / "map.parquet").unlink()
    found = functional_sharing.summarise(editing, neurons)
    assert np.isnan(found.tables["functional_sharing"]["overlap"]).all()
    assert "overlap_rho" not in found.summary


def test_facts_of_too_few_relations_say_nothing(tmp_path: Path) -> None:
    found = functional_sharing.summarise(*written(tmp_path, RELATIONS[:2]))
    assert found.summary == {"reason": "no pair of languages has facts of 3 relations"}
    store.write_json(tmp_path / "editing" / META, {"n_facts": 0, "reason": "nothing"})
    found = functional_sharing.summarise(tmp_path / "editing", tmp_path / "language_neurons")
    assert found.summary == {"reason": "nothing"}
    assert not found.tables
