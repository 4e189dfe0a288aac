"""Scores that editing computes itself equal those that the stage `attributions` would store."""

import numpy as np
import pandas as pd
import pytest

import planted
import planted_scores
from editing_plans import PLAN
from neuron_atlas.attributions import strongest
from neuron_atlas.editing import missing_scores, plan
from neuron_atlas.editing.plan import Case, shown
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons.knowledge_sets import COLUMNS


def test_missing_scores_are_those_that_attributions_would_store(
    planted_model: LanguageModel,
) -> None:
    recalled = {code: planted_scores.recalled(planted_model, code) for code in planted.LANGUAGES}
    tables = plan.read_tables(recalled)
    scores = {code: planted_scores.scores(table, code) for code, table in recalled.items()}
    stored = str(planted_scores.facts(recalled["xa"])["fact"].iloc[0])
    cases = [
        Case("alpha:s9", "alpha", ("xa", "xb"), ("xc",), "alpha_a0"),
        Case(stored, stored.split(":")[0], ("xa", "xb"), ("xc",), "alpha_a0"),
    ]
    rows = missing_scores.missing(tables, scores, cases)
    assert set(rows["fact"]) == {"alpha:s9"}  # the other one's are stored
    assert rows["language"].tolist() == ["xa", "xa", "xb", "xb"]
    for code, part in rows.groupby("language"):
        assert set(part["template"]) == set(shown(tables, "alpha:s9", str(code))["template"])
    how = PLAN.model_copy(update={"baseline": "zero"})  # this model has no word to hide others by
    found = missing_scores.attribute(planted_model, rows, how)
    for code, part in rows.groupby("language"):
        own = found[found["language"] == code].drop(columns="language")
        whole = strongest.attribute(planted_model, part.assign(checked=False), how, None)
        expected = whole[whole["method"] == "attribution"][COLUMNS]
        order = ["template", "rank"]
        own, expected = (t.sort_values(order, ignore_index=True) for t in (own, expected))
        names = ["fact", "relation", "template", "method", "rank", "neuron"]
        pd.testing.assert_frame_equal(own[names], expected[names])
        np.testing.assert_allclose(own["score"], expected["score"], atol=1e-5)
        assert own["score"].max() > 0


def test_a_mean_that_was_not_kept_is_an_error(planted_model: LanguageModel) -> None:
    how = PLAN.model_copy(update={"baseline": "mean"})
    with pytest.raises(ValueError, match=r"raise attributions\.max_facts"):
        missing_scores.attribute(planted_model, pd.DataFrame({"language": ["xa"]}), how)
