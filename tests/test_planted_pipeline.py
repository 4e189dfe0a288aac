"""The pipeline's own procedures, end to end on the planted model, give what was planted."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import torch

import planted
from neuron_atlas.activations import extraction
from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms import replacements
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.arms.settings import Interference
from neuron_atlas.facts import fact_table, roles
from neuron_atlas.findings import effects
from neuron_atlas.findings.interference import Measured, write_summary
from neuron_atlas.findings.settings import Effects
from neuron_atlas.interventions import interference, sufficiency, transfer
from neuron_atlas.interventions.transfer import Pairs
from neuron_atlas.model import language_model
from neuron_atlas.neurons import relation_sets
from neuron_atlas.neurons.relation_sets import SetsByRelation
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.recall import answers
from neuron_atlas.relation_neurons import build as relation_neurons_build
from neuron_atlas.relation_neurons import casting
from neuron_atlas.relation_neurons.scores import OverTemplates
from neuron_atlas.scoring import prompt_choice
from neuron_atlas.wording import demonstrations
from planted import RELATIONS, STRENGTH
from test_planted import CHANGE

N_DRAWS = 4
HOW = Interference(
    value="zero",
    positions="answer",
    max_facts=6,
    max_seen=0,
    n_draws=N_DRAWS,
    n_across_draws=2,
    n_dose_draws=2,
    doses=[0.3, 0.7],
    pushes=[0.5, 2.0],
    n_others=2,
)
Stage = Literal["interference", "sufficiency"]


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
        asked = demonstrations.with_demonstrations(
            fact_table.read_facts(folder / "facts" / f"{code}.parquet"), shots=0, seed=0
        )
        scored = answers.with_known(answers.score(lm, asked))
        store.write_table(folder / "recall" / f"{code}.parquet", scored)
        prompts = prompt_choice.answered_prompts(
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
        min_positives=3,
        n_chimeras=40,
        n_draws=N_DRAWS,
    )
    values = {code: recorded(folder, code) for code in planted.LANGUAGES}
    keys = {code: f"relation_neurons {code} {how}-" for code in planted.LANGUAGES}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where scores are kept
        given = casting.languages(values, {}, plan, seed=0)
        relation_neurons_build.build(given, out, plan, seed=0, keys=keys)


def recorded(folder: Path, code: str) -> Recorded:
    facts = store.read_table(folder / "facts" / f"{code}.parquet")
    return Recorded(folder / "activations" / code, facts)


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


def test_the_summary_tells_a_planted_set_from_chimeras(run: Run) -> None:
    summary = run.summary
    own = ~summary["relation"].isin(["gamma", "delta"])
    assert (summary.loc[own, "held_out_ap"] == 1).all()
    assert (summary["held_out_ap"] > 5 * summary["random_held_out_ap"]).all()
    assert (summary["held_out_ap"] > 1.5 * summary["held_out_ap_chimera"]).all()
    assert (summary["n_chimeras"] == 40).all()
    assert (summary["held_out_ap_p"] == 1 / 41).all()
    assert summary["templates"].map(len).eq(planted.N_PARAPHRASES - 1).all()
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


def sources(run: Run) -> dict[str, relation_sets.RelationSets]:
    """All sources' sets; no control may be any relation's planted unit."""
    every = np.concatenate([planted.planted(r) for r in RELATIONS])
    found = {s: relation_sets.read_sets(run.folder / "sets" / s) for s in run.sets}
    return {name: replace(source, banned=every) for name, source in found.items()}


def recalled(run: Run, code: str) -> pd.DataFrame:
    return store.read_table(run.folder / "recall" / f"{code}.parquet")


def work(run: Run, stage: str, code: str) -> LanguageWork:
    return LanguageWork(code, recorded(run.folder, code), f"{stage} {code}-")


def measure(run: Run, found: relation_sets.RelationSets, code: str, stage: Stage) -> pd.DataFrame:
    """Run `interference` or `sufficiency` on one language."""
    lm, values = language_model.load(run.folder / "model", device="cpu"), work(run, stage, code)
    language = {"interference": interference, "sufficiency": sufficiency}[stage]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run.folder)  # where finished parts are kept
        table = language.measure_language(
            lm, recalled(run, code), found, HOW, values, seed=0, tolerance=0.0
        )
        checkpoints.done(values.key)
    return table.assign(language=code)


@pytest.fixture(scope="module")
def measurements(run: Run) -> pd.DataFrame:
    found = sources(run)
    parts = [measure(run, found[code], code, "interference") for code in ("xa", "xb")]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def installed(run: Run) -> pd.DataFrame:
    return measure(run, sources(run)["xa"], "xa", "sufficiency")


@pytest.fixture(scope="module")
def transfers(run: Run) -> pd.DataFrame:
    lm, found = language_model.load(run.folder / "model", device="cpu"), sources(run)
    pairs = [
        Pairs(tuple(found), run.folder / "recall" / f"{code}.parquet", work(run, "transfer", code))
        for code in ("xa", "xb")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run.folder)
        return transfer.measure_pairs(lm, pairs, found, HOW, seed=0, tolerance=0.0)


def expected(off: str, asked: str) -> float:
    """Return the change of the answer's log-probability, worked out by hand."""
    clean = STRENGTH[asked]
    after = clean + CHANGE[off].get(asked, 0.0)
    return planted.log_probability(after) - planted.log_probability(clean)


def unscaled(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    return table[table["kind"] == kind]


def test_the_interference_matrix_is_the_one_worked_out_by_hand(measurements: pd.DataFrame) -> None:
    sets = unscaled(measurements, "set")
    cells = sets.groupby(["relation", "measured"])
    assert len(cells) == len(RELATIONS) ** 2
    for (off, asked), rows in cells:
        np.testing.assert_allclose(rows["effect"], expected(off, asked), atol=planted.NATS)
        if asked not in CHANGE[off]:
            assert (rows["effect"] == 0).all()
        assert rows["correct_before"].all()
        assert (rows["correct_after"] == (off != asked)).all()
    assert not sets["seen"].any()
    assert sets["known"].all()
    assert set(sets["template"]) == {planted.N_PARAPHRASES - 1}  # which selected nothing


def test_a_language_without_a_question_that_tests_has_a_table_without_rows(
    run: Run, measurements: pd.DataFrame
) -> None:
    """Two tables without rows are joined there, and are so only if they have the same types."""
    table, lm = recalled(run, "xa"), language_model.load(run.folder / "model", device="cpu")
    untested = table[table["split"] != "held_out"]
    assert 0 < len(untested) < len(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run.folder)
        found = interference.measure_language(
            lm,
            untested,
            sources(run)["xa"],
            HOW,
            work(run, "untested", "xa"),
            seed=0,
            tolerance=0.0,
        )
    assert found.empty
    assert found.dtypes.to_dict() == measurements[found.columns].dtypes.to_dict()


def test_the_push_is_that_of_the_units_that_fire(measurements: pd.DataFrame) -> None:
    """Three units of epsilon write 1 each; gamma's shared one writes 1 to two coordinates."""
    push = unscaled(measurements, "set").groupby(["relation", "measured"])["push"].agg(np.unique)
    assert push["epsilon", "epsilon"] == pytest.approx(3)
    assert push["gamma", "gamma"] == pytest.approx(np.sqrt(10))
    assert push["gamma", "delta"] == pytest.approx(np.sqrt(2))
    assert push["epsilon", "beta"] == pytest.approx(0)


def test_type_and_answer_within_it_add_up(measurements: pd.DataFrame) -> None:
    """Its first tokens are the type's words, so answers of a word have no remainder."""
    parts = measurements["effect_type"] + measurements["effect_given_type"]
    np.testing.assert_allclose(parts, measurements["effect"], atol=1e-4)
    own = unscaled(measurements, "set").query("relation == measured")
    assert (own["effect_type"] < -0.2).all()
    assert (own["effect_given_type"] < -0.2).all()


def test_matched_random_arms_change_nothing(
    measurements: pd.DataFrame, transfers: pd.DataFrame
) -> None:
    every = pd.concat([measurements, transfers])
    kinds = ["push_matched", "size_matched", "transfer_matched"]
    random = every[every["kind"].isin(kinds)]
    assert set(random["kind"]) == set(kinds)
    assert set(random["relation"]) == set(RELATIONS)
    assert (random["effect"] == 0).all()
    assert random["correct_after"].all()


def test_controls_push_as_hard_as_the_set(measurements: pd.DataFrame) -> None:
    """But for draws that move nothing at all on a prompt: units of other subjects."""
    key = ["language", "fact", "relation", "measured"]
    own = unscaled(measurements, "set").query("relation == measured").set_index(key)["push"]
    for kind in ("push_matched", "direction"):
        rows = unscaled(measurements, kind).query("relation == measured").set_index(key)
        moved = rows[rows["push"] > 0]["push"]
        assert len(moved) > len(rows) / 4
        np.testing.assert_allclose(moved, own.reindex(moved.index), rtol=1e-3)


def test_a_set_found_in_one_language_works_in_another(transfers: pd.DataFrame) -> None:
    found = unscaled(transfers, "transfer")
    assert set(found["source"]) == {*planted.LANGUAGES, "pooled"}
    assert set(found["language"]) == {"xa", "xb"}
    for r, rows in found.groupby("relation"):
        np.testing.assert_allclose(rows["effect"], expected(str(r), str(r)), atol=planted.NATS)


def test_the_dose_is_the_number_of_units(measurements: pd.DataFrame) -> None:
    doses = unscaled(measurements, "dose").query("relation == 'epsilon'")
    assert set(doses["order"]) == {"rank", "reverse", "random_order", "push_matched"}
    for (order, k), rows in doses.groupby(["order", "k"]):
        left = planted.M - (0 if order == "push_matched" else k)
        change = planted.log_probability(left) - planted.log_probability(planted.M)
        np.testing.assert_allclose(rows["effect"], change, atol=planted.NATS)


def test_a_curve_is_the_effect_of_a_part_of_the_push(measurements: pd.DataFrame) -> None:
    curves = unscaled(measurements, "curve").query("relation == 'epsilon'")
    assert set(curves["alpha"]) == set(HOW.pushes)
    for (order, alpha), rows in curves.groupby(["order", "alpha"]):
        left = max(0.0, planted.M * (1 - alpha)) if order == "set" else planted.M
        change = planted.log_probability(left) - planted.log_probability(planted.M)
        np.testing.assert_allclose(rows["effect"], change, atol=1e-3)


def test_installing_a_relation_s_units_raises_its_type(installed: pd.DataFrame) -> None:
    """Its strength alone: without the relation's own word no fact unit fires, so no answer."""
    assert set(installed["kind"]) == {
        *("install", "install_matched", "install_direction", "install_other")
    }
    assert (installed["relation"] != installed["measured"]).all()
    assert set(installed["relation"]) == set(RELATIONS)
    matched = unscaled(installed, "install_matched")
    assert (matched["effect"] == 0).all()


def test_replacement_values_are_means_over_the_identification_half(run: Run) -> None:
    """With three languages alike and five relations, a unit of one relation has mean 1/5."""
    values = recorded(run.folder, "xa")
    place = planted.NEURONS["first:epsilon"]
    (mean,) = replacements.off_values(values, "mean", seed=0).values()
    assert mean.shape == (planted.N_LAYERS, planted.N_NEURONS)
    assert float(mean[place.layer, place.index]) == pytest.approx(0.2)
    other = replacements.off_values(values, "other_mean", seed=0)
    found = {r: float(table[place.layer, place.index]) for r, table in other.items()}
    assert found == pytest.approx(dict.fromkeys(RELATIONS, 0.25) | {"epsilon": 0.0}, abs=1e-7)
    (zero,) = replacements.off_values(values, "zero", seed=0).values()
    assert not zero.any()
    drawn = replacements.off_values(values, "resampled", seed=0)
    assert float(drawn["epsilon"][place.layer, place.index]) == 0  # of another relation's prompt
    assert all(table.count_nonzero() > 5 for table in drawn.values())
    own = replacements.relation_means(values)
    assert {r: float(t[place.layer, place.index]) for r, t in own.items()} == {
        r: float(r == "epsilon") for r in RELATIONS
    }


def test_strengths_are_matched_on_prompts_that_select(run: Run) -> None:
    values = recorded(run.folder, "xa")
    index = values.index
    found = replacements.selecting_values(values, ["alpha", "unknown"])
    assert set(found) == {"alpha"}
    used = index[roles.selects(index) & (index["relation"] == "alpha")]
    assert len(found["alpha"]) == len(used) > 0
    assert set(used["template"]) == set(range(planted.N_PARAPHRASES - 1))
    assert set(used["split"]) == {"identification"}


def test_of_many_prompts_some_are_drawn_whatever_the_others_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = recorded(run.folder, "xa")
    every = replacements.selecting_values(values, ["alpha"])["alpha"]
    monkeypatch.setattr(replacements, "PROMPTS", 3)
    some = replacements.selecting_values(values, ["alpha"])["alpha"]
    one_prompt = 4 * every[0].numel()
    monkeypatch.setattr(replacements, "HELD", 2 * one_prompt + 1)
    fewer = replacements.selecting_values(values, ["alpha"])["alpha"]
    assert (len(some), len(fewer)) == (3, 2)
    places = [next(i for i, own in enumerate(every) if torch.equal(own, one)) for one in some]
    assert places == sorted(places)
    assert len({i % (planted.N_PARAPHRASES - 1) for i in places}) > 1  # not one paraphrase alone
    assert all(any(torch.equal(one, own) for own in some) for one in fewer)


def test_a_bound_of_all_relations_draws_nothing_where_they_are_within_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, both = recorded(run.folder, "xa"), ["alpha", "beta"]
    every = replacements.selecting_values(values, both)
    n = sum(map(len, every.values()))
    monkeypatch.setattr(replacements, "PROMPTS", n)
    within = replacements.selecting_values(values, both, in_all=True)
    assert {r: len(own) for r, own in within.items()} == {r: len(own) for r, own in every.items()}
    monkeypatch.setattr(replacements, "PROMPTS", n - 1)
    beyond = replacements.selecting_values(values, both, in_all=True)
    assert {len(own) for own in beyond.values()} == {(n - 1) // 2}


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
            assert row.p_adjusted < 0.05
        else:
            assert row.p_adjusted > 0.5


def test_a_set_works_in_every_pair_of_languages_alike(transfers: pd.DataFrame) -> None:
    found = effects.transfer(transfers)
    assert len(found) == 4 * 2
    change = np.mean([expected(r, r) for r in RELATIONS])
    np.testing.assert_allclose(found["excess"], change, atol=planted.NATS)
    assert (found["random"] == 0).all()
    assert (found["p_adjusted"] < 0.05).all()


def test_more_units_do_more_harm_and_random_ones_none(measurements: pd.DataFrame) -> None:
    curves = effects.doses(effects.dose_items(measurements))
    for order, rows in curves.groupby("order"):
        rows = rows.sort_values("k")
        assert rows["k"].tolist() == [1, 2, 3]
        if order == "push_matched":
            assert (rows["effect"] == 0).all()
        else:
            assert (rows["effect"].diff().dropna() < -0.2).all()


def test_the_verdicts_are_those_of_the_planted_model(
    measurements: pd.DataFrame,
    transfers: pd.DataFrame,
    installed: pd.DataFrame,
    tmp_path: Path,
) -> None:
    paths = {code: tmp_path / f"{code}.parquet" for code in ("xa", "xb")}
    for code, path in paths.items():
        rows = measurements[measurements["language"] == code]
        store.write_table(path, rows.drop(columns="language"))
    store.write_table(tmp_path / "transfer.parquet", transfers)
    store.write_table(tmp_path / "installed.parquet", installed.drop(columns="language"))
    measured = Measured(
        paths, tmp_path / "transfer.parquet", {"xa": tmp_path / "installed.parquet"}
    )
    write_summary(measured, tmp_path / "out", Effects(negligible=0.05), applied=HOW)
    summary = store.read_json(tmp_path / "out" / "summary.json")
    found = {claim: v["verdict"] for claim, v in summary["verdicts"].items()}
    for claim in ("cumulativity", "versatility_relations", "interference"):
        assert found[claim] == "supported", summary["verdicts"][claim]
    contrasts = summary["contrasts"]["right"]["push_matched"]["effect"]
    assert contrasts["high"] < -0.5
    assert summary["interference"]["n_within_significant"] == len(RELATIONS)
    assert summary["interference"]["n_improved_significant"] == 1  # alpha off, beta asked
    assert summary["interference"]["n_harmed_significant"] == 2  # gamma and delta share a unit


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_relations_to_test_are_said_to_be(
    measurements: pd.DataFrame,
    transfers: pd.DataFrame,
    installed: pd.DataFrame,
    tmp_path: Path,
    n: int,
) -> None:
    """Such a run has measured everything: it ends with what it can say, not with an error."""
    paths = {}
    given = {"interference": measurements, "transfer": transfers, "sufficiency": installed}
    for name, table in given.items():
        kept = table["relation"].isin(RELATIONS[:n]) & table["measured"].isin(RELATIONS[:n])
        paths[name] = tmp_path / f"{name}.parquet"
        columns = ["language"] if name != "transfer" else []
        store.write_table(paths[name], table[kept].drop(columns=columns).reset_index(drop=True))
    one = {"xa": paths["interference"]}, paths["transfer"], {"xa": paths["sufficiency"]}
    write_summary(Measured(*one), tmp_path / "out", Effects(negligible=0.05), applied=HOW)
    verdicts = store.read_json(tmp_path / "out" / "summary.json")["verdicts"]
    for claim in ("relation_neurons_exist", "relation_neurons_suffice", "cumulativity"):
        assert verdicts[claim]["verdict"] == "untestable"
        assert verdicts[claim]["reason"].startswith("Needs 3 relations with facts in every arm")
