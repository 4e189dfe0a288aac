"""From the stage's folder to the summary, the tables and the verdict, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from neuron_atlas.knowledge_findings import specific
from neuron_atlas.knowledge_findings.specific_overlap import OtherSets, overlaps
from neuron_atlas.language_specific import tables
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts.verdict import Finding

CODES = ("xa", "xb", "xc")
SHAPE = (2, 10)
SETS = {"xa": [0, 1, 12], "xb": [1, 13], "xc": [14]}
N_TEXTS = 4
EFFECTS = {tables.SET: -0.4, tables.MATCHED: -0.1, tables.SCALED: -0.2, tables.OTHER: -0.05}


def arms(code: str) -> list[tuple[str, str, int, float]]:
    """Kind, source, draw and push of the arms of a language's texts."""
    others = [other for other in CODES if other != code]
    return [
        *((tables.SET, other, -1, 2.0 if other == code else 1.0) for other in CODES),
        *((tables.MATCHED, code, draw, 2.0) for draw in range(2)),
        *((tables.SCALED, other, -1, 1.0) for other in others),
        *((tables.OTHER, other, -1, 1.0) for other in others),
    ]


def texts(codes: tuple[str, ...] = CODES) -> pd.DataFrame:
    rows = [
        {"language": code, "text": f"r{i}:s {i}", "n_tokens": 5, "kind": kind, "source": source}
        | {"k": 3, "draw": draw, "push": push}
        | {"effect": EFFECTS[kind] * (kind != tables.SET or source == code) + 0.001 * (i % 2)}
        for code in codes
        for i in range(N_TEXTS)
        for kind, source, draw, push in arms(code)
    ]
    return pd.DataFrame(rows).astype(tables.ON_TEXTS)


def answers(codes: tuple[str, ...] = CODES) -> pd.DataFrame:
    """Of four facts one has a single label, one is led by another language's at once.

    Of the two others one leaves its language without the own neurons.
    """
    rows = [
        {"language": code, "fact": f"r:s{i}", "relation": "r", "n_labels": 1 if i == 0 else 3}
        | {"kind": kind, "source": source, "k": 3, "draw": draw, "push": push, "effect": -1.0}
        | {"own_before": i != 1, "own_after": not (i == 2 and kind == tables.SET)}
        for code in codes
        for i in range(4)
        for kind, source, draw, push in arms(code)[:5]
    ]
    return pd.DataFrame(rows).astype(tables.ON_ANSWERS)


def written(root: Path, **changed: Any) -> Path:
    folder = root / "language_specific"
    members = [
        {"language": code, "rank": i, "layer": n // 10, "index": n % 10, "neuron": n}
        | {"probability": 0.8, "entropy": 0.1}
        for code, own in SETS.items()
        for i, n in enumerate(own)
    ]
    store.write_table(folder / tables.SETS, pd.DataFrame(members).astype(tables.MEMBERS))
    store.write_table(folder / tables.TEXTS, changed.pop("texts", texts()))
    store.write_table(folder / tables.ANSWERS, changed.pop("answers", answers()))
    about = {"n_layers": 2, "n_neurons": 10, "texts": "prompts", "measured": "text"}
    about |= {"n_tokens": dict.fromkeys(CODES, 500), "left_out": [], "threshold": 0.5}
    store.write_json(folder / tables.META, about | changed)
    return folder


def others(root: Path, *, codes: tuple[str, ...] = CODES) -> OtherSets:
    """Relation neurons 0 and 12 of two relations, knowledge neurons 1 and 2, independent one 5."""
    for code in codes:
        found = pd.DataFrame({"relation": ["r", "q"], "rank": [0, 0], "neuron": [0, 12]})
        store.write_table(root / code / relation_sets.SETS, found)
        size = torch.ones(*SHAPE)
        save_file({"size": size, "banned": size == 0}, root / code / relation_sets.SIZE)
        scores = pd.DataFrame({"fact": "r:s", "relation": "r", "template": 0, "neuron": [1, 2]})
        scores = scores.assign(method="attribution", rank=[0, 1], score=[1.0, 0.5])
        store.write_table(root / code / knowledge_sets.SCORES, scores[knowledge_sets.COLUMNS])
    store.write_table(root / "independent.parquet", pd.DataFrame({"neuron": [5]}))
    folders = {code: root / code for code in codes}
    return OtherSets(folders, folders, root / "independent.parquet")


@pytest.fixture
def found(tmp_path: Path) -> Finding:
    return specific.summarise(written(tmp_path), others(tmp_path), negligible=0.01)


def test_the_claim_is_judged_on_both_contrasts(found: Finding) -> None:
    """Own less random -0.3; own less others -0.15 at half the push, -0.3 at the whole one."""
    verdict = found.verdicts[specific.CLAIM]
    assert verdict.verdict == "supported"
    assert verdict.effect.mean == pytest.approx(-0.3, abs=1e-6)
    assert "Own less random neurons -0.300" in verdict.because
    assert "other languages' neurons -0.300" in verdict.because


def test_languages_by_hand(found: Finding) -> None:
    rows = found.tables["specific_languages"].set_index("language")
    assert rows["n_neurons"].to_dict() == {"xa": 3, "xb": 2, "xc": 1}
    for code in CODES:
        row = rows.loc[code]
        assert row["own"] == pytest.approx(-0.3995)
        assert row["random"] == pytest.approx(-0.0995)
        assert row["beyond_random"] == pytest.approx(-0.3)
        assert row["beyond_others"] == pytest.approx(-0.3)
        assert (row["n_labelled"], row["switched"], row["switched_random"]) == (2, 0.5, 0)
    assert found.summary["switched"] == 0.5
    assert found.summary["n_labelled"] == 6
    assert (found.summary["n_neurons"], found.summary["n_in_several"]) == (5, 1)


def test_whose_neurons_change_whose_text(found: Finding) -> None:
    rows = found.tables["specific_effects"].set_index(["source", "language"])
    assert len(rows) == 9
    assert rows.loc[("xa", "xa"), "effect"] == pytest.approx(-0.3995)
    assert rows.loc[("xa", "xb"), "effect"] == pytest.approx(0.0005)
    assert rows.loc[("xa", "xb"), "push"] == 1.0
    assert (rows["n_texts"] == N_TEXTS).all()
    layers = found.tables["specific_layers"].set_index(["language", "layer"])["neurons"]
    assert layers.loc["xa"].to_dict() == {0: 2, 1: 1}
    assert layers.loc["xc"].to_dict() == {0: 0, 1: 1}


def test_overlap_and_chance_by_hand(found: Finding) -> None:
    """Two of xa's three are in layer 0, where relation neurons have one of ten: 0.2 and 0.1."""
    rows = found.tables["specific_overlap"].set_index(["language", "kind"])
    relation = rows.loc[("xa", "relation")]
    assert (relation["neurons"], relation["others"], relation["count"]) == (3, 2, 2)
    assert relation["expected"] == pytest.approx(2 * 0.1 + 1 * 0.1)
    assert relation["p_value"] == pytest.approx(0.2 * 0.1)
    assert rows.loc[("xb", "knowledge"), "count"] == 1
    independent = rows.loc[("xa", "independent")]
    assert independent["count"] == 0
    assert independent["p_value"] == pytest.approx(1)


def test_a_thin_language_has_no_rows_and_the_others_go_on(tmp_path: Path) -> None:
    """It has tokens and neurons, but no text, no fact, and nothing that other stages found."""
    few = CODES[:2]
    folder = written(tmp_path, texts=texts(few), answers=answers(few))
    found = specific.summarise(folder, others(tmp_path, codes=few), negligible=0.01)
    assert found.verdicts[specific.CLAIM].verdict == "untestable"
    rows = found.tables["specific_languages"].set_index("language")
    assert np.isnan(rows.loc["xc", "own"])
    assert rows.loc["xc", "n_labelled"] == 0
    assert found.summary["by_language"]["xc"] == {"n_labelled": 0, "n_neurons": 1, "n_tokens": 500}
    assert set(found.tables["specific_overlap"].query("language == 'xc'")["kind"]) == {
        "independent"
    }
    store.write_json(tmp_path / "summary.json", dict(found.summary))


def test_no_answer_was_right_anywhere(tmp_path: Path) -> None:
    folder = written(tmp_path, answers=answers().head(0))
    found = specific.summarise(folder, others(tmp_path), negligible=0.01)
    assert found.verdicts[specific.CLAIM].verdict == "supported"
    assert found.summary["n_labelled"] == 0
    assert found.tables["specific_effects"]["answer"].isna().all()
    store.write_json(tmp_path / "summary.json", dict(found.summary))


def test_nothing_to_switch_off_is_said(tmp_path: Path) -> None:
    empty = {"texts": texts().head(0), "answers": answers().head(0)}
    folder = written(tmp_path, reason="it needs texts of two languages", **empty)
    found = specific.summarise(folder, others(tmp_path), negligible=0.01)
    assert found.verdicts[specific.CLAIM].verdict == "untestable"
    assert found.summary["reason"] == "it needs texts of two languages"
    assert not found.tables


def test_languages_without_sets_overlap_with_nothing(tmp_path: Path) -> None:
    none = overlaps({"xa": np.empty(0, dtype=np.int64)}, others(tmp_path), SHAPE)
    assert none.empty


def test_relation_neurons_of_another_site_are_not_compared(tmp_path: Path) -> None:
    """Their indices count other units, though they are in range."""
    given = others(tmp_path)
    assert {kind for kind, _ in given.of(CODES[0], SHAPE)} == {
        "relation",
        "knowledge",
        "independent",
    }
    other = (SHAPE[0], SHAPE[1] + 1)
    assert {kind for kind, _ in given.of(CODES[0], other)} == {"knowledge", "independent"}
