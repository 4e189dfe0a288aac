"""The pipeline's own procedures, end to end on the planted model, give what was planted."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted
from neuron_atlas.activations import extraction
from neuron_atlas.facts import fact_table
from neuron_atlas.findings import effects
from neuron_atlas.findings.interference import Effects, Measured, write_summary
from neuron_atlas.interventions import arms, interference
from neuron_atlas.interventions.settings import Interference
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.neurons.relation_sets import SetsByRelation
from neuron_atlas.pipeline import store
from neuron_atlas.recall import answers
from neuron_atlas.relation_neurons import build as relation_neurons_build
from neuron_atlas.relation_neurons.scores import OverTemplates
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.scoring.candidates import CandidateTokens
from planted import RELATIONS, STRENGTH
from test_planted import CHANGE

N_DRAWS = 4
HOW = Interference(
    value="zero",
    positions="answer",
    max_facts=3,
    n_draws=N_DRAWS,
    n_dose_draws=2,
    doses=[0.3, 0.7],
    seed=0,
)


@dataclass(frozen=True)
class Run:
    """What the stages up to `relation_neurons` left behind."""

    folder: Path

    @property
    def sets(self) -> dict[str, SetsByRelation]:
        names = [*planted.LANGUAGES, relation_sets.POOLED]
        return {name: relation_sets.read_sets(self.folder / "sets" / name).sets for name in names}

    @property
    def summary(self) -> pd.DataFrame:
        return pd.DataFrame(store.read_json(self.folder / "sets" / "summary.json")["sets"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("planted")
    lm = language_model.load(planted.save(folder / "model"), device="cpu")
    planted.write_facts(folder / "facts")
    for code in planted.LANGUAGES:
        asked = answers.with_demonstrations(
            fact_table.read_facts(folder / "facts" / f"{code}.parquet"), shots=1, seed=0
        )
        scored = answers.with_known(answers.score(lm, asked))
        store.write_table(folder / "recall" / f"{code}.parquet", scored)
        prompts = prompt_choice.known_prompts(
            store.read_table(folder / "recall" / f"{code}.parquet")
        )
        out, place = folder / "activations" / code, folder / "work" / code
        extraction.save(lm, prompts, out, site="hidden", pooling="answer", place=place)
    build(folder, "min", folder / "sets")
    return Run(folder)


def build(folder: Path, how: OverTemplates, out: Path) -> None:
    plan = relation_neurons_build.SetPlan(
        k=planted.M,
        templates=how,
        min_facts=4,
        massive=20.0,
        exclude_massive=False,
        n_permutations=5,
        n_null_neurons=16,
        n_draws=N_DRAWS,
        seed=0,
    )
    folders = {code: folder / "activations" / code for code in planted.LANGUAGES}
    keys = {code: f"relation_neurons {code} {how}-" for code in planted.LANGUAGES}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where scores are kept
        relation_neurons_build.build(folders, out, plan, keys=keys)


def test_every_source_finds_exactly_the_planted_sets(run: Run) -> None:
    assert set(run.sets) == {*planted.LANGUAGES, "pooled"}
    for found in run.sets.values():
        assert set(found) == set(RELATIONS)
        for r in RELATIONS:
            assert np.sort(found[r]).tolist() == planted.planted(r).tolist()


def test_the_mean_over_templates_falls_into_the_trap(run: Run, tmp_path: Path) -> None:
    """Positive control: a unit of two wordings of three beats the unit that two relations share."""
    build(run.folder, "mean", tmp_path / "sets")
    found = relation_sets.read_sets(tmp_path / "sets" / "pooled").sets
    for r in ("gamma", "delta"):
        trap = planted.NEURONS[f"loud trap:{r}"]
        assert trap.layer * planted.N_NEURONS + trap.index in found[r]


def test_the_summary_tells_a_planted_set_from_chance(run: Run) -> None:
    summary = run.summary
    own = ~summary["relation"].isin(["gamma", "delta"])
    assert (summary.loc[own, "held_out_ap"] == 1).all()
    assert (summary["held_out_ap"] > 5 * summary["random_held_out_ap"]).all()
    assert (summary["held_out_ap"] > 2 * summary["ap_null_q99"]).all()
    assert (summary["split_half_jaccard"] == 1).all()
    np.testing.assert_allclose(summary["prevalence"], 1 / 13, atol=1e-12)


def test_the_overlap_is_the_shared_unit(run: Run) -> None:
    found = store.read_json(run.folder / "sets" / "summary.json")
    shared = {(o["a"], o["b"]): o["count"] for o in found["overlap"]}
    assert {pair for pair, n in shared.items() if n} == {("delta", "gamma")}
    assert shared["delta", "gamma"] == 1
    assert all(o["jaccard"] == 1 for o in found["language_overlap"])


def test_scores_that_a_run_left_give_the_same_bytes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(relation_neurons_build, "score_language", refuse)
    build(run.folder, "min", tmp_path / "sets")
    assert contents(tmp_path / "sets") == contents(run.folder / "sets")
    shutil.rmtree(run.folder / ".work" / "relation_neurons xb min-")
    with pytest.raises(AssertionError, match="scored again"):  # positive control
        build(run.folder, "min", tmp_path / "again")


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the bytes of every file in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def measure(run: Run, code: str, plan: list[arms.Arm]) -> pd.DataFrame:
    """Ask one language's held-out facts under each arm."""
    recalled = store.read_table(run.folder / "recall" / f"{code}.parquet")
    rows = prompt_choice.held_out(recalled, max_facts=3, seed=0)
    value = interference.replacement_values(run.folder / "activations" / code, RELATIONS, "zero")
    lm = language_model.load(run.folder / "model", device="cpu")
    off = interference.switched_off(lm, plan, value, site="hidden", everywhere=False)
    return interference.measure_arms(off, plan, rows, CandidateTokens(lm)).assign(language=code)


def sources(run: Run) -> dict[str, relation_sets.RelationSets]:
    """All sources' sets; no control may be any relation's planted unit."""
    every = np.concatenate([planted.planted(r) for r in RELATIONS])
    found = {s: relation_sets.read_sets(run.folder / "sets" / s) for s in run.sets}
    return {name: replace(source, banned=every) for name, source in found.items()}


@pytest.fixture(scope="module")
def measurements(run: Run) -> pd.DataFrame:
    found = sources(run)
    parts = [
        measure(run, code, arms.interference_arms(code, found[code], HOW)) for code in ("xa", "xb")
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def transfers(run: Run) -> pd.DataFrame:
    plan = arms.transfer_arms(sources(run), HOW.model_copy(update={"n_draws": 2}))
    return pd.concat([measure(run, code, plan) for code in ("xa", "xb")], ignore_index=True)


def expected(off: str, asked: str) -> float:
    """Return the change of the answer's log-probability, worked out by hand."""
    clean = STRENGTH[asked]
    after = clean + CHANGE[off].get(asked, 0.0)
    return planted.log_probability(after) - planted.log_probability(clean)


def test_the_interference_matrix_is_the_one_worked_out_by_hand(measurements: pd.DataFrame) -> None:
    cells = measurements[measurements["kind"] == "set"].groupby(["relation", "measured"])
    assert len(cells) == len(RELATIONS) ** 2
    for (off, asked), rows in cells:
        np.testing.assert_allclose(rows["effect"], expected(off, asked), atol=planted.NATS)
        if asked not in CHANGE[off]:
            assert (rows["effect"] == 0).all()
        assert rows["correct_before"].all()
        assert (rows["correct_after"] == (off != asked)).all()


def test_matched_random_arms_change_nothing(
    measurements: pd.DataFrame, transfers: pd.DataFrame
) -> None:
    every = pd.concat([measurements, transfers])
    random = every[every["kind"].isin(["random", "transfer_random"])]
    assert set(random["relation"]) == set(RELATIONS)
    assert (random["effect"] == 0).all()
    assert random["correct_after"].all()


def test_a_set_found_in_one_language_works_in_another(transfers: pd.DataFrame) -> None:
    transfer = transfers[transfers["kind"] == "transfer"]
    assert set(transfer["source"]) == {*planted.LANGUAGES, "pooled"}
    for r, rows in transfer.groupby("relation"):
        np.testing.assert_allclose(rows["effect"], expected(str(r), str(r)), atol=planted.NATS)


def test_the_dose_is_the_number_of_units(measurements: pd.DataFrame) -> None:
    doses = measurements[(measurements["kind"] == "dose") & (measurements["relation"] == "epsilon")]
    assert set(doses["order"]) == {"rank", "reverse", "random_order", "matched_random"}
    for (order, k), rows in doses.groupby(["order", "k"]):
        left = planted.M - (0 if order == "matched_random" else k)
        change = planted.log_probability(left) - planted.log_probability(planted.M)
        np.testing.assert_allclose(rows["effect"], change, atol=planted.NATS)


def test_replacement_values_are_means_over_the_identification_half(run: Run) -> None:
    """With three languages alike and five relations, a unit of one relation has mean 1/5."""
    folder = run.folder / "activations" / "xa"
    first = planted.NEURONS["first:epsilon"]
    mean = interference.replacement_values(folder, RELATIONS, "mean")
    assert mean.shape == (1, planted.N_LAYERS, planted.N_NEURONS)
    assert float(mean[0, first.layer, first.index]) == pytest.approx(0.2)
    other = interference.replacement_values(folder, RELATIONS, "other_mean")[
        :, first.layer, first.index
    ]
    np.testing.assert_allclose(other, [0.25, 0.25, 0.25, 0.25, 0.0], atol=1e-7)


def test_the_table_of_effects_is_the_matrix_worked_out_by_hand(measurements: pd.DataFrame) -> None:
    cells = effects.cells(measurements)
    assert len(cells) == len(RELATIONS) ** 2
    for row in cells.itertuples():
        change = expected(row.relation, row.measured)
        assert row.effect == pytest.approx(change, abs=planted.NATS)
        assert row.random == 0
        assert row.excess == pytest.approx(change, abs=planted.NATS)
        assert row.low - planted.NATS <= change <= row.high + planted.NATS
        assert row.accuracy_after == (row.relation != row.measured)
        if row.measured in CHANGE[row.relation]:
            assert row.q_value < 0.05
        else:
            assert row.p_value == 1


def test_a_set_works_in_every_pair_of_languages_alike(transfers: pd.DataFrame) -> None:
    found = effects.transfer(transfers)
    assert len(found) == 4 * 2
    change = np.mean([expected(r, r) for r in RELATIONS])
    np.testing.assert_allclose(found["effect"], change, atol=planted.NATS)
    assert (found["random"] == 0).all()
    assert (found["q_value"] < 0.05).all()


def test_more_units_do_more_harm_and_random_ones_none(measurements: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    curves = effects.doses(effects.dose_items(measurements), rng=rng, n_resamples=100)
    for order, rows in curves.groupby("order"):
        rows = rows.sort_values("k")
        assert rows["k"].tolist() == [1, 2, 3]
        if order == "matched_random":
            assert (rows["effect"] == 0).all()
        else:
            assert (rows["effect"].diff().dropna() < -0.2).all()


def test_the_verdicts_are_those_of_the_planted_model(
    run: Run, measurements: pd.DataFrame, transfers: pd.DataFrame, tmp_path: Path
) -> None:
    files = {code: tmp_path / f"{code}.parquet" for code in ("xa", "xb")}
    for code, path in files.items():
        rows = measurements[measurements["language"] == code]
        store.write_table(path, rows.drop(columns="language"))
    sets = run.folder / "sets"
    store.write_table(tmp_path / "transfer.parquet", transfers)
    moved = tmp_path / "transfer.parquet"
    write_summary(
        Measured(files, moved, sets),
        tmp_path / "out",
        Effects(negligible=0.05, n_resamples=200, seed=0),
        applied=HOW,
    )
    summary = store.read_json(tmp_path / "out" / "summary.json")
    found = {claim: v["verdict"] for claim, v in summary["verdicts"].items()}
    for claim in set(found) - {"versatility_relations"}:  # one shared pair is too few to ask for
        assert found[claim] == "supported", summary["verdicts"][claim]
    assert summary["interference"]["n_within_significant"] == len(RELATIONS)
    assert summary["interference"]["n_improved_significant"] == 1  # alpha off, beta asked
