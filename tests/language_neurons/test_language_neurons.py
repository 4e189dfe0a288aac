"""Planted shared neurons are found, always-on and private ones are not called independent."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_atlas.knowledge_findings import languages
from neuron_atlas.language_neurons import language_map
from neuron_atlas.language_neurons import shared as language_neurons_shared
from neuron_atlas.language_neurons.build import Inputs, build
from neuron_atlas.language_neurons.settings import SharingRule
from neuron_atlas.language_neurons.shared import (
    AtLeast,
    members,
    mismatched,
    needed,
    p_value,
    random_members,
)
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.knowledge_sets import SetsByFact
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import store
from neuron_atlas.verdicts.verdict import Finding

LANGUAGES = ("en", "fr", "de", "ru")
FACTS = tuple(f"{relation}:{i}" for relation in ("r", "s", "t") for i in range(4))
N_LAYERS, N_NEURONS = 4, 200
RULE = SharingRule(k=4, share=1.0, min_languages=3, n_permutations=99, n_draws=5)


def relation(fact: str) -> str:
    return fact.split(":")[0]


def private(language: str, rng: np.random.Generator) -> list[int]:
    """Neurons of one language's set that no other language has."""
    start = 50 + 80 * LANGUAGES.index(language)
    return (start + rng.permutation(80)[:6]).tolist()


def inputs(
    chosen: Mapping[str, Mapping[str, list[int]]], answers: Mapping[str, str] | None = None
) -> Inputs:
    """Stored scores in which each fact's neurons come in the given order, and the rest of it.

    Answers are digits, which are of no script; a fact has its own unless `answers` names another.
    """
    scores = {
        language: pd.DataFrame(
            [
                (fact, relation(fact), 0, "attribution", rank, neuron, 1.0 - rank / 10)
                for fact, found in facts.items()
                for rank, neuron in enumerate(found)
            ],
            columns=knowledge_sets.COLUMNS,
        )
        for language, facts in chosen.items()
    }
    texts = {"ru": ["\N{CYRILLIC SMALL LETTER A}"]}
    names = {fact: str(i) for i, fact in enumerate(FACTS)} | dict(answers or {})
    recall = {
        code: pd.DataFrame(
            {
                "fact": list(facts),
                "prompt": texts.get(code, ["a"]) * len(facts),
                "answer": [names[fact] for fact in facts],
                "objects": [[names[fact]] for fact in facts],
                "correct": True,
            }
        )
        for code, facts in chosen.items()
    }
    size = np.ones((N_LAYERS, N_NEURONS))
    sets = {r: np.array([1, 2, 500 + ord(r)]) for r in ("r", "s", "t")}
    none = np.array([], dtype=np.int64)
    relations = {code: RelationSets(sets, size, none, code) for code in chosen}
    return Inputs(scores, recall, relations)


def planted(
    first: Mapping[str, int] | None = None,
    *,
    always: tuple[int, ...] = (),
    answers: Mapping[str, str] | None = None,
) -> Inputs:
    """Sets of private neurons behind a fact's planted one and those that are always on."""
    rng = np.random.default_rng(0)
    return inputs(
        {
            code: {
                fact: [
                    *([] if first is None else [first[fact]]),
                    *always,
                    *private(code, rng),
                ]
                for fact in (first or FACTS)
            }
            for code in LANGUAGES
        },
        answers,
    )


OWN = {fact: 10 + i for i, fact in enumerate(FACTS)}


def run(given: Inputs, folder: Path, rule: SharingRule = RULE) -> Finding:
    build(given, folder, rule, seed=0)
    return languages.summarise(folder, negligible=0.1)


def test_a_planted_neuron_is_found_and_called_independent(tmp_path: Path) -> None:
    found = run(planted(OWN), tmp_path / "out")
    sets = store.read_table(tmp_path / "out" / "sets.parquet")
    assert dict(zip(sets["fact"], sets["neuron"], strict=True)) == OWN
    assert (sets["n_languages"] == len(LANGUAGES)).all()
    assert (sets["score"] == 1).all()  # the best in every language
    assert found.summary["mean_per_fact"] == 1
    assert found.summary["share_with_any"] == 1
    assert found.summary["null_mismatched"] < 0.2
    verdict = found.verdicts["language_independent_neurons_exist"]
    assert verdict.verdict == "supported"
    assert (verdict.effect.mean, verdict.p_value) == (1, 0)  # nothing varies
    assert found.summary["p_value"] == pytest.approx(0.01)
    assert (sets["languages"].map(list) == sets["languages"].map(lambda _: sorted(LANGUAGES))).all()


def test_a_private_neuron_is_not_called_independent(tmp_path: Path) -> None:
    found = run(planted(), tmp_path / "out")
    assert store.read_table(tmp_path / "out" / "sets.parquet").empty
    assert found.summary["mean_per_fact"] == 0
    assert found.verdicts["language_independent_neurons_exist"].verdict == "not supported"


def test_neurons_that_are_always_on_meet_the_null(tmp_path: Path) -> None:
    """The plain intersection of Eq. 8 calls them language-independent; mismatched facts do too."""
    found = run(planted(always=(1, 2)), tmp_path / "out")
    assert found.summary["mean_per_fact"] == 2
    assert found.summary["null_mismatched"] == 2
    assert found.verdicts["language_independent_neurons_exist"].verdict == "not supported"
    assert found.verdicts["language_independent_neurons_exist"].effect.mean == 0


def test_neurons_of_a_relation_are_said_to_be_about_the_relation(tmp_path: Path) -> None:
    shared = {fact: 10 + "rst".index(relation(fact)) for fact in FACTS}
    found = run(planted(shared), tmp_path / "out")
    verdict = found.verdicts["language_independent_neurons_exist"]
    assert verdict.verdict == "not supported"
    assert found.summary["null_same_relation"] == 1
    assert found.summary["mean_per_fact"] > 3 * found.summary["null_mismatched"]  # as they seem
    assert verdict.effect.mean == 0


def test_neurons_of_an_answer_are_said_to_be_about_the_answer(tmp_path: Path) -> None:
    """Two facts of a relation have one answer, and one neuron that only encodes it."""
    answers = {fact: f"{relation(fact)}{int(fact.split(':')[1]) // 2}" for fact in FACTS}
    answers = {fact: str("rst".index(a[0]) * 2 + int(a[1])) for fact, a in answers.items()}
    encoded = {fact: 10 + int(answers[fact]) for fact in FACTS}
    found = run(planted(encoded, answers=answers), tmp_path / "answer")
    verdict = found.verdicts["language_independent_neurons_exist"]
    assert verdict.verdict == "not supported"
    assert verdict.effect.mean == 0
    facts = store.read_table(tmp_path / "answer" / "facts.parquet")
    assert (facts["same_answer"] == 1).all()
    assert facts["same_relation"].mean() == pytest.approx(1 / 3)  # less than of the fact itself
    own = run(planted(OWN, answers=answers), tmp_path / "fact")  # and the fact's are still found
    assert own.verdicts["language_independent_neurons_exist"].verdict == "supported"


def test_two_facts_a_relation_are_enough_to_tell_a_fact_from_its_relation(tmp_path: Path) -> None:
    """Of two facts in four languages, two sets of one always meet in a deal within the relation.

    So the deals count the neurons of one fact, and cannot be held against them.
    """
    few = {fact: neuron for fact, neuron in OWN.items() if int(fact.split(":")[1]) < 2}
    rule = RULE.model_copy(update={"min_languages": 2, "n_permutations": 199})
    found = run(planted(few), tmp_path / "fact", rule)
    assert found.summary["null_same_relation"] >= found.summary["mean_per_fact"] == 1
    assert found.summary["null_met_itself"] == found.summary["null_same_relation"]
    assert found.verdicts["language_independent_neurons_exist"].verdict == "supported"
    shared = {fact: 10 + "rst".index(relation(fact)) for fact in few}
    related = run(planted(shared), tmp_path / "relation", rule)
    assert related.verdicts["language_independent_neurons_exist"].verdict == "not supported"


def test_one_fact_a_relation_cannot_tell_them_apart(tmp_path: Path) -> None:
    one = {fact: neuron for fact, neuron in OWN.items() if fact.endswith(":0")}
    found = run(planted(one), tmp_path / "out", RULE.model_copy(update={"n_permutations": 19}))
    assert found.summary["about_fact"]["n_facts"] == 0
    verdict = found.verdicts["language_independent_neurons_exist"]
    assert verdict.verdict == "untestable"
    assert "Needs facts of 3 relations, and has them of 0" in verdict.because


def test_relations_without_sets_are_counted_and_not_an_error(tmp_path: Path) -> None:
    whole = planted(OWN)
    bare = {code: replace(source, sets={}) for code, source in whole.relations.items()}
    found = run(replace(whole, relations=bare), tmp_path / "out")
    assert found.summary["relations"]["n_relations"] == 0
    assert found.summary["both_kinds"]["count"] == 0
    relations = store.read_table(tmp_path / "out" / "relations.parquet")
    assert relations.empty
    assert {"relation", "neuron", "layer", "index", "languages"} <= set(relations)


def test_neurons_of_both_kinds_are_counted_against_chance(tmp_path: Path) -> None:
    shared = {fact: 500 + ord(relation(fact)) for fact in FACTS}  # also a relation neuron
    both = run(planted(shared), tmp_path / "both").summary["both_kinds"]
    assert both["count"] == 3
    assert both["expected_within_layer"] < 0.1
    assert both["p_value"] < 0.001
    other = run(planted(OWN), tmp_path / "other").summary["both_kinds"]
    assert other["count"] == 0
    assert other["p_value"] == pytest.approx(1)


def test_random_sets_hold_no_banned_neuron() -> None:
    sets: dict[str, SetsByFact] = {
        code: {"f": np.array([0, 1]), "g": np.array([2])} for code in "ab"
    }
    found = members(sets, {"f": "r", "g": "r"})
    size, banned = np.ones((1, 20)), np.array([3])
    drawn = random_members(
        found,
        [RelationSets({}, size, banned, "xa"), RelationSets({}, size, banned[:0], "xb")],
        seed=0,
        n_draws=50,
    )
    first = np.concatenate([one.neuron[one.language == 0] for one in drawn])
    assert 3 not in first
    assert 3 in np.concatenate([one.neuron for one in drawn])
    assert all((one.item == found.item).all() for one in drawn)


def test_one_language_can_test_nothing(tmp_path: Path) -> None:
    whole = planted(OWN)
    alone = Inputs({"en": whole.scores["en"]}, {"en": whole.recall["en"]}, whole.relations)
    found = run(alone, tmp_path / "out")
    assert found.verdicts["language_independent_neurons_exist"].verdict == "untestable"
    assert not found.tables
    assert found.summary["n_facts"] == 0
    assert "two languages" in found.summary["reason"]
    assert "languages" in store.read_table(tmp_path / "out" / "sets.parquet")


def test_the_tables_have_every_k_and_pair(tmp_path: Path) -> None:
    found = run(planted(OWN), tmp_path / "out")
    counts = found.tables["language_counts"]
    assert counts["at_least"].tolist() == [2, 3, 4]
    assert (counts["observed"] == 1).all()
    assert (counts["mismatched"] < 1).all()
    pairs = found.tables["language_map"]
    assert len(pairs) == len(LANGUAGES) * (len(LANGUAGES) - 1)
    assert pairs["significant"].all()
    assert (pairs["excess"] > 0.1).all()
    assert set(pairs.loc[~pairs["same_script"], "language"]) == set(LANGUAGES)
    layers = found.tables["language_layers"]
    assert layers.loc[layers["kind"] == "fact", "neurons"].sum() == pytest.approx(1)
    assert found.summary["relations"]["mean_per_relation"] == 3
    assert 2 <= found.summary["relations"]["null_mismatched"] < 2.8


def test_the_order_of_languages_and_facts_does_not_matter(tmp_path: Path) -> None:
    whole = planted(OWN)
    turned = Inputs(
        {code: whole.scores[code].iloc[::-1] for code in LANGUAGES[::-1]},
        {code: whole.recall[code] for code in LANGUAGES[::-1]},
        {code: whole.relations[code] for code in LANGUAGES[::-1]},
    )
    first, second = run(whole, tmp_path / "a"), run(turned, tmp_path / "b")
    assert first.summary["mean_per_fact"] == second.summary["mean_per_fact"]
    for name in ("sets", "relations", "facts", "counts", "map"):
        tables = [store.read_table(tmp_path / x / f"{name}.parquet") for x in ("a", "b")]
        pd.testing.assert_frame_equal(*tables)
    assert first.verdicts == second.verdicts


sets_of_languages = st.lists(
    st.dictionaries(
        st.sampled_from(["f", "g", "h"]), st.sets(st.integers(0, 9), max_size=6), min_size=1
    ),
    min_size=2,
    max_size=4,
)


@given(sets_of_languages, st.sampled_from([2, 3, "all"]))
@settings(max_examples=60)
def test_k_of_n_is_what_counting_gives(
    given_sets: list[dict[str, set[int]]], at_least: AtLeast
) -> None:
    by_language: dict[str, SetsByFact] = {
        str(i): {f: np.array(sorted(s), dtype=np.int64) for f, s in one.items()}
        for i, one in enumerate(given_sets)
    }
    found = members(by_language, dict.fromkeys("fgh", "r"))
    wanted = needed(found, at_least)
    tally = language_neurons_shared.tally(found, wanted, len(given_sets))
    for fact, count in zip(found.items, tally.counts.tolist(), strict=True):
        every = [one[fact] for one in given_sets if fact in one]
        if at_least == "all":  # Eq. 8
            assert count == len(set.intersection(*every))
        else:
            k = min(at_least, len(every))
            assert count == sum(sum(n in s for s in every) >= k for n in range(10))


def test_a_deal_keeps_every_set_and_each_fact_s_number_of_languages() -> None:
    given_sets: dict[str, SetsByFact] = {
        "en": {f: np.array([i]) for i, f in enumerate("fgh")},
        "fr": {f: np.array([i + 10]) for i, f in enumerate("gh")},
    }
    found = members(given_sets, {"f": "r", "g": "r", "h": "s"})
    assert found.items == ("g", "h")  # f has one language
    for seed in range(5):
        rng = np.random.default_rng(seed)
        (dealt,) = mismatched(found, rng, n_deals=1)
        assert sorted(dealt.neuron) == sorted(found.neuron)
        assert np.bincount(dealt.item).tolist() == [2, 2]
        (within,) = mismatched(found, rng, n_deals=1, within=True)
        assert within.item.tolist() == found.item.tolist()  # each alone in its relation


def test_the_permutation_p_is_uniform_without_an_effect() -> None:
    rng = np.random.default_rng(0)
    index = rng.random((12, 12))
    p = [
        language_map._pair(
            index[np.arange(12)[:, None], rng.permutation(12)], np.zeros(12), 99, rng
        )["p_value"]
        for _ in range(200)
    ]
    assert 0.4 < float(np.mean(p)) < 0.6
    assert float(np.mean(np.array(p) <= 0.1)) < 0.17


def test_the_p_of_the_count_is_uniform_without_an_effect() -> None:
    rng = np.random.default_rng(0)
    facts = [f"{r}:{i}" for r in "rstu" for i in range(3)]
    groups = {fact: relation(fact) for fact in facts}

    def drawn(mine: int) -> float:
        sets: dict[str, SetsByFact] = {
            code: {
                f: np.append(rng.permutation(40)[: 8 - mine], 100 + i + np.zeros(mine, np.int64))
                for i, f in enumerate(facts)
                if rng.random() < 0.8  # not every language knows every fact
            }
            for code in "abcd"
        }
        found = members(sets, groups)
        wanted = needed(found, 3)
        own = language_neurons_shared.tally(found, wanted, len(sets)).mean
        deals = mismatched(found, rng, n_deals=39)
        null = np.array(
            [language_neurons_shared.tally(one, wanted, len(sets)).mean for one in deals]
        )
        return p_value(own, null)

    p = np.array([drawn(0) for _ in range(120)])
    assert 0.4 < p.mean() < 0.6
    assert (p <= 0.1).mean() < 0.18
    assert max(drawn(1) for _ in range(10)) < 0.05


def test_the_p_of_fact_against_relation_is_uniform_without_an_effect() -> None:
    rng = np.random.default_rng(0)
    facts = [f"{r}:{i}" for r in "rstu" for i in range(3)]
    groups = {fact: relation(fact) for fact in facts}

    def drawn(mine: bool) -> float:
        start = 40 * np.arange(4)  # neurons of a relation, and of a fact if `mine`
        own: dict[str, SetsByFact] = {
            code: {
                f: np.append(start["rstu".index(relation(f))] + rng.permutation(30)[:10], 200 + i)
                if mine
                else start["rstu".index(relation(f))] + rng.permutation(30)[:10]
                for i, f in enumerate(facts)
            }
            for code in "abc"
        }
        return language_map.compare_with_siblings(
            own, groups, dict(zip(facts, facts, strict=True)), n_permutations=99, rng=rng
        )[1]

    p = np.array([drawn(mine=False) for _ in range(150)])
    assert 0.4 < p.mean() < 0.6
    assert (p <= 0.1).mean() < 0.17
    assert np.mean([drawn(mine=True) for _ in range(10)]) < 0.05


def test_siblings_are_counted_by_hand() -> None:
    sets: dict[str, SetsByFact] = {
        "a": {"f": np.array([1, 2, 3]), "g": np.array([3, 4]), "h": np.array([9])},
        "b": {"f": np.array([1, 2, 4]), "g": np.array([3]), "i": np.array([2])},
    }
    groups = {"f": "r", "g": "r", "h": "s", "i": "r"}
    answers = {"f": "x", "g": "y", "h": "y", "i": "x"}
    rng = np.random.default_rng(0)
    table, _ = language_map.compare_with_siblings(sets, groups, answers, n_permutations=19, rng=rng)
    assert table["fact"].tolist() == ["f", "g"]  # h and i have one language
    assert table["same_fact"].tolist() == [2, 1]
    assert table["same_relation"].tolist() == [1, 2 / 3]  # f: g in b, i in b, and in a g
    assert table["same_answer"].tolist()[0] == 1  # i
    assert table["same_answer"].isna().tolist() == [False, True]


SCRIPTS = dict.fromkeys("abcd", "LATIN") | {"e": "CYRILLIC", "f": "HAN"}


def related(
    rng: np.random.Generator, scripts: Mapping[str, str], *, level: float = 0.0, gap: float = 0.0
) -> dict[str, Any]:
    """How overlap goes with scripts, if languages have levels and pairs of one script a gap."""
    own = dict(zip(scripts, level * rng.normal(size=len(scripts)), strict=True))
    rows = [
        (a, b, own[a] + own[b] + gap * (scripts[a] == scripts[b]) + rng.normal())
        for a, b in combinations(scripts, 2)
    ]
    table = pd.DataFrame(rows, columns=["a", "b", "excess"])
    table["same_script"] = table["a"].map(scripts) == table["b"].map(scripts)
    accuracy = {code: i / 10 for i, code in enumerate(scripts)}
    return language_map.relate(table, scripts=scripts, accuracy=accuracy, rng=rng)


def test_few_pairs_are_said_to_be_few() -> None:
    rng = np.random.default_rng(0)
    few = related(rng, {"a": "LATIN", "b": "LATIN", "c": "HAN"})
    assert few["note"] == "too few pairs of languages to test: 3, not 10"
    assert few["n_same_script"] == 1
    assert not {"recall_rho", "script_p_value"} & set(few)
    many = related(rng, SCRIPTS)
    assert "note" not in many
    assert {"recall_rho", "script_p_value"} <= set(many)


def test_six_languages_cannot_show_what_their_scripts_do() -> None:
    """Four of six languages can be chosen in 15 ways, so that no p comes below 1 in 15."""
    found = related(np.random.default_rng(0), SCRIPTS, gap=1000)
    assert found["script_gap"] == pytest.approx(1000, abs=3)
    assert found["script_p_least"] == pytest.approx(1 / 15, abs=0.02)
    assert found["script_p_value"] == found["script_p_least"]


def test_a_language_s_level_is_not_taken_for_its_script() -> None:
    """Pairs share languages: were scripts dealt to pairs, far too many p would be below 0.05."""
    rng = np.random.default_rng(0)
    scripts = dict.fromkeys("abcdef", "LATIN") | {"g": "CYRILLIC", "h": "HAN", "i": "ARABIC"}
    p = np.array([related(rng, scripts, level=3)["script_p_value"] for _ in range(150)])
    assert 0.4 < p.mean() < 0.6
    assert (p <= 0.05).mean() < 0.1
    real = [related(rng, scripts, level=0.1, gap=5)["script_p_value"] for _ in range(5)]
    assert max(real) < 0.05


def test_scripts_are_told_from_letters() -> None:
    assert language_map.script(["Paris, 2nd"]) == "LATIN"
    assert language_map.script(
        ["\N{CYRILLIC SMALL LETTER A}b", "\N{CYRILLIC SMALL LETTER YA}"]
    ) == ("CYRILLIC")
    with pytest.raises(ValueError, match="text with letters"):
        language_map.script(["12 + 3"])


def test_too_few_languages_are_refused() -> None:
    found = members({"en": {"f": np.array([1])}, "fr": {"f": np.array([1])}}, {"f": "r"})
    with pytest.raises(ValueError, match="min_languages must be 2 or more, or all, got 1"):
        needed(found, 1)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scores\.parquet does not exist; run `dvc repro`"):
        knowledge_sets.read_scores(tmp_path)
