"""Liu et al. as published: edits, responses, ranking, controls, the prefix rule, and the page."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp
from sklearn.metrics import average_precision_score

import tiny
from neuron_atlas.model import hooks
from neuron_atlas.model.architectures import Site
from neuron_atlas.model.language_model import LanguageModel, site_modules
from published import facts, figures, liu2025, page, sets
from published.asking import Question, Replies, ask
from published.experiment import Asked, Condition, arms, measure, stream
from published.facts import Fact
from published.places import HIDDEN, RAW, Edit, Places
from published.preparing import Known, Sizes, choose, held_out
from published.push import push, scaled_to, strengths
from published.responses import respond
from rounding import rounding

FAMILIES = ["llama", "gemma3_text"]
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(params=FAMILIES)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny.random_model(request.param)


def question(text: str, answer: str = "a", relation: str = "company_hq") -> Question:
    ids = (tiny.BOS, *(tiny.VOCABULARY[c] for c in text))
    own = (tiny.VOCABULARY[answer],)
    typed = tuple(tiny.VOCABULARY[c] for c in "abc")
    return Question(Fact(relation, text, (answer,)), ids, own, typed, LETTERS)


PROMPTS = [question("qa"), question("qbcd"), question("rab"), question("rzyxw")]


def cut(lm: LanguageModel, site: Site, chosen: Sequence[tuple[int, int]]) -> LanguageModel:
    """A copy whose weights make outputs zero: rows of the projection."""
    network = copy.deepcopy(lm.network)
    for layer, i in chosen:
        mlp: Any = network.get_submodule(lm.architecture.block.format(layer)).mlp
        getattr(mlp, f"{site}_proj").weight[i] = 0
    return LanguageModel(network, lm.tokenizer, lm.architecture)


def slow(lm: LanguageModel, asked: Question) -> tuple[list[int], torch.Tensor]:
    """Two tokens of transformers' own `generate`, and the first's log-probabilities."""
    ids = torch.tensor([asked.ids])
    with torch.no_grad():
        network: Any = lm.network
        out = network.generate(
            ids, max_new_tokens=2, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        logits = network(ids).logits[0, -1].log_softmax(-1)
    return out[0, len(asked.ids) :].tolist(), logits


def agree(lm: LanguageModel, found: Replies, reference: LanguageModel) -> None:
    for i, asked in enumerate(PROMPTS):
        tokens, log = slow(reference, asked)
        tolerance = rounding(log.numpy(), tiny.DEPTH)
        assert found.text[i] == lm.tokenizer.decode(tokens, skip_special_tokens=False)
        assert found.answer[i] == pytest.approx(float(log[asked.answer[0]]), abs=tolerance)
        typed = float(log[list(asked.typed)].logsumexp(0))
        assert found.typed[i] == pytest.approx(typed, abs=tolerance)


@pytest.mark.parametrize("site", RAW)
def test_zeroed_outputs_are_those_of_zeroed_weights(lm: LanguageModel, site: Site) -> None:
    """Over both greedy tokens, batched and padded, against `generate` of another network."""
    places = Places(lm, RAW)
    chosen = [(0, 3), (0, 7), (2, 1)]
    start = sum(places.widths[: RAW.index(site)])
    flat = np.array([layer * places.width + start + i for layer, i in chosen])
    edited = ask(lm, PROMPTS, Edit(places, flat, torch.zeros(places.total)))
    agree(lm, edited, cut(lm, site, chosen))
    clean = ask(lm, PROMPTS)
    agree(lm, clean, lm)
    assert np.abs(edited.answer - clean.answer).max() > 1e-3


def test_gate_up_and_hidden_unit_set_to_zero_are_one_edit(lm: LanguageModel) -> None:
    """What the paper calls two neurons is one: the activation is 0 at 0."""
    raw, hidden = Places(lm, RAW), Places(lm, HIDDEN)
    units = np.array([2, 9])
    found = [
        ask(lm, PROMPTS, Edit(places, units + start, torch.zeros(places.total))).answer
        for places, start in ((raw, 0), (raw, lm.n_neurons), (hidden, 0))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_an_edit_at_the_answer_leaves_the_positions_before_alone(lm: LanguageModel) -> None:
    places = Places(lm, HIDDEN)
    edit = Edit(places, np.array([1, 30]), torch.ones(places.total), answer_only=True)
    found = ask(lm, PROMPTS, edit).answer

    def one(layer: int) -> hooks.Change:
        def change(x: torch.Tensor) -> torch.Tensor:
            x = x.clone()
            x[0, -1, (1, 30 - lm.n_neurons)[layer]] = 1
            return x

        return change

    for i, asked in enumerate(PROMPTS):
        changes = {layer: one(layer) for layer in (0, 1)}
        with hooks.edit(site_modules(lm, "hidden"), changes):
            expected = slow_logits(lm, asked)[asked.answer[0]]
        assert found[i] == pytest.approx(float(expected), abs=1e-4)


def slow_logits(lm: LanguageModel, asked: Question) -> torch.Tensor:
    network: Any = lm.network
    with torch.no_grad():
        logits: torch.Tensor = network(torch.tensor([asked.ids])).logits[0, -1]
    return logits.log_softmax(-1)


def test_responses_are_means_over_tokens_whatever_the_padding(lm: LanguageModel) -> None:
    together = respond(lm, PROMPTS)
    for i, asked in enumerate(PROMPTS):
        with hooks.record(site_modules(lm, "up")) as up, torch.no_grad():
            lm.network(torch.tensor([asked.ids]))
        found = together.raw_mean[i].view(lm.n_layers, -1)
        expected = torch.stack([up[layer][0].mean(0) for layer in range(lm.n_layers)])
        torch.testing.assert_close(
            found[:, lm.n_neurons : 2 * lm.n_neurons], expected, atol=1e-5, rtol=1e-5
        )


def test_the_ranking_over_all_sites_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.integers(0, 6, (40, 300)).astype(np.float32))  # many ties
    positive = np.arange(40) < 8
    negative = sets.negatives(positive, rng)
    assert len(negative) == 32 == len(np.unique(negative))
    chosen, precision = sets.highest(values, positive, negative, 25)
    used = np.concatenate([np.flatnonzero(positive), negative])
    reference = np.array(
        [average_precision_score(positive[used], v[used]) for v in values.numpy().T]
    )
    np.testing.assert_allclose(precision, np.sort(reference)[::-1][:25])
    np.testing.assert_allclose(precision, reference[chosen])
    values[:8, 17] = 10  # planted: fires on the relation alone
    assert sets.highest(values, positive, negative, 1)[0].tolist() == [17]


@pytest.mark.parametrize(
    ("output", "answer", "right", "literal"),
    [
        (" New York", "New York City", True, True),
        (" Ant", "Antarctica", True, True),
        (" Boston.", "Boston", True, False),
        (" Boston", "Boston", True, True),
        (" Bostonian", "Boston", False, False),
        (" the Boston", "Boston", False, False),
        ("", "Boston", False, False),
        ("\n\n", "Boston", False, False),
        (" boston", "Boston", False, False),
    ],
)
def test_the_prefix_rule(output: str, answer: str, right: bool, literal: bool) -> None:
    assert facts.agrees(output, answer) is right
    assert facts.is_prefix(output, answer) is literal


def test_random_sets_match_what_they_say(lm: LanguageModel) -> None:
    places, rng = Places(lm, RAW), np.random.default_rng(1)
    inputs = respond(lm, PROMPTS).mlp_input
    zero = Edit(places, np.array([0, 5, 30, 60, 70, 130]), torch.zeros(places.total))
    strength = strengths(zero, inputs)
    for draw in (
        sets.layer_matched(places, zero.chosen, rng),
        sets.strength_matched(places, zero.chosen, strength, rng),
    ):
        assert not set(draw.tolist()) & set(zero.chosen.tolist())
        assert len(np.unique(draw)) == len(draw)
        np.testing.assert_array_equal(
            np.sort(draw // places.width), np.sort(zero.chosen // places.width)
        )
    np.testing.assert_array_equal(places.site_of(draw), places.site_of(zero.chosen))
    wanted = float(push(zero, inputs).mean())
    matched = scaled_to(zero.of(draw), wanted, inputs)
    assert wanted > 0
    assert float(push(matched, inputs).mean()) == pytest.approx(wanted, rel=0.05)


def test_a_neuron_s_strength_is_what_it_alone_displaces() -> None:
    """Llama has no norm behind the MLP, so that strength and push of one neuron are one number."""
    lm = tiny.random_model("llama")
    places = Places(lm, RAW)
    inputs = respond(lm, PROMPTS).mlp_input
    nothing = Edit(places, np.array([], dtype=int), torch.full((places.total,), 0.3))
    strength = strengths(nothing, inputs)
    for i in (2, lm.n_neurons + 4, 2 * lm.n_neurons + 1, places.width + 3):
        alone = push(nothing.of(np.array([i])), inputs).mean()
        assert strength[i] == pytest.approx(alone, rel=1e-4)
    assert push(nothing, inputs).tolist() == [0, 0, 0, 0]


def test_intervals_are_student_s() -> None:
    values = np.random.default_rng(0).normal(size=7)
    found = figures.interval(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))


def test_facts_are_refused_where_a_template_is_not_lre_s(tmp_path: Path) -> None:
    for name in facts.WORDINGS:
        text = '{"prompt_templates": ["{} is"], "samples": [{"subject": "a", "object": "b"}]}'
        (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(ValueError, match="expected company_ceo to have the template"):
        facts.read(tmp_path, most=5, rng=stream(0, "facts"))


def known(lm: LanguageModel, relation: str, word: str) -> Known:
    """Questions that the model answers as they want, because they want what it says."""
    texts = [word + a + b for a in "abcde" for b in "fg"]
    said = [t.split()[0] for t in ask(lm, [question(t) for t in texts]).text]
    asked = [question(t, w, relation) for t, w in zip(texts, said, strict=True) if w in LETTERS]
    return Known(10, len(asked), 0, asked[:3], asked[:3], asked[3:])


def test_the_whole_of_it_on_a_model_that_knows_what_it_says() -> None:
    lm, sizes = tiny.random_model("gemma3_text"), Sizes(share=0.05, hidden=4, draws=(2, 1))
    relations = {
        "company_hq": known(lm, "company_hq", "q"),
        "person_father": known(lm, "person_father", "r"),
    }
    select = [q for one in relations.values() for q in one.identification]
    responses = respond(lm, select)
    chosen = choose(lm, relations, responses, sizes)
    rows = liu2025.table(lm, relations, chosen, responses, sizes)
    assert set(rows["condition"]) >= {"published", "mean", "answer_only", "second_template", "ours"}
    assert rows["before"].all()
    raw = Places(lm, RAW)
    found = {
        "model": "tiny",
        "sizes": {"k": len(chosen["company_hq"].raw), **vars(sizes)},
        "raw_neurons": raw.total,
        "cpu_seconds": 1,
        **figures.figures(relations, relations, chosen, rows, raw),
    }
    text = page.page(found)
    lines = [line.count(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert lines == [13, 13]
    published = rows[(rows["condition"] == "published") & (rows["relation"] == "company_hq")]
    own = published[published["control"] == "set"]
    edit = Edit(raw, chosen["company_hq"].raw, torch.zeros(raw.total))
    asked = relations["company_hq"].held_out
    expected = ask(lm, asked, edit).answer - ask(lm, asked).answer
    np.testing.assert_allclose(own["effect"], expected, atol=1e-5)


def test_a_draw_depends_on_its_own_names_alone(lm: LanguageModel) -> None:
    asked: Asked = held_out(lm, PROMPTS)
    places = Places(lm, RAW)
    zero = Edit(places, np.array([], dtype=int), torch.zeros(places.total))
    few, many = (
        Condition(
            "published", zero, np.arange(4), {}, asked, asked.inputs, {"unmatched": n, "push": n}
        )
        for n in (1, 3)
    )
    first = {(c, d): e.chosen.tolist() for c, _, d, e in arms(few, "company_hq", 0)}
    second = {(c, d): e.chosen.tolist() for c, _, d, e in arms(many, "company_hq", 0)}
    assert first.items() <= second.items()
    assert len(list(measure(lm, few, "company_hq", 0))) == 3
