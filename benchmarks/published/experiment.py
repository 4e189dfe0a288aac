"""Arms: a relation's set and its controls, measured on the same prompts."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from neuron_atlas.model.language_model import LanguageModel
from published import sets
from published.asking import Question, Replies, ask
from published.places import Edit
from published.push import push, scaled_to, strengths

Row = dict[str, Any]


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return a generator of its own for every sequence of names."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


@dataclass(frozen=True)
class Asked:
    """Held-out questions of one relation with the unedited model's replies.

    Attributes:
        questions: The questions.
        inputs: What each MLP reads at the answer position.
        clean: The unedited model's replies.
    """

    questions: Sequence[Question]
    inputs: Float[Tensor, "question layer d_model"]
    clean: Replies


@dataclass(frozen=True)
class Condition:
    """One way to intervene and to ask.

    Attributes:
        name: What it is called in the figures.
        edit: Values, positions and scale; whose neurons is decided by each arm.
        own: The relation's set.
        others: Other relations' sets, by relation.
        asked: The relation's held-out questions.
        to_match: What MLPs read at some identification prompts, to make pushes equal.
        draws: Random sets, by control: `unmatched`, `layer`, `push`; and `other_push`, how many of
            `others` are also measured with equal push.
    """

    name: str
    edit: Edit
    own: Int[np.ndarray, " k"]
    others: dict[str, Int[np.ndarray, " k"]]
    asked: Asked
    to_match: Float[Tensor, "prompt layer d_model"]
    draws: dict[str, int]


def arms(condition: Condition, relation: str, seed: int) -> Iterator[tuple[str, str, int, Edit]]:
    """Yield control, whose set, draw and edit of each arm; the control of the set is `set`.

    The `unmatched` draws depend on neither relation nor condition, as in the paper: the same random
    sets serve all.
    """
    edit = condition.edit.of(condition.own)
    yield "set", relation, -1, edit
    for name, chosen in condition.others.items():
        yield "other", name, -1, edit.of(chosen)
    places, strength = edit.places, strengths(edit, condition.to_match)
    wanted = float(push(edit, condition.to_match).mean())
    for draw in range(condition.draws.get("unmatched", 0)):
        rng = stream(seed, "unmatched", str(draw))
        yield "unmatched", "", draw, edit.of(sets.unmatched(places, len(edit.chosen), rng))
    for draw in range(condition.draws.get("layer", 0)):
        rng = stream(seed, condition.name, relation, "layer", str(draw))
        yield "layer", "", draw, edit.of(sets.layer_matched(places, edit.chosen, rng))
    for draw in range(condition.draws.get("push", 0)):
        rng = stream(seed, condition.name, relation, "push", str(draw))
        chosen = sets.strength_matched(places, edit.chosen, strength, rng)
        yield "push", "", draw, scaled_to(edit.of(chosen), wanted, condition.to_match)
    rng = stream(seed, condition.name, relation, "other_push")
    names = rng.permutation(sorted(condition.others))[: condition.draws.get("other_push", 0)]
    for name in names.tolist():
        chosen = condition.others[name]
        yield "other_push", name, -1, scaled_to(edit.of(chosen), wanted, condition.to_match)


def measure(
    lm: LanguageModel, condition: Condition, relation: str, seed: int
) -> Iterator[list[Row]]:
    """Yield, arm by arm, a row per question."""
    asked = condition.asked
    for control, source, draw, edit in arms(condition, relation, seed):
        found = ask(lm, asked.questions, edit)
        pushes = push(edit, asked.inputs)
        arm = {
            "condition": condition.name,
            "control": control,
            "source": source,
            "relation": relation,
            "draw": draw,
            "scale": edit.scale,
        }
        yield [arm | one for one in _rows(asked, found, pushes)]


def _rows(asked: Asked, found: Replies, pushes: Float[np.ndarray, " question"]) -> Iterator[Row]:
    clean = asked.clean
    for i, question in enumerate(asked.questions):
        yield {
            "subject": question.fact.subject,
            "answer": question.fact.answers[0],
            "before": bool(clean.right[i]),
            "after": bool(found.right[i]),
            "formed_before": bool(clean.formed[i]),
            "formed_after": bool(found.formed[i]),
            "effect": float(found.answer[i] - clean.answer[i]),
            "effect_type": float(found.typed[i] - clean.typed[i]),
            "push": float(pushes[i]),
            "text": found.text[i],
        }


def part(asked: Asked, keep: Sequence[int]) -> Asked:
    """Return some of the questions, in order."""
    index = list(keep)
    clean = asked.clean
    return replace(
        asked,
        questions=[asked.questions[i] for i in index],
        inputs=asked.inputs[index],
        clean=Replies(
            [clean.text[i] for i in index],
            clean.right[index],
            clean.formed[index],
            clean.answer[index],
            clean.typed[index],
        ),
    )
