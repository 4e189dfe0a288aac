"""What cards say of a neuron's values is what the recorded values say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import planted
from neuron_atlas.activations.files import Recorded
from neuron_atlas.cards import activity, prompts, tables
from neuron_atlas.cards.activity import Activity
from neuron_atlas.cards.inputs import Inputs
from neuron_atlas.cards.tokens import orientation
from planted_cards import LANGUAGES, SETS_PLAN

CARDED = np.array([0, 3, 130, 140, 200, 300], dtype=np.int64)


def measured(values: dict[str, Recorded], carded: np.ndarray = CARDED) -> Activity:
    return activity.measure(values, carded, SETS_PLAN, n_neurons=planted.N_NEURONS, n_prompts=3)


@pytest.fixture(scope="module")
def found(given: Inputs) -> Activity:
    return measured(dict(given.values))


def values(given: Inputs, code: str) -> np.ndarray:
    one = given.values[code]
    return torch.cat([one.layer(i).float() for i in range(one.n_layers)], 1).numpy()


def test_scores_are_those_by_which_the_sets_were_chosen(given: Inputs) -> None:
    table = given.relation_table
    carded = np.unique(table["neuron"].to_numpy(np.int64))
    scores = activity.scores(measured(dict(given.values), carded), carded)
    rows = table.merge(
        scores,
        left_on=["neuron", "source", "relation"],
        right_on=["neuron", "language", "relation"],
    )
    assert len(rows) == len(table)
    np.testing.assert_array_equal(
        rows["average_precision"].astype(np.float32), rows["score"].astype(np.float32)
    )


def test_means_are_over_right_prompts_and_elsewhere_over_other_relations(
    given: Inputs, found: Activity
) -> None:
    scores = activity.scores(found, CARDED)
    for code in LANGUAGES:
        index, own = given.values[code].index, values(given, code)
        right = index["correct"].to_numpy(np.bool_)
        means = {
            r: own[right & (index["relation"] == r).to_numpy()][:, CARDED].mean(0)
            for r in planted.RELATIONS
        }
        for r, mean in means.items():
            rows = scores[(scores["language"] == code) & (scores["relation"] == r)]
            others = np.mean([m for name, m in means.items() if name != r], 0)
            np.testing.assert_allclose(rows["mean"], mean, atol=1e-6)
            np.testing.assert_allclose(rows["elsewhere"], others, atol=1e-6)


def test_pooled_is_the_mean_over_the_languages(found: Activity) -> None:
    keys = ["language", "neuron", "relation"]
    scores = activity.scores(found, CARDED).set_index(keys).sort_index()
    parts = [scores.loc[code, "mean"] for code in LANGUAGES]
    expected = sum(parts) / len(parts)
    np.testing.assert_allclose(scores.loc["pooled", "mean"], expected, atol=1e-6)


def test_extreme_prompts_are_those_of_a_full_sort(given: Inputs, found: Activity) -> None:
    index = {code: one.index for code, one in given.values.items()}
    table = prompts.named(found.extremes, index, given.recalled)
    every = pd.concat(
        [
            index[code].assign(language=code, **{str(n): values(given, code)[:, n] for n in CARDED})
            for code in LANGUAGES
        ],
        ignore_index=True,
    )
    texts = {
        (code, row.fact, row.template): row.prompt
        for code in LANGUAGES
        for row in given.recalled[code].itertuples()
    }
    for neuron in CARDED.tolist():
        for end, up in ((tables.STRONGEST, False), (tables.WEAKEST, True)):
            rows = table[(table["neuron"] == neuron) & (table["end"] == end)]
            order = every.sort_values(str(neuron), ascending=up, kind="stable").head(3)
            assert rows["rank"].tolist() == [0, 1, 2]
            assert rows["value"].tolist() == order[str(neuron)].tolist()
            assert rows["fact"].tolist() == order["fact"].tolist()
            assert rows["language"].tolist() == order["language"].tolist()
            keys = order[["language", "fact", "template"]].itertuples(index=False)
            assert rows["prompt"].tolist() == [texts[key] for key in map(tuple, keys)]


def test_prompts_are_shown_without_demonstrations_and_with_a_blank(given: Inputs) -> None:
    code = LANGUAGES[0]
    asked = given.recalled[code].assign(
        prompt=[f"x : y\n{{object}} of {p}" for p in given.recalled[code]["prompt"]],
        subject_start=given.recalled[code]["subject_start"] + len("x : y\n{object} of "),
    )
    extremes = pd.DataFrame(
        {"neuron": [1], "end": "strongest", "rank": 0, "language": code, "row": 0, "value": 1.0}
    )
    index = {code: given.values[code].index}
    shown = prompts.named(extremes, index, {code: asked})["prompt"].iloc[0]
    assert shown.startswith("___ of ")
    assert "\n" not in shown


def test_a_language_that_knows_nothing_adds_nothing(given: Inputs, tmp_path: Path) -> None:
    """It has files without rows, as the stage `activations` leaves them."""
    first, second = LANGUAGES
    known = given.values[first]
    folder = tmp_path / second
    _copy_without_rows(known, folder)
    nothing = Recorded(folder, known.facts)
    alone, both = measured({first: known}), measured({first: known, second: nothing})
    np.testing.assert_array_equal(alone.mean[1], both.mean[2])  # pooled
    np.testing.assert_array_equal(alone.massive, both.massive)
    assert np.isnan(both.mean[1]).all()
    assert set(both.extremes["language"]) == {first}
    scores = activity.scores(both, CARDED)
    assert set(scores["language"]) == {first, "pooled"}


def _copy_without_rows(known: Recorded, folder: Path) -> None:
    from safetensors.torch import save_file

    from neuron_atlas.activations.files import INDEX, META, NAME, file_name
    from neuron_atlas.pipeline import store

    folder.mkdir()
    for layer in range(known.n_layers):
        save_file({NAME: known.layer(layer)[:0].clone()}, folder / file_name(layer))
    store.write_table(folder / INDEX, store.read_table(known.folder / INDEX)[:0])
    store.write_json(folder / META, dict(known.meta))


def test_a_neuron_is_turned_to_the_side_on_which_its_relation_is(found: Activity) -> None:
    best = pd.DataFrame(
        {
            "best_relation": ["alpha", "beta", "alpha"],
            "best_language": ["pooled", LANGUAGES[0], "xz"],
        },
        index=pd.Index([0, 3, 130], name="neuron"),
    )
    sign = orientation(found, CARDED, best)
    for place, (neuron, relation, source) in enumerate(
        [(0, "alpha", "pooled"), (3, "beta", LANGUAGES[0]), (130, "alpha", "pooled")]
    ):
        change = found.change[found.sources.index(source), found.relations.index(relation)].ravel()[
            neuron
        ]
        assert sign[place] == (-1 if change < 0 else 1)
    overall = found.overall[CARDED[3:]]
    assert sign[3:].tolist() == np.where(overall < 0, -1, 1).tolist()
    assert set(sign.tolist()) <= {-1, 1}
