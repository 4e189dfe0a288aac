"""The stage: a planted neuron is found and hurts its language alone; a kill is resumed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import planted
import planted_language
import planted_scores
from neuron_atlas.language_specific import experiment, language_work, tables
from neuron_atlas.language_specific.experiment import Inputs
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.overlap import within_layer_expected_overlap
from neuron_atlas.pipeline import store
from planted_language import HOW

CODES = planted.LANGUAGES


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return planted_language.model()


@pytest.fixture(scope="module")
def recalled(lm: LanguageModel) -> dict[str, pd.DataFrame]:
    return planted_language.recalled(lm)


def run(
    lm: LanguageModel, recalled: Mapping[str, pd.DataFrame], folder: Path, key: str = "k-1"
) -> Path:
    experiment.run(lm, Inputs(recalled, None), folder / "out", HOW, seed=0, key=key)
    return folder / "out"


@pytest.fixture(scope="module")
def out(
    lm: LanguageModel,
    recalled: Mapping[str, pd.DataFrame],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run(lm, recalled, folder)


def test_the_planted_neurons_are_found_and_no_other(out: Path) -> None:
    sets = store.read_table(out / tables.SETS)
    for code in CODES:
        assert set(sets.loc[sets["language"] == code, "neuron"]) == planted_language.units(code)
    assert (sets["probability"] == 1).all()
    assert (sets["entropy"] == 0).all()
    activity = store.read_table(out / tables.ACTIVITY)
    assert len(activity) == len(CODES) * planted.N_LAYERS * planted.N_NEURONS
    always = planted_scores.unit("constant:0", "constant:1")  # positive control: active everywhere
    rows = activity[activity["neuron"].isin(always)]
    assert (rows["active"] == rows["n_tokens"]).all()


def test_they_are_not_language_independent(out: Path) -> None:
    """Neither of several languages, nor among the neurons that answer a fact in all of them."""
    sets = store.read_table(out / tables.SETS)
    assert not sets["neuron"].duplicated().any()
    independent = planted_scores.unit(*(n for n in planted.NEURONS if n.startswith("fact:")))
    own = sets["neuron"].to_numpy(np.int64)
    assert np.intersect1d(own, independent).size == 0
    shape = {"n_layers": planted.N_LAYERS, "n_neurons": planted.N_NEURONS}
    assert within_layer_expected_overlap(own, independent, **shape) == 0


def test_they_hurt_their_own_language_and_change_no_other(out: Path) -> None:
    found = store.read_table(out / tables.TEXTS)
    sets = found[found["kind"] == tables.SET]
    own = sets["source"] == sets["language"]
    assert (sets.loc[own, "effect"] < -0.1).all()
    assert (sets.loc[~own, "effect"].abs() < 1e-4).all()
    sizes = found[found["kind"] == tables.SET].groupby("language").size()
    assert (sizes == HOW.n_texts * len(CODES)).all()


def test_what_is_about_the_run_is_said(out: Path) -> None:
    about = store.read_json(out / tables.META)
    assert about["left_out"] == []
    assert about["n_tokens"] == dict.fromkeys(CODES, HOW.max_tokens)
    assert (about["texts"], about["measured"]) == ("prompts", "text")
    assert 0 < about["threshold"] < 1
    assert "reason" not in about


def test_a_killed_run_goes_on_and_gives_the_same_bytes(
    lm: LanguageModel,
    recalled: Mapping[str, pd.DataFrame],
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []
    real = language_work.measure_texts

    def stops(arms: object, language: str, some: object) -> pd.DataFrame:
        seen.append(language)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(arms, language, some)  # type: ignore[arg-type]

    monkeypatch.setattr(language_work, "measure_texts", stops)
    with pytest.raises(KeyboardInterrupt):
        run(lm, recalled, tmp_path)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(experiment.activity, "measure", None)  # what is counted is kept
    again = run(lm, recalled, tmp_path)
    assert seen == ["xa", "xb", "xb", "xc"]
    for file in sorted(out.iterdir()):
        assert (again / file.name).read_bytes() == file.read_bytes()
    assert list((tmp_path / ".work").glob("*")) == []


@pytest.mark.parametrize("rows", ["none", "no known ones"])
def test_a_thin_language_does_not_end_the_stage(
    lm: LanguageModel,
    recalled: Mapping[str, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    table = recalled["xb"]
    thin = table.head(0) if rows == "none" else table.assign(correct=False, known=False)
    out = run(lm, {**recalled, "xb": thin}, tmp_path)
    about = store.read_json(out / tables.META)
    assert about["left_out"] == (["xb"] if rows == "none" else [])
    answers = store.read_table(out / tables.ANSWERS)
    assert set(answers["language"]) == {"xa", "xc"}
    texts = store.read_table(out / tables.TEXTS)
    assert set(texts["language"]) == ({"xa", "xc"} if rows == "none" else set(CODES))


def test_one_language_is_too_few(
    lm: LanguageModel,
    recalled: Mapping[str, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = run(lm, {"xa": recalled["xa"]}, tmp_path)
    assert "needs texts of two languages" in store.read_json(out / tables.META)["reason"]
    for name, columns in (
        (tables.SETS, tables.MEMBERS),
        (tables.TEXTS, tables.ON_TEXTS),
        (tables.ANSWERS, tables.ON_ANSWERS),
    ):
        table = store.read_table(out / name)
        assert (len(table), list(table)) == (0, list(columns))
