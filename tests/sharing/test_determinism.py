"""What does not depend on how the work is cut up, or on how many threads do it, to the last bit.

Another batch is another shape of matrices, whose products add in another order: in float32 the last
bits differ. What is decided from the values, and the digits that are shown, stay the same.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from few_controls import FEW
from killing import contents, out, removed, stage, workspace
from neuron_atlas.activations import extraction, files
from neuron_atlas.activations.files import Recorded
from neuron_atlas.arms import tested_prompts
from neuron_atlas.arms.language_work import LanguageWork, asked_relations
from neuron_atlas.arms.measuring_arms import ArmMeasurements, PlannedArms
from neuron_atlas.attributions import strongest
from neuron_atlas.interventions import relation_arms
from neuron_atlas.model import language_model
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import relation_sets
from neuron_atlas.pipeline import store
from neuron_atlas.recall import answers
from neuron_atlas.scoring import prompt_choice
from repository import run

SIZES = (1, 7, 32)  # prompts of a batch
TOKENS = 20  # of a prompt, about
DIGITS = 4  # of a shown number
# What float32 leaves open: five units in the last place of the least log-probability, -33 nats, and
# ten of the largest activation, 1.7. A share is of a difference that is small beside its parts.
NATS, ACTIVATION, SHARE = 2e-5, 2e-6, 1e-4
PUSH = 1e-4  # of a norm of sums over all neurons, and as near as gains make it
PLAN = strongest.AttributionPlan(
    baseline="occlusion",
    rule="graded",
    steps=3,
    tolerance=0.01,
    screen=0.0,
    zero_rule="midpoint",
    zero_steps=5,
    target="log_probability",
    max_facts=None,
    keep=20,
    floor=0.1,
)
Step = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def lm(origin: Path) -> LanguageModel:
    return language_model.load(origin / "data" / "model")


@pytest.fixture(scope="module")
def recalled(origin: Path) -> pd.DataFrame:
    return store.read_table(origin / out("recall", "en"))


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def cut(table: pd.DataFrame, step: Step, size: int) -> pd.DataFrame:
    """Do the work in parts, as `checkpoints.in_parts` does."""
    parts = [step(table.iloc[i : i + size]) for i in range(0, len(table), size)]
    return pd.concat(parts, ignore_index=True)


def compare(found: pd.DataFrame, expected: pd.DataFrame, **values: float) -> None:
    """Demand equality but for some columns, which may differ by so much and are shown alike."""
    rest = found.columns.difference(list(values))
    pd.testing.assert_frame_equal(found[rest], expected[rest], check_exact=True)
    for name, atol in values.items():
        a, b = (np.concatenate([np.atleast_1d(x) for x in t[name]]) for t in (found, expected))
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)
        assert round(float(a.mean()), DIGITS) == round(float(b.mean()), DIGITS)


def scored(lm: LanguageModel, recalled: pd.DataFrame, size: int) -> pd.DataFrame:
    return cut(recalled[answers.COLUMNS], partial(answers.score, lm), size)


def attributed(lm: LanguageModel, recalled: pd.DataFrame, size: int) -> pd.DataFrame:
    rows = prompt_choice.first_known(recalled, max_facts=1).assign(checked=True)
    table = cut(rows, lambda part: strongest.attribute(lm, part, PLAN, None), size)
    table = table.sort_values(["fact", "template", "method", "neuron"], ignore_index=True)
    return table.drop(columns="rank")  # equal scores may change places


def interfered(lm: LanguageModel, recalled: pd.DataFrame, origin: Path, size: int) -> pd.DataFrame:
    found = relation_sets.read_sets(origin / "data" / "relation_neurons" / "en")
    how = FEW.model_copy(update={"value": "zero", "max_seen": 1, "pushes": [0.5]})
    values = Recorded(origin / out("activations", "en"), recalled)
    work = LanguageWork("en", values, key="")
    asked = asked_relations(lm, how, work, list(found.sets), names=("interference",), seed=0)
    plans = {
        name: partial(PlannedArms, one, relation_arms.interference_arms(one, "en", found, how))
        for name, one in asked.items()
    }
    measured = ArmMeasurements(lm, "hidden", everywhere=False, tolerance=0.0, plans=plans)
    prompts = tested_prompts.prompts_of_relations(recalled, list(asked), how, seed=0)
    prompts = prompts[~prompts["seen"]].reset_index(drop=True)
    return cut(prompts, measured.measure, size)


def extracted(lm: LanguageModel, answered: pd.DataFrame, folder: Path, size: int) -> Path:
    """Extract in batches of about `size` prompts."""
    known, out_folder = prompt_choice.answered_prompts(answered), folder / str(size) / "en"
    extraction.save(
        lm,
        known,
        out_folder,
        site="hidden",
        pooling="answer",
        place=folder / "w",
        n_tokens=size * TOKENS,
    )
    return out_folder


LOG_P = {"log_probability": NATS, "log_probabilities": NATS}


@pytest.mark.parametrize("size", SIZES)
def test_recall_in_other_parts(lm: LanguageModel, recalled: pd.DataFrame, size: int) -> None:
    whole = scored(lm, recalled, len(recalled))
    compare(scored(lm, recalled, size), whole, **LOG_P)
    with pytest.raises(AssertionError):  # positive control
        compare(whole.assign(log_probability=whole["log_probability"] - 1e-3), whole, **LOG_P)


@pytest.mark.parametrize("size", SIZES)
def test_attribution_in_other_parts(lm: LanguageModel, recalled: pd.DataFrame, size: int) -> None:
    whole = attributed(lm, recalled, 24)
    compare(attributed(lm, recalled, size), whole, score=NATS, value=NATS, completeness=SHARE)
    with pytest.raises(AssertionError):  # positive control
        compare(whole.assign(score=-whole["score"]), whole, score=NATS, value=NATS)


@pytest.mark.parametrize("size", SIZES)
def test_interference_in_other_parts(
    lm: LanguageModel, recalled: pd.DataFrame, origin: Path, size: int
) -> None:
    whole = interfered(lm, recalled, origin, 8)
    parts = ("effect", "effect_type", "effect_given_type", "effect_later")
    effects = dict.fromkeys(parts, NATS)
    compare(interfered(lm, recalled, origin, size), whole, push=PUSH, **effects)
    assert whole["effect"].abs().max() > 0.1  # positive control: there is something to compare


@pytest.mark.parametrize("size", SIZES)
def test_extraction_in_other_batches(
    lm: LanguageModel,
    origin: Path,
    tmp_path: Path,
    size: int,
) -> None:
    """The files differ in last bits alone, and the same neurons are found in them."""
    answered = store.read_table(origin / out("answers", "en"))
    folder = extracted(lm, answered, tmp_path, size)
    whole = origin / out("activations", "en")
    for layer in range(lm.n_layers):
        found, expected = (files.read_layer(f, layer) for f in (folder, whole))
        torch.testing.assert_close(found, expected, rtol=0, atol=ACTIVATION)
        assert expected.abs().max() > 0.1  # positive control
    for name in (files.INDEX, files.META):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert len(contents(folder)) == len(contents(whole))


@pytest.mark.usefixtures("two_threads")
def test_two_threads_change_no_bit_but_of_attributions(
    lm: LanguageModel, recalled: pd.DataFrame, origin: Path
) -> None:
    """Attributions have few rows, of which torch's attention and MKL share a sum among threads.

    So does the slope of the softmax in our own attention. Each operation was run with either number
    of threads: all others of theirs keep every bit.
    """

    def exact() -> list[pd.DataFrame]:
        return [scored(lm, recalled, 256), interfered(lm, recalled, origin, 8)]

    found, other = exact(), attributed(lm, recalled, 24)
    torch.set_num_threads(1)
    for a, b in zip(found, exact(), strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    compare(other, attributed(lm, recalled, 24), score=NATS, value=NATS, completeness=SHARE)


def test_a_stage_gives_the_same_bytes_with_two_threads(origin: Path, tmp_path: Path) -> None:
    folder = workspace(origin, tmp_path)
    expected = removed(folder / out("activations", "en"))
    run(folder, *stage("activations", "en"), cold=True, OMP_NUM_THREADS="2")
    assert contents(folder / out("activations", "en")) == expected


def test_a_stage_shows_the_same_attributions_with_two_threads(origin: Path, tmp_path: Path) -> None:
    folder = workspace(origin, tmp_path)
    result = folder / out("attributions", "en")
    with_one = sorted_scores(result)  # as everything in the origin
    removed(result)
    run(folder, *stage("attributions", "en"), cold=True, OMP_NUM_THREADS="2")
    compare(sorted_scores(result), with_one, score=NATS)


def sorted_scores(result: Path) -> pd.DataFrame:
    table = store.read_table(result / "scores.parquet").drop(columns="rank")
    return table.sort_values(["fact", "template", "method", "neuron"], ignore_index=True)
