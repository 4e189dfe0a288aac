"""The whole of Dai et al. and Chen et al. as published, on small decoders and encoders."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import references
import slow_neurons
import tiny
import toy
from neuron_atlas.attributions.questions import Question
from neuron_atlas.facts import fact_table
from neuron_atlas.facts.fact_table import Fact
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.work_folder import FOLDER
from neuron_atlas.recall import answers
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from neuron_atlas.scoring.trees import query
from published.knowledge import arms, checking, degenerate, run, sets, success
from published.knowledge.attributing import published_method
from published.knowledge.ground import Ground
from published.knowledge.page import page
from published.knowledge.plan import OURS, Plan

EXACT = 1e-5
FEW = Plan(
    relations=3,
    facts=2,
    steps=3,
    zero_steps=3,
    claims=1,
    draws=2,
    others=2,
    pool=4,
    tolerance=0.0,
    ours=OURS.model_copy(update={"steps": 2}),
)


def recall(lm: LanguageModel, languages: Sequence[str]) -> dict[str, pd.DataFrame]:
    return {code: answers.with_known(answers.score(lm, toy.fact_table(code))) for code in languages}


def letters(lm: LanguageModel) -> dict[str, pd.DataFrame]:
    """Recall tables in letters, in two languages, of a random model that is said to know it all."""
    facts = [
        Fact(
            relation=relation,
            subject=subject,
            subject_label=subject,
            objects=(answer,),
            object_labels=(answer,),
            candidates=tuple(of_relation),
            candidate_labels=tuple(of_relation),
            split="held_out" if i % 2 else "identification",
            answer_split="held_out" if i % 2 else "identification",
        )
        for relation, subjects, of_relation in (
            ("r", "abc", "klm"),
            ("s", "def", "nop"),
            ("t", "ghi", "qvw"),
        )
        for i, (subject, answer) in enumerate(zip(subjects, of_relation, strict=True))
    ]
    found = {}
    for language, first in (("en", "x"), ("de", "y")):
        texts = {r: [f"{first} {r} {last} {{subject}}" for last in "uzj"] for r in "rst"}
        scored = answers.score(lm, fact_table.build(facts, texts, separator=" "))
        found[language] = scored.assign(correct=True, known=True)
    return found


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_the_whole_of_it_on_random_models(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lm = tiny.random_model(family)
    check(lm, letters(lm), replace(FEW, low=0.9, high=0.001), largest=50)


@pytest.fixture(scope="module", params=["toy_decoder", "toy_encoder"])
def taught(request: pytest.FixtureRequest) -> LanguageModel:
    model: LanguageModel = request.getfixturevalue(request.param)
    return model


@pytest.fixture(scope="module")
def tables(taught: LanguageModel) -> Mapping[str, pd.DataFrame]:
    return recall(taught, ("en", "de"))


def test_the_whole_of_it_on_models_that_learnt_facts(
    taught: LanguageModel,
    tables: Mapping[str, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    check(taught, tables, FEW, largest=140)


def check(
    lm: LanguageModel, tables: Mapping[str, pd.DataFrame], plan: Plan, *, largest: int
) -> None:
    """Run it all twice in the present folder, and compare what can be with slow ways to it."""
    found = run.run(lm, tables, plan, key=key)
    assert (found["facts"], found["relations"]) == (6, 3)
    assert {file.parent.name for file in FOLDER.rglob("*.parquet")} >= {
        key("amig en"),
        key("arms de"),
    }
    assert run.run(lm, tables, plan, key=key) == found
    if plan.high < FEW.high:  # so that there are pairs, and neurons to check claims with
        assert all(one["covered"] for one in found["checking"].values())
    store.write_json(Path("knowledge.json"), head(lm) | found)
    text = page(store.read_json(Path("knowledge.json")))
    assert "nan" not in text
    for is_table, lines in groupby(text.splitlines(), key=lambda line: line.startswith("|")):
        assert not is_table or len({line.count("|") for line in lines}) == 1
    grounds = run.prepare(lm, tables, plan, key=key)
    check_sets(grounds["en"], tau=plan.taus[0])
    check_success(grounds["en"], found["sets"]["en"][sets.AMIG]["success"])
    check_changes(grounds["en"], found["sets"]["en"][sets.DAI]["change_ratio"])
    check_pairs(grounds["en"])
    check_claims(grounds["en"], np.array([3, largest]))
    check_sharing(grounds, found["sharing"][sets.AMIG])
    check_controls(grounds["en"])


def key(work: str) -> str:
    return f"whole {work}-0"


def head(lm: LanguageModel) -> dict[str, Any]:
    return {"model": "toy", "encoder": lm.architecture.encoder, "languages": ["en", "de"]}


def question(ground: Ground, fact: str) -> Question:
    row = ground.prompts[ground.own_prompt[fact]]
    tokens = CandidateTokens(ground.lm)
    return Question(row["prompt"], tokens.candidate(row, asked_for(row)))


def check_sets(ground: Ground, *, tau: float) -> None:
    """A fact's published set is what exceeds the threshold of the slow attributions."""
    fact = ground.facts[0]
    asked = question(ground, fact)
    scores = slow_neurons.attribution(ground.lm, asked, "tokens", FEW.steps).flatten()
    clear = (scores - tau * scores.max()).abs() > EXACT * float(scores.max())
    assert clear.all()
    expected = set((scores > tau * scores.max()).nonzero()[:, 0].tolist())
    assert set(ground.sets[sets.AMIG][fact].tolist()) == expected
    zero = slow_neurons.attribution(ground.lm, asked, "zero", FEW.steps).flatten()
    expected = set((zero > tau * zero.max()).nonzero()[:, 0].tolist())
    assert set(ground.sets[sets.ZERO][fact].tolist()) == expected
    assert len(ground.sets[sets.OURS][fact]) == len(ground.sets[sets.AMIG][fact])


def slow_change(ground: Ground, fact: str, neurons: np.ndarray, factor: float) -> float:
    """Relative change of the answer's probability."""
    asked = question(ground, fact)
    return float(
        np.expm1(slow_neurons.effect(ground.lm, asked.prompt, asked.answer, neurons, factor))
    )


def check_success(ground: Ground, found: Mapping[str, Any]) -> None:
    chosen = ground.sets[sets.AMIG]
    for operation, factor in (("suppress", 0.0), ("enhance", 2.0)):
        own = [slow_change(ground, f, chosen[f], factor) for f in chosen]
        other = [slow_change(ground, arms._any(ground, f), chosen[f], factor) for f in chosen]
        limit = success.LARGEST[operation]
        expected = [np.mean([x for x in changes if x <= limit]) for changes in (own, other)]
        assert found[operation]["related"] == pytest.approx(expected[0], rel=1e-4, abs=EXACT)
        assert found[operation]["other"] == pytest.approx(expected[1], rel=1e-4, abs=EXACT)


def check_changes(ground: Ground, found: Mapping[str, Any]) -> None:
    """Dai et al.'s figure, over all paraphrases that find neurons."""
    bags = store.records(ground.asked.bags[ground.asked.bags["fact"].isin(ground.sets[sets.DAI])])
    tokens = CandidateTokens(ground.lm)
    for operation, factor in (("suppress", 0.0), ("enhance", 2.0)):
        before, changes = [], []
        for row in bags:
            answer = tokens.candidate(row, asked_for(row))
            one = query(ground.lm, row["prompt"], [answer])
            before.append(np.exp(references.plain(ground.lm, one, answer)))
            chosen = ground.sets[sets.DAI][row["fact"]]
            effect = slow_neurons.effect(ground.lm, row["prompt"], answer, chosen, factor)
            changes.append(before[-1] * np.expm1(effect))
        expected = np.mean(changes) / np.mean(before)
        assert found[operation]["own"] == pytest.approx(expected, rel=1e-4, abs=EXACT)


def check_pairs(ground: Ground) -> None:
    """What single neurons and pairs cost."""
    rows = degenerate.measure(ground, key=key)
    own = rows[(rows["control"] == arms.SET) & (rows["where"] == arms.RELATED)]
    for one in own.drop_duplicates("fact").to_dict("records"):
        asked = question(ground, one["fact"])
        for neurons, drop in (
            ([one["a"]], one["drop_a"]),
            ([one["b"]], one["drop_b"]),
            ([one["a"], one["b"]], one["drop"]),
        ):
            change = slow_neurons.effect(
                ground.lm, asked.prompt, asked.answer, np.array(neurons), 0.0
            )
            assert drop == pytest.approx(-change, rel=1e-4, abs=EXACT)


def check_claims(ground: Ground, neurons: np.ndarray) -> None:
    """Claims are about other subjects; a detector's score is the mean of its attributions."""
    made = checking.claims(ground.asked, FEW)
    assert len(made)
    assert made.groupby("fact")["label"].agg(["sum", "size"]).eq([1, 2]).all(axis=None)
    subjects = {fact.partition(":")[2] for fact in ground.facts}
    assert not subjects & {fact.partition(":")[2] for fact in made["fact"]}
    relation = made["relation"].iloc[0]
    some = made[made["relation"] == relation]
    found = {name: {relation: neurons} for name in checking.NEURONS}
    scored = checking._by_neurons(ground, some, found)
    method = published_method(ground.lm, start="tokens", steps=FEW.steps)
    expected = checking._scores(ground.lm, method, some, ground.asked.recalled)[:, neurons].mean(1)
    np.testing.assert_allclose(scored["degenerate"], expected, atol=EXACT)


def check_sharing(grounds: Mapping[str, Ground], found: Mapping[str, Any]) -> None:
    one, two = (ground.sets[sets.AMIG] for ground in grounds.values())
    own = {f: len(set(one[f].tolist()) & set(two[f].tolist())) for f in one}
    assert found["with_any"] == sum(n > 0 for n in own.values())
    relations = grounds["en"].asked.relations
    means = pd.Series(own).groupby(pd.Series(relations)).mean()
    assert found["steps"][0]["mean"] == pytest.approx(means.mean())
    shared = grounds["de"].sets[sets.SHARED]
    assert {f: set(n.tolist()) for f, n in shared.items()} == {
        f: set(one[f].tolist()) & set(two[f].tolist()) for f in one if own[f]
    }


def check_controls(ground: Ground) -> None:
    """Whose sets the controls are, where they are measured, and that they push as hard."""
    relations = ground.asked.relations
    every = {fact: n.tolist() for fact, n in ground.sets[sets.AMIG].items()}
    held_out = dict(ground.asked.templates(ground.asked.held_out, ground.facts))
    for fact in every:
        own = list(arms.with_controls(ground, fact, sets.AMIG))
        for control, same in ((arms.OTHER, False), (arms.SIBLING, True)):
            found = [arm.neurons.tolist() for arm in own if arm.control == control]
            owners = [f for f in every if f != fact and (relations[f] == relations[fact]) is same]
            assert all(neurons in [every[f] for f in owners] for neurons in found)
            assert len(found) == min(len(owners), ground.plan.others)
        layers = np.bincount(own[0].neurons // ground.lm.n_neurons).tolist()
        drawn = [arm for arm in own if arm.control in (arms.SIZE, arms.PUSH)]
        assert {arm.control for arm in drawn} == {arms.SIZE, arms.PUSH}
        assert all(np.bincount(a.neurons // ground.lm.n_neurons).tolist() == layers for a in drawn)
        assert all(not set(a.neurons) & set(own[0].neurons) for a in drawn)
    for (fact, template), planned in arms.planned(ground).items():
        again = {arm.fact for arm in planned if arm.where == arms.HELD_OUT}
        assert again <= {fact}
        assert not again or template == held_out[fact]
        assert not again or template != ground.own_prompt[fact][1]
    measured = arms.measure(ground, key=key)
    rows = measured[measured["method"] == sets.AMIG]
    names = ["fact", "where", "operation"]
    whole = rows[rows["control"] == arms.SET].set_index(names)["push"]
    for control in arms.EQUAL:
        same = rows[rows["control"] == control]
        assert len(same)
        expected = whole.loc[pd.MultiIndex.from_frame(same[names])].to_numpy()
        short = same["push"].to_numpy() / expected
        assert (short < 1.02).all()
        assert (short > 0.98).mean() > 0.8  # the others would need more than the largest gain


def test_too_few_known_facts_are_refused(tables: Mapping[str, pd.DataFrame]) -> None:
    one = {code: table[table["relation"] == "capital"] for code, table in tables.items()}
    with pytest.raises(ValueError, match="two or more relations"):
        run.shared_facts(one, relations=3, facts=2)
