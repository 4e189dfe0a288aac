"""Arms' edits on planted truth: how they are fitted, and what asking under them measures."""

import numpy as np
import pytest
import torch

import planted
import planted_scores
from editing_plans import DESCENT, HOW
from neuron_atlas.editing import fitted_edits, measured_edits, plan
from neuron_atlas.editing.asked import asked
from neuron_atlas.editing.equal_reliability import to_margin
from neuron_atlas.editing.measured_edits import Questions
from neuron_atlas.editing.plan import Case
from neuron_atlas.editing.tables import (
    INDEPENDENT,
    LOCALITY,
    MONOLINGUAL,
    MONOLINGUAL_NEURONS,
    OF_THE_FACT,
    PORTABILITY_MORE,
    SEQUENTIAL,
    TEXT,
)
from neuron_atlas.editing.tokenised import fit_prompts
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model_edits.fit_prompts import first_token_gaps
from neuron_atlas.model_edits.sequences import Sequences, run_body
from neuron_atlas.model_edits.settings import Descent
from neuron_atlas.model_edits.value_edits import ValueEdit, applied
from neuron_atlas.pipeline import store
from neuron_atlas.scoring import log_probability
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.trees import query
from planted_scores import unit

Given = tuple[Questions, list[Case], dict[str, list[NeuronSet]]]


@pytest.fixture(scope="module")
def given(planted_model: LanguageModel) -> Given:
    recalled = {name: planted_scores.recalled(planted_model, name) for name in planted.LANGUAGES}
    tables, tokens = plan.read_tables(recalled), CandidateTokens(planted_model)
    how = HOW.model_copy(update={"max_facts": 1})
    none = {name: set[str]() for name in recalled}
    cases = plan.choose_cases(tables, tokens, how, stored=none, seed=0).edited[:3]
    arms = {
        INDEPENDENT: "fact",
        MONOLINGUAL_NEURONS: "language:xa:1",
        MONOLINGUAL: "language:xa:1",
    }
    sets = {
        c.fact: [
            NeuronSet(c.fact, c.relation, arm, unit(name.replace("fact", f"fact:{c.fact}"), decoy))
            for arm, name in arms.items()
            for decoy in ["decoy:0.1"]
        ]
        for c in cases
    }
    for c in cases:
        both = unit("language:xa:1", "language:xb:1")
        sets[c.fact].append(NeuronSet(c.fact, c.relation, SEQUENTIAL, both))
    prompts = asked(tables, cases, n_unrelated=2, seed=0)
    return Questions(planted_model, tables, prompts, tokens), cases, sets


def fitted(given: Given, how: Descent = DESCENT) -> dict[str, list[fitted_edits.ArmEdit]]:
    one, cases, sets = given
    prompts = fit_prompts(one.lm, one.tables, one.tokens, cases)
    return fitted_edits.fit_edits(one.lm, cases, prompts, sets, how)


def test_an_edit_of_a_planted_value_vector_is_exact(given: Given) -> None:
    """The fact's unit writes its answer in all languages: in one step all prompts gain alike."""
    one, cases, _ = given
    prompts = fit_prompts(one.lm, one.tables, one.tokens, cases)
    alone = {
        c.fact: [NeuronSet(c.fact, c.relation, INDEPENDENT, unit(f"fact:{c.fact}"))] for c in cases
    }
    how = Descent(steps=1, rate=9.0, margin=2.0, max_norm=9.0)
    edits = fitted_edits.fit_edits(one.lm, cases, prompts, alone, how)
    for case in cases:
        found = measured_edits.measure(one, case, edits[case.fact])
        own = found[found["where"].isin(OF_THE_FACT)]
        assert (own["new_after"] - own["old_after"]).to_numpy() == pytest.approx(2, abs=1e-4)
        assert set(own["language"]) == set(planted.LANGUAGES)
        other = found[found["where"] == LOCALITY]
        assert (other["old_after"] - other["old_before"]).abs().max() <= planted.NATS
        assert (other["unchanged"] == 1).all()


def test_measured_edits_equal_a_plain_question_a_prompt(given: Given) -> None:
    one, cases, _ = given
    lm, case = one.lm, cases[0]
    edits = fitted(given)[case.fact]
    found = measured_edits.measure(one, case, edits)
    for each in edits:
        mine = found[found["arm"] == each.arm]
        keys = ["where", "language", "measured", "template"]
        rows = one.asked[one.asked["fact"] == case.fact].set_index(keys)
        for values in store.records(mine):
            row = rows.loc[tuple(values[k] for k in keys)].to_dict()
            if values["where"] == TEXT:
                continue
            old = one.tokens.candidate(row, asked_for(row))
            plain = [query(lm, row["prompt"], [old])]
            before = log_probability.log_probabilities(lm, plain)[0][0, 0]
            with applied(lm, each.edit):
                after = log_probability.log_probabilities(lm, plain)[0][0, 0]
            assert values["old_before"] == pytest.approx(before, abs=planted.NATS)
            assert values["old_after"] == pytest.approx(after, abs=planted.NATS)
            assert np.isnan(values["new_after"]) == (values["where"] not in OF_THE_FACT)
            assert np.isnan(values["unchanged"]) == (values["where"] in OF_THE_FACT)


def test_a_text_s_log_probability_is_that_of_all_its_tokens_but_the_first(given: Given) -> None:
    one, cases, _ = given
    case = cases[0]
    found = measured_edits.measure(one, case, fitted(given)[case.fact][:1])
    (row,) = store.records(found[found["where"] == TEXT])
    (asked_row,) = store.records(
        one.asked[(one.asked["fact"] == case.fact) & (one.asked["where"] == TEXT)]
    )
    words = planted.vocabulary()
    ids = [words[word] for word in asked_row["text"].split()]
    read = list(one.lm.tokenizer.encode(asked_row["text"]).ids)
    assert read[-len(ids) :] == ids
    expected = 0.0
    for place in range(1, len(read)):
        before = " ".join(asked_row["text"].split()[: place - (len(read) - len(ids))])
        if before:
            asked_one = [query(one.lm, before, [(read[place],)])]
            expected += log_probability.log_probabilities(one.lm, asked_one)[0][0, 0]
    assert row["tokens"] == len(read) - 1
    if len(read) == len(ids):  # no special token stands before
        assert row["old_before"] == pytest.approx(expected, abs=1e-4)


def test_arms_that_are_not_asked_in_full_are_asked_where_all_are(given: Given) -> None:
    one, cases, _ = given
    found = measured_edits.measure(one, cases[0], fitted(given)[cases[0].fact])
    where = found.groupby("arm")["where"].agg(set)
    assert PORTABILITY_MORE in where[INDEPENDENT]
    assert PORTABILITY_MORE not in where[SEQUENTIAL]
    assert where[SEQUENTIAL] < where[INDEPENDENT] == where[MONOLINGUAL]


def test_facts_edited_together_or_alone_get_the_same_edit(given: Given) -> None:
    one, cases, sets = given
    together = fitted(given)
    for case in cases:
        alone = fitted((one, [case], sets))[case.fact]
        for a, b in zip(together[case.fact], alone, strict=True):
            np.testing.assert_allclose(a.edit.delta, b.edit.delta, atol=1e-3)


def test_the_monolingual_arm_is_fitted_to_the_first_source_alone(given: Given) -> None:
    """Both arms change one set, whose unit is silent in xb: no edit of it succeeds there."""
    one, cases, _ = given
    edits = fitted(given)
    for case in cases:
        by_arm = {each.arm: each.edit for each in edits[case.fact]}
        pair = by_arm[MONOLINGUAL_NEURONS], by_arm[MONOLINGUAL]
        np.testing.assert_array_equal(pair[0].neurons, pair[1].neurons)
        assert (pair[0].delta - pair[1].delta).abs().max() > 1e-3  # a step is judged by all losses
        gain = {}
        for row in store.records(plan.fitted(one.tables, case)):
            with applied(one.lm, by_arm[MONOLINGUAL]):
                old, new = asked_both(one, case, row)
            gain[row["language"]] = new - old
        assert gain["xa"] > 0 > gain["xb"]


def asked_both(one: Questions, case: Case, row: dict[str, object]) -> np.ndarray:
    texts = [one.tokens.candidate(row, asked_for(row))]
    candidates = row["candidates"]
    assert isinstance(candidates, list)
    texts.append(one.tokens.candidate(row, candidates.index(case.new)))
    plain = [query(one.lm, str(row["prompt"]), texts)]
    return log_probability.log_probabilities(one.lm, plain)[0][0]


def test_sequential_halves_are_fitted_one_after_the_other(given: Given) -> None:
    """The second language's neuron is silent in the first: each half does its own work."""
    one, cases, _ = given
    edits = fitted(given)
    for case in cases:
        found = edits[case.fact][-1].edit
        assert (found.delta.norm(dim=1) > 0.1).all()
        only = ValueEdit(found.neurons[:1], found.delta[:1])
        for row in store.records(plan.fitted(one.tables, case)):
            with applied(one.lm, only):
                old, new = asked_both(one, case, row)
            assert (new > old) == (row["language"] == "xa")
            with applied(one.lm, found):
                old, new = asked_both(one, case, row)
            assert new > old


def test_the_subject_s_last_token_is_found(given: Given) -> None:
    one, cases, _ = given
    prompts = fit_prompts(one.lm, one.tables, one.tokens, cases)
    names = {number: word for word, number in planted.vocabulary().items()}
    for point, fact, place in zip(
        prompts.points, prompts.fact.tolist(), prompts.subject.tolist(), strict=True
    ):
        assert names[point.ids[place]].endswith(cases[fact].fact.split(":")[1])


def test_an_edit_that_overshoots_is_scaled_to_the_margin_on_the_first_source(given: Given) -> None:
    """At the answer's first token, as it is fitted; what falls short stays as it is.

    The gap of the fact's own unit rises in a straight line, and is met. That of the language's
    does not: it fires at other words too, and the lines end above the margin.
    """
    one, cases, _ = given
    case, margin = cases[0], 1.0
    whole = fitted(given)[case.fact]
    scaled = to_margin(one, case, whole, margin=margin)
    prompts = fit_prompts(one.lm, one.tables, one.tokens, [case])
    first = [p for p, n in zip(prompts.points, prompts.source.tolist(), strict=True) if n == 0]
    batch = Sequences.of([point.ids for point in first], one.lm.device)

    def gap() -> float:
        with torch.no_grad():
            return float(first_token_gaps(one.lm, first, run_body(one.lm, batch)).mean())

    assert gap() < margin
    for before, after in zip(whole, scaled, strict=True):
        torch.testing.assert_close(after.edit.delta, before.edit.delta * after.share)
        with applied(one.lm, before.edit):
            unscaled = gap()
        with applied(one.lm, after.edit):
            reached = gap()
        assert (0 < after.share < 1) == (unscaled > margin)
        assert unscaled < margin or margin - 0.01 < reached < unscaled
        if after.arm == INDEPENDENT:
            assert reached == pytest.approx(margin, abs=0.01)
    assert sum(edit.share < 1 for edit in scaled) >= 2  # positive control
