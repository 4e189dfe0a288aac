"""What is asked of a prompt, laid out as tokens: a tree of answers, or masks to be filled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Prompt, Text, encode

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class AnswerTree:
    """The tokens of one prompt that are repeated for each arm, and what is read from them.

    Attributes:
        prefix: Prompt tokens before the block, shared by the arms.
        ids: The block's tokens; in a decoder the prompt's last token and the inner answer tokens.
        depth: Position of each token relative to the first.
        visible: Which block tokens each block token attends to.
        answer: The tokens at the answer position(s), where an intervention may act.
        edge_row: Block token from which each prediction is read.
        edge_token: The predicted token.
        incidence: 1 where a prediction is part of an answer; log-probabilities of answers are
            `edges @ incidence.T`.
        answers: Which of the query's answers the rows of `incidence` are.
    """

    prefix: Ints
    ids: Ints
    depth: Ints
    visible: Bool[np.ndarray, "token token"]
    answer: Bool[np.ndarray, " token"]
    edge_row: Ints
    edge_token: Ints
    incidence: Float[np.ndarray, "answer edge"]
    answers: Ints


@dataclass(frozen=True)
class Query:
    """A prompt and the tokenised answers whose log-probabilities are asked."""

    prompt: Prompt
    answers: tuple[Text, ...]


def query(lm: LanguageModel, prompt: str, answers: Sequence[Text]) -> Query:
    """Tokenise a prompt and pair it with tokenised answers."""
    return Query(encode(lm, prompt), tuple(answers))


def answer_trees(lm: LanguageModel, asked: Query) -> list[AnswerTree]:
    """Lay a query out: one tree in a decoder; in an encoder one row of masks per answer length."""
    if not lm.architecture.encoder:
        return [_tree(asked)]
    lengths = sorted({len(a) for a in asked.answers})
    return [_masked(asked, n, int(lm.mask_id or 0)) for n in lengths]


def _tree(asked: Query) -> AnswerTree:
    ids, parents = [asked.prompt.before[-1]], [-1]
    edges: dict[tuple[int, int], int] = {}
    children: dict[tuple[int, int], int] = {}
    paths: list[list[int]] = []
    for answer in asked.answers:
        node, path = 0, []
        for i, token in enumerate(answer):
            path.append(edges.setdefault((node, token), len(edges)))
            if i + 1 < len(answer):
                if (node, token) not in children:
                    children[node, token] = len(ids)
                    ids.append(token)
                    parents.append(node)
                node = children[node, token]
        paths.append(path)
    visible = _ancestors(parents)
    return AnswerTree(
        prefix=np.array(asked.prompt.before[:-1], dtype=np.int64),
        ids=np.array(ids, dtype=np.int64),
        depth=visible.sum(1) - 1,
        visible=visible,
        answer=np.ones(len(ids), dtype=np.bool_),
        edge_row=np.array([e[0] for e in edges], dtype=np.int64),
        edge_token=np.array([e[1] for e in edges], dtype=np.int64),
        incidence=_incidence(paths, len(edges)),
        answers=np.arange(len(paths)),
    )


def _masked(asked: Query, length: int, mask_id: int) -> AnswerTree:
    before, after = asked.prompt
    ids = np.array([*before, *[mask_id] * length, *after], dtype=np.int64)
    chosen = [i for i, a in enumerate(asked.answers) if len(a) == length]
    edges: dict[tuple[int, int], int] = {}
    paths = [
        [edges.setdefault((len(before) + j, token), len(edges)) for j, token in enumerate(answer)]
        for answer in (asked.answers[i] for i in chosen)
    ]
    return AnswerTree(
        prefix=np.empty(0, dtype=np.int64),
        ids=ids,
        depth=np.arange(len(ids)),
        visible=np.ones((len(ids), len(ids)), dtype=np.bool_),
        answer=(np.arange(len(ids)) >= len(before)) & (np.arange(len(ids)) < len(before) + length),
        edge_row=np.array([e[0] for e in edges], dtype=np.int64),
        edge_token=np.array([e[1] for e in edges], dtype=np.int64),
        incidence=_incidence(paths, len(edges)),
        answers=np.array(chosen, dtype=np.int64),
    )


def _ancestors(parents: Sequence[int]) -> Bool[np.ndarray, "token token"]:
    visible = np.eye(len(parents), dtype=np.bool_)
    for node, parent in enumerate(parents):
        if parent >= 0:
            visible[node] |= visible[parent]
    return visible


def _incidence(paths: list[list[int]], n_edges: int) -> Float[np.ndarray, "answer edge"]:
    incidence = np.zeros((len(paths), n_edges))
    for i, path in enumerate(paths):
        incidence[i, path] = 1
    return incidence
