"""One more language costs its own pairs alone, and changes no byte of what a whole run gives."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
import planted_scores
from few_controls import FEW
from neuron_atlas.activations import extraction
from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms.language_work import LanguageWork
from neuron_atlas.facts import roles
from neuron_atlas.interventions import transfer
from neuron_atlas.interventions.transfer import Pairs
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.relation_sets import POOLED, RelationSets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.work_folder import WHOLE
from neuron_atlas.scoring import prompt_choice

HOW = FEW.model_copy(update={"value": "zero"})
CODES = tuple(f"l{i}" for i in range(10))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_one_more_language_changes_the_last_group_alone(size: int) -> None:
    every = [transfer.source_groups(CODES[:n], size=size) for n in range(1, len(CODES) + 1)]
    for fewer, more in pairwise(every):
        assert more[: len(fewer) - 1] == fewer[:-1]
    for n, groups in enumerate(every, start=1):
        assert [source for group in groups for source in group] == [*CODES[:n], POOLED]
        assert max(map(len, groups)) <= size


def test_a_group_is_never_empty_of_languages_but_for_the_last() -> None:
    assert transfer.source_groups(CODES[:3], size=3) == [CODES[:3], (POOLED,)]
    assert transfer.source_groups(CODES[:4], size=3) == [CODES[:3], (CODES[3], POOLED)]


@pytest.fixture(scope="module")
def inputs(planted_model: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recall tables and activations of all languages of the planted model."""
    folder = tmp_path_factory.mktemp("inputs")
    for code in planted.LANGUAGES:
        table = planted_scores.recalled(planted_model, code)
        store.write_table(folder / f"{code}.parquet", table)
        prompts, place = prompt_choice.answered_prompts(table), folder / "work" / code
        extraction.save(
            planted_model, prompts, folder / code, site="hidden", pooling="answer", place=place
        )
    return folder


def sets(languages: Sequence[str]) -> dict[str, RelationSets]:
    """Return a set of each relation for every source; the pooled ones follow the languages."""
    free = planted_scores.source()
    found = {}
    for i, source in enumerate([*languages, POOLED]):
        shift = len(languages) if source == POOLED else i
        chosen = {r: np.append(planted.planted(r), 20 + shift) for r in planted.RELATIONS}
        found[source] = RelationSets(chosen, free.size, free.banned)
    return found


class Measuring:
    """Measures every pair of some languages in a folder of work, and notes what it had to do."""

    def __init__(self, lm: LanguageModel, inputs: Path, folder: Path) -> None:
        self._lm, self._inputs, self._folder = lm, inputs, folder
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, languages: Sequence[str], patch: pytest.MonkeyPatch) -> bytes:
        """Return the bytes of the table of all pairs."""
        found, self.asked = sets(languages), []

        def spy(lm: LanguageModel, one: Pairs, *rest: Any, **more: Any) -> Any:
            self.asked.append((one.work.language, *one.sources))
            return measure(lm, one, *rest, **more)

        measure = transfer._measured
        self._folder.mkdir(exist_ok=True)
        with patch.context() as now:
            now.chdir(self._folder)
            now.setattr(transfer, "_measured", spy)
            pairs = list(self._pairs(languages, found))
            table = transfer.measure_pairs(self._lm, pairs, found, HOW, seed=0, tolerance=0.0)
            checkpoints.keep_only("transfer", [one.work.key for one in pairs])
        store.write_table(self._folder / "transfer.parquet", table)
        return (self._folder / "transfer.parquet").read_bytes()

    def _pairs(self, languages: Sequence[str], found: dict[str, RelationSets]) -> Iterator[Pairs]:
        for target, sources in product(languages, transfer.source_groups(languages, size=1)):
            used = {s: {r: n.tolist() for r, n in found[s].sets.items()} for s in sources}
            key = checkpoints.key(f"transfer {target} {'+'.join(sources)}", [], used)
            recall = self._inputs / f"{target}.parquet"
            halves = roles.halves(store.read_table(recall))
            work = LanguageWork(target, Recorded(self._inputs / target, halves), key)
            yield Pairs(sources, recall, work)


def test_one_more_language_measures_its_own_pairs_and_gives_the_same_bytes(
    planted_model: LanguageModel, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = Measuring(planted_model, inputs, tmp_path / "grown")
    whole = Measuring(planted_model, inputs, tmp_path / "whole")
    first = grown(("xa", "xb"), monkeypatch)
    assert grown.asked == list(product(("xa", "xb"), ("xa", "xb", POOLED)))
    found = grown(("xa", "xb", "xc"), monkeypatch)
    assert found == whole(("xa", "xb", "xc"), monkeypatch) != first
    assert whole.asked == list(product(("xa", "xb", "xc"), ("xa", "xb", "xc", POOLED)))
    kept = set(product(("xa", "xb"), ("xa", "xb")))
    assert set(grown.asked) == set(whole.asked) - kept
    assert grown(("xa", "xb", "xc"), monkeypatch) == found
    assert grown.asked == []


def test_what_no_pair_uses_is_deleted(
    planted_model: LanguageModel, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Measuring(planted_model, inputs, tmp_path / "work")
    measure(("xa", "xb", "xc"), monkeypatch)
    measure(("xb", "xa"), monkeypatch)
    kept = {path.name.rpartition("-")[0] for path in (tmp_path / "work/.work").iterdir()}
    pairs = product(("xa", "xb"), ("xa", "xb", POOLED))
    assert kept == {f"transfer {target} {source}" for target, source in pairs}
    for folder in (tmp_path / "work/.work").iterdir():
        assert [file.name for file in folder.iterdir()] == [WHOLE]


def test_language_specific_neurons_are_measured_apart(
    planted_model: LanguageModel, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit that fires in one language serves all of it, and does nothing elsewhere."""
    monkeypatch.chdir(tmp_path)
    found, languages = sets(("xa", "xb")), ("xa", "xb")
    own = {"xa": planted_scores.unit("language:xa:0", "language:xa:1")}
    pairs = []
    for target in languages:
        recall = inputs / f"{target}.parquet"
        values = Recorded(inputs / target, roles.halves(store.read_table(recall)))
        pairs.append(Pairs(languages, recall, LanguageWork(target, values, f"s{target}"), own))
    table = transfer.measure_pairs(planted_model, pairs, found, HOW, seed=0, tolerance=0.0)
    assert set(table["source"]) == {"xa"}
    assert set(table["language"]) == set(languages)
    assert set(table["kind"]) == {"specific_set", "specific_other_set", "specific_own_scaled"}
    mean = table.groupby(["kind", "language"])[["push", "effect"]].mean()
    at_home = mean.loc["specific_other_set", "xa"]
    assert at_home["push"] == pytest.approx(mean.loc["specific_own_scaled", "xa"]["push"], rel=1e-3)
    assert at_home["push"] > 0
    assert mean.loc["specific_other_set", "xb"]["push"] == pytest.approx(0, abs=1e-6)
    assert pairs[0].measured == ["xa"]
    with monkeypatch.context() as patch:
        patch.setitem(pairs[0].work.values.meta, "site", "gate")
        assert pairs[0].measured == []  # those neurons are hidden units
    none = [replace(one, specific={}) for one in pairs]
    again = [replace(one, work=replace(one.work, key=f"n{i}")) for i, one in enumerate(none)]
    empty = transfer.measure_pairs(planted_model, again, found, HOW, seed=0, tolerance=0.0)
    assert empty.empty
    assert list(empty.columns) == list(table.columns)
