"""Planted values: a neuron of a relation beats chimeras, neurons of single wordings do not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from test_blocks import N_TEMPLATES, RELATIONS, index

from neuron_atlas.activations.files import Recorded
from neuron_atlas.facts import roles
from neuron_atlas.neurons import relation_sets
from neuron_atlas.pipeline import store
from neuron_atlas.relation_neurons import best_units, build, casting
from neuron_atlas.relation_neurons.scores import UnitScores
from neuron_atlas.relation_neurons.settings import SetPlan

WIDTH, K = 400, 5
PLAN = SetPlan(
    k=K,
    templates="min",
    min_facts=4,
    min_positives=3,
    massive=1000.0,
    exclude_massive=True,
    n_chimeras=100,
    n_draws=5,
)
PLANTED = "a"  # the one relation with neurons of its own


def activations(folder: Path, *, seed: int) -> Path:
    """Record a layer: `K` neurons of relation a, `K` of the type that b and c share, and blocks'.

    Every block has five neurons that respond to it alone, as if to its wording.
    """
    rng = np.random.default_rng(seed)
    table = index().drop(columns=roles.HALVES)
    values = rng.normal(size=(len(table), WIDTH)).astype(np.float32)
    relation, template = table["relation"].to_numpy(), table["template"].to_numpy()
    values[relation == PLANTED, :K] += 8
    values[np.isin(relation, ["b", "c"]), K : 2 * K] += 8
    start = 2 * K
    for r in RELATIONS:
        for t in range(N_TEMPLATES + 1):
            values[(relation == r) & (template == t), start : start + 5] += 8
            start += 5
    assert start <= WIDTH
    folder.mkdir(parents=True)
    store.write_table(folder / "index.parquet", table)
    store.write_json(folder / "meta.json", {"n_layers": 1, "site": "hidden", "pooling": "answer"})
    save_file({"values": torch.from_numpy(values)}, folder / "layer_000.safetensors")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the stage writes for two languages, in which b and c are siblings."""
    place = tmp_path_factory.mktemp("null")
    halves = roles.halves(index())
    folders = {c: activations(place / c, seed=i) for i, c in enumerate(("en", "fr"))}
    values = {c: Recorded(folder, halves) for c, folder in folders.items()}
    related = {"b": {"c"}, "c": {"b"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        names = index().columns.drop(roles.HALVES).tolist()
        patch.setattr("neuron_atlas.activations.files.INDEX_COLUMNS", names)
        given = casting.languages(values, related, PLAN, seed=0)
        keys = {c: f"relation_neurons {c}-0" for c in folders}
        build.build(given, place / "out", PLAN, seed=0, keys=keys)
    return place / "out"


@pytest.fixture(scope="module")
def summary(made: Path) -> pd.DataFrame:
    return pd.DataFrame(store.read_json(made / "summary.json")["sets"])


def test_only_the_relation_with_neurons_of_its_own_exceeds_the_chimeras(
    summary: pd.DataFrame,
) -> None:
    assert set(summary["source"]) == {"en", "fr", "pooled"}
    for _, row in summary.iterrows():
        assert row["n_chimeras"] == 100
        if row["relation"] == PLANTED:
            assert row["held_out_ap"] > 0.99
            assert row["testing_ap"] > 0.99
            assert row["held_out_ap_p"] == row["testing_ap_p"] == 1 / 101
            assert row["split_half_jaccard"] == 1
        elif row["relation"] not in ("b", "c"):
            assert row["held_out_ap"] < 2 * row["held_out_ap_chimera_q95"]
    plain = summary[~summary["relation"].isin([PLANTED, "b", "c"])]
    assert plain["held_out_ap_p"].median() > 0.1  # wordings' neurons: no better than chimeras


def test_relations_like_chimeras_are_named(made: Path, summary: pd.DataFrame) -> None:
    named = store.read_json(made / "summary.json")["like_chimeras"]
    by_ap = {(r["source"], r["relation"]) for r in named if "held_out_ap" in r["measures"]}
    assert by_ap
    for _, row in summary.iterrows():
        key = (row["source"], row["relation"])
        assert (key in by_ap) == (row["held_out_ap_p"] > 0.05)
        assert key[1] != PLANTED or key not in by_ap


def test_a_neuron_of_the_answers_type_counts_only_without_siblings(made: Path) -> None:
    shared = set(range(K, 2 * K))
    for source in ("en", "fr", "pooled"):
        main = relation_sets.read_sets(made / source).sets
        apart = relation_sets.read_sets(made / source, file=relation_sets.NO_SIBLINGS).sets
        assert set(main) == set(RELATIONS)
        assert set(apart) == {"b", "c"}
        for r in apart:
            assert set(apart[r].tolist()) == shared
    rows = pd.DataFrame(store.read_json(made / "summary.json")["siblings"])
    assert (rows["held_out_ap_no_siblings"] > 0.99).all()
    assert (rows["held_out_ap"] < 0.8).all()


def test_other_selectors_find_the_planted_neurons_too(made: Path) -> None:
    for source in ("en", "fr", "pooled"):
        found = relation_sets.read_selectors(made / source)
        assert set(found) == {"mean_gap", "linear_probe"}
        for sets in found.values():
            assert set(sets) == set(RELATIONS)
            assert all(len(chosen) == len(set(chosen)) == K for chosen in sets.values())
            assert set(sets[PLANTED].tolist()) == set(range(K))


def test_a_single_wording_deceives_the_probe_and_not_the_gap(made: Path) -> None:
    """A probe of all prompts at once may rest on wordings; the least gap over templates may not."""
    found = relation_sets.read_selectors(made / "en")
    of_blocks = set(range(2 * K, WIDTH))
    plain = [r for r in RELATIONS if r not in (PLANTED, "b", "c")]
    hits = {s: [len(of_blocks & set(sets[r].tolist())) for r in plain] for s, sets in found.items()}
    assert min(hits["linear_probe"]) == K
    own = {r: 2 * K + 5 * (N_TEMPLATES + 1) * i for i, r in enumerate(RELATIONS)}
    for r in plain:
        mine = set(range(own[r], own[r] + 5 * N_TEMPLATES))
        assert set(found["linear_probe"][r].tolist()) <= mine
        assert len(set(found["mean_gap"][r].tolist()) & mine) < K


def test_p_is_uniform_when_a_relation_is_one_more_chimera() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        values = rng.normal(size=40)
        null = pd.DataFrame(dict.fromkeys(best_units.MEASURES, values[1:]))
        row = best_units.beside(dict.fromkeys(best_units.MEASURES, values[0]), null)
        found.append(row["held_out_ap_p"])
    p = np.array(found)
    assert p.min() >= 1 / 40
    for level in (0.05, 0.25, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=3 * np.sqrt(level / 400) + 0.01)


def test_too_few_chimeras_can_tell_nothing() -> None:
    row = {"held_out_ap_p": 1 / 7}
    assert best_units.exceeds(row, "held_out_ap", n_chimeras=6) is None
    assert best_units.exceeds(row, "held_out_ap", n_chimeras=100) is False
    assert best_units.exceeds({"held_out_ap_p": 0.01}, "held_out_ap", n_chimeras=100) is True
    assert best_units.exceeds({"held_out_ap_p": None}, "held_out_ap", n_chimeras=0) is None


def test_best_equals_the_whole_ranking_with_ties() -> None:
    rng = np.random.default_rng(0)
    score, gap = (torch.from_numpy(rng.integers(4, size=(3, 50))).float() for _ in range(2))
    exclude = torch.from_numpy(rng.random((3, 50)) < 0.2)
    for k in (1, 7, 40):
        found = best_units.best(score, gap, k=k, exclude=exclude)
        keys = [
            (-float(score.flatten()[i]), -float(gap.flatten()[i]), i)
            for i in range(150)
            if not exclude.flatten()[i]
        ]
        assert found.tolist() == [i for _, _, i in sorted(keys)[:k]]


def test_measures_by_hand() -> None:
    score = torch.tensor([[[0.9, 0.8, 0.1, 0.1]]])
    held_out = torch.tensor([[[0.7, 0.1, 0.6, 0.1]]])
    by_template = {0: score[0], 1: held_out[0]}
    units = UnitScores(("x",), score, held_out, torch.full_like(score, torch.nan), (by_template,))
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    found = best_units.measures(units, 0, k=2, exclude=nothing, ties=None)
    assert found["held_out_ap"] == pytest.approx(0.4)
    assert found["split_half_jaccard"] == found["template_jaccard"] == pytest.approx(1 / 3)
    assert np.isnan(found["testing_ap"])
