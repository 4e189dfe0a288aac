"""The stage, from files to files, on the planted pairs."""

from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import save_file

import degenerate_neurons as stage
import planted_pairs
from neuron_atlas.degenerate_neurons import fact_checking
from neuron_atlas.degenerate_neurons.claims import CLAIMS, META
from neuron_atlas.degenerate_neurons.degeneracy import PAIRS, SETS
from neuron_atlas.knowledge_findings.degenerate import summarise_degenerate
from neuron_atlas.knowledge_findings.fact_checking import summarise_fact_checking
from neuron_atlas.neurons import relation_sets
from neuron_atlas.pipeline import store
from saved import save

NAMES = {"xa": "none", "xb": "some"}
PARAMS = {
    "search": {
        **{"candidates": 5, "pool": 5, "tried": 4, "random": 5},
        **{"n_draws": 2, "max_size": 3, "beam": 100},
    },
    "rule": {
        "small": 0.22,
        "negligible": 0.05,
        "null_quantile": 0.99,
        "shots": 1,
        "published_low": 0.2,
        "published_high": 0.25,
    },
    "use": {"n_facts": 6, "n_draws": 9},
    "claims": {
        **{"n_train": 99, "n_validation": 99, "n_test": 99},
        **{"n_negatives": 3, "validation": 0.5},
    },
    "checking": {
        "share": 0.7,
        "tau": 0.2,
        "refine": 0.7,
        "n_draws": 3,
        "rule": "graded",
        "nodes": 2,
        "target": "candidates",
    },
}


def inputs(folder: Path) -> tuple[Path, ...]:
    """Write what the stage reads."""
    lm, source = planted_pairs.model(), planted_pairs.source()
    store.write_json(save(lm, folder / "model") / "provenance.json", {})
    store.write_table(folder / "recall.parquet", planted_pairs.recalled(lm))
    store.write_table(folder / "facts.parquet", planted_pairs.facts())
    graded = planted_pairs.graded().assign(template=0, method=fact_checking.METHOD)
    store.write_table(folder / "attributions" / "scores.parquet", graded)
    sizes = folder / "sizes"
    none = graded[["relation", "rank", "neuron"]].iloc[:0]
    store.write_table(sizes / relation_sets.SETS, none)
    banned = torch.zeros(2, planted_pairs.N_NEURONS, dtype=torch.bool)
    banned.view(-1)[torch.from_numpy(source.banned)] = True
    size = torch.from_numpy(source.size).float()
    save_file({"size": size, "banned": banned}, sizes / relation_sets.SIZE)
    content = {"seed": 1, "degenerate_neurons": PARAMS, "scoring": {"tolerance": 0.001}}
    YAML().dump(content, folder / "params.yaml")
    tables = folder / "recall.parquet", folder / "facts.parquet"
    return folder / "model", *tables, folder / "attributions", sizes


def test_the_stage_writes_what_the_summaries_read_the_same_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = inputs(tmp_path)
    outs = [tmp_path / "out" / name for name in ("first", "second")]
    for out in outs:
        stage.main(*given, out, language="xa")
    for name in (PAIRS, SETS, CLAIMS, META):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()
    assert not list((tmp_path / ".work").glob("*"))

    folders = {"xa": outs[0]}
    found = summarise_degenerate(folders, negligible_rate=0.004)
    assert found.summary["n_degenerate"] == 2  # a and b, c and d
    assert found.summary["n_elsewhere"] == 1  # a and b
    assert found.summary["n_larger"] == 1  # t, u and v
    assert found.summary["null_rate"] == found.summary["weak_null_rate"] == 0
    assert found.summary["rate"] == pytest.approx(2 / found.summary["n_compared"])
    n = 5 * 10 + 2 * 6  # in two facts one of five neurons is needed alone
    assert found.summary["n_pairs_tested"] == found.summary["n_null_pairs"] == n
    assert found.verdicts["degenerate_neurons_exist"].verdict == "untestable"  # one relation
    claims, meta = store.read_table(outs[0] / CLAIMS), store.read_json(outs[0] / META)
    assert set(claims["split"]) == {"test"}  # all facts with the other answer have attributions
    assert meta["n_training_facts"] == 5
    checked = summarise_fact_checking(folders, negligible_auroc=0.01, n_resamples=200, seed=0)
    assert checked.verdicts["degenerate_neurons_help_fact_checking"].verdict == "untestable"


def test_a_language_without_facts_writes_empty_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = inputs(tmp_path)
    for file in (given[1], given[3] / "scores.parquet"):
        store.write_table(file, store.read_table(file).iloc[:0])
    stage.main(*given, tmp_path / "none", language="xa")
    stage.main(*inputs(tmp_path), tmp_path / "some", language="xb")
    for folders in ({"xa": tmp_path / "none"}, {c: tmp_path / p for c, p in NAMES.items()}):
        found = summarise_degenerate(folders, negligible_rate=0.004)
        assert found.summary["n_facts"] == 7 * ("xb" in folders)
        store.write_json(tmp_path / "summary.json", dict(found.summary))
        checked = summarise_fact_checking(folders, negligible_auroc=0.01, n_resamples=200, seed=0)
        assert next(iter(checked.summary)) == "covered"
