"""An encoder's answer may stand inside its prompt: tokens, answers, readings and words agree."""

import numpy as np
import pytest
import torch

import tiny
import toy
from neuron_atlas.activations import extraction
from neuron_atlas.activations.extraction import reading
from neuron_atlas.attributions import strongest
from neuron_atlas.attributions.questions import Question, points, words
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Tokenised, continuation, encode, tokenise
from neuron_atlas.recall import answers
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import query
from neuron_atlas.wording import demonstrations
from rounding import rounding

FIRST = "{object} c d"


@pytest.fixture(scope="module")
def encoder() -> LanguageModel:
    return tiny.random_model("bert")


def text(lm: LanguageModel, ids: tuple[int, ...]) -> list[str]:
    return [str(lm.tokenizer.id_to_token(i)) for i in ids]


def test_both_sides_are_tokenised_with_special_tokens_around(encoder: LanguageModel) -> None:
    plain = encode(encoder, "a b")
    amid = encode(encoder, "a b{object} c")
    assert amid.before == plain.before
    assert amid.after[-len(plain.after) :] == plain.after
    assert len(amid.after) == len(plain.after) + 1
    first = encode(encoder, FIRST)
    assert first.before == plain.before[: len(first.before)]
    assert first.after[-len(plain.after) :] == plain.after


def test_spans_point_into_the_prompt_with_its_slot(encoder: LanguageModel) -> None:
    prompt = "a b{object} c d"
    found: Tokenised = tokenise(encoder, prompt)
    spans = [*found.spans[0], *found.spans[1]]
    named = [prompt[a:b].strip() for a, b in spans if b > a]
    assert named == ["a", "b", "c", "d"]
    assert len(spans) == len(found.ids.before) + len(found.ids.after)


def test_what_stands_behind_changes_the_answer_but_not_its_tokens(encoder: LanguageModel) -> None:
    answer = continuation(encoder, "a b", " c")
    assert continuation(encoder, "a b{object} d", " c") == answer
    same, other = (
        log_probabilities(encoder, [query(encoder, prompt, [answer])])[0][0, 0]
        for prompt in ("a b{object}", "a b{object} d")
    )
    plain = log_probabilities(encoder, [query(encoder, "a b", [answer])])[0][0, 0]
    assert same == pytest.approx(plain, abs=1e-6)
    assert abs(other - plain) > 1e-6


@torch.no_grad()
def test_the_answer_s_probability_is_that_of_a_plain_forward_pass(encoder: LanguageModel) -> None:
    before, after = encode(encoder, "a b{object} c d")
    answer = continuation(encoder, "a b{object} c d", " e")
    ids = torch.tensor([[*before, *[tiny.MASK] * len(answer), *after]])
    logits = encoder.network(input_ids=ids).logits[0].log_softmax(-1)
    expected = sum(float(logits[len(before) + i, t]) for i, t in enumerate(answer))
    found = log_probabilities(encoder, [query(encoder, "a b{object} c d", [answer])])[0][0, 0]
    assert found == pytest.approx(expected, abs=rounding(logits, tiny.DEPTH))


def test_readings_find_mask_and_subject_on_either_side(encoder: LanguageModel) -> None:
    prompt = "{object} c d"
    found = reading(encoder, prompt, (9, 10), "answer")
    assert [found.ids[i] for i in found.where] == [tiny.MASK]
    subject = reading(encoder, prompt, (9, 10), "subject")
    assert prompt[9:10] == "c"
    assert [found.ids[i] for i in subject.where] == list(continuation(encoder, "a", " c"))


def test_words_on_both_sides_are_hidden_and_the_slot_is_none(encoder: LanguageModel) -> None:
    prompt = "a b{object} c d"
    question = Question(prompt, (9, 11), query=(0, len(prompt)))
    point = points(encoder, question)[0]
    found = words(encoder, question)
    assert [text(encoder, tuple(point.ids[i] for i in w)) for w in found] == [
        text(encoder, continuation(encoder, "e", f" {letter}")) for letter in "abcd"
    ]
    masks = [i for i, token in enumerate(point.ids) if token == tiny.MASK]
    assert not {i for w in found for i in w} & set(masks)


def test_a_decoder_refuses_text_behind_its_answer() -> None:
    with pytest.raises(ValueError, match="a decoder's answer must come last"):
        encode(tiny.random_model("llama"), "a{object} b")


def test_recall_extraction_and_attribution_read_such_prompts(toy_encoder: LanguageModel) -> None:
    plain = toy.fact_table("en").iloc[:6].reset_index(drop=True)
    amid = plain.assign(prompt=plain["prompt"] + "{object} indeed.")
    scored = answers.score(toy_encoder, amid)
    assert np.isfinite(scored["log_probability"]).all()
    assert (scored["log_probability"] != answers.score(toy_encoder, plain)["log_probability"]).all()
    readings = [reading(toy_encoder, prompt, (0, 1), "answer") for prompt in amid["prompt"]]
    values = torch.cat([v for _, v in extraction.extract(toy_encoder, readings)])
    assert values.shape == (6, toy_encoder.n_layers, toy_encoder.n_neurons)
    plan = strongest.AttributionPlan(
        **{"baseline": "occlusion", "rule": "radau", "steps": None, "tolerance": 1e-3},
        **{"screen": 0.0},
        **{"zero_rule": "midpoint", "zero_steps": 2, "target": "log_probability"},
        **{"max_facts": None, "keep": 5, "floor": 0.5},
    )
    scored = scored.assign(checked=True)
    steps = strongest.fewest_steps(toy_encoder, scored, plan, None).steps
    plan = plan.model_copy(update={"steps": steps})
    table = strongest.attribute(toy_encoder, scored, plan, None)
    own = table[table["method"] == "attribution"].drop_duplicates(["fact", "template"])
    assert len(own) == 6
    assert own["completeness"].median() < 2e-3


def test_demonstrations_have_their_answers_filled_in() -> None:
    table = toy.fact_table("en")
    one = table[(table["relation"] == "capital") & (table["template"] == 0)]
    amid = one.assign(prompt=one["prompt"] + "{object} indeed.")
    shown = demonstrations.with_demonstrations(amid, shots=1, seed=0)
    for prompt in shown["prompt"]:
        first, last = prompt.split("\n")
        assert first.endswith(" indeed.")
        assert "{object}" not in first
        assert last.count("{object}") == 1
