"""Points of whole questions, grouped so that they run together."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from neuron_atlas.attributions.questions import Point, Question, points, words
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.tokens import Text

NODES = 8  # rows per point and layer at a time, at least
N_ROWS = 2048  # tokens of a batch's rows in all layers together; it bounds memory


class Batch(NamedTuple):
    """Points of whole questions, run together."""

    places: tuple[int, ...]  # questions
    owner: tuple[int, ...]  # of each point, its place among the batch's questions
    points: tuple[Point, ...]
    words: tuple[Sequence[Text], ...]  # of each point; the same number for all points
    n_rows: int = N_ROWS  # tokens of its rows in all layers together

    @property
    def size(self) -> tuple[int, int]:
        """The numbers of words and of tokens of its longest question."""
        return len(self.words[0]), max(len(point.ids) for point in self.points)


def batches(lm: LanguageModel, questions: Sequence[Question], *, by_words: bool) -> Iterator[Batch]:
    """Group questions that have the same number of words and similar lengths."""
    laid, hidden = _points_and_words(lm, questions, by_words)
    order = sorted(range(len(laid)), key=lambda i: _size(laid[i], hidden[i]))
    tokens = max(1, N_ROWS // (NODES * lm.n_layers))
    group: list[int] = []
    for i in order:
        full = sum(len(laid[j]) * _width(lm, laid[j]) for j in [*group, i]) > tokens
        if group and (full or len(hidden[i]) != len(hidden[group[0]])):
            yield _batch(group, laid, hidden)
            group = []
        group.append(i)
    if group:
        yield _batch(group, laid, hidden)


def nodes_at_once(lm: LanguageModel, batch: Batch, *, n_layers: int) -> int:
    """Return how many rows a point may have at a time in each of `n_layers`: more if few points."""
    tokens = sum(_width(lm, [point]) for point in batch.points) * max(1, n_layers)
    return max(1, NODES * batch.n_rows // N_ROWS, batch.n_rows // tokens)


def halves(batch: Batch) -> list[Batch]:
    """Return the two halves of a batch, with half as many rows at a time; of one question, itself.

    Nothing, if one question has but one row per point and layer at a time.
    """
    middle, n_rows = len(batch.places) // 2, max(batch.n_rows // 2, 1)
    if not middle:
        return [batch._replace(n_rows=n_rows)] if n_rows < batch.n_rows else []
    return [
        _some(batch, range(middle), n_rows),
        _some(batch, range(middle, len(batch.places)), n_rows),
    ]


def _some(batch: Batch, questions: range, n_rows: int) -> Batch:
    kept = [i for i, owner in enumerate(batch.owner) if owner in questions]
    return Batch(
        places=batch.places[questions.start : questions.stop],
        owner=tuple(batch.owner[i] - questions.start for i in kept),
        points=tuple(batch.points[i] for i in kept),
        words=tuple(batch.words[i] for i in kept),
        n_rows=n_rows,
    )


def _points_and_words(
    lm: LanguageModel, questions: Sequence[Question], by_words: bool
) -> tuple[list[list[Point]], list[list[Text]]]:
    return [points(lm, q) for q in questions], [
        words(lm, q) if by_words else [()] for q in questions
    ]


def _size(laid: Sequence[Point], hidden: Sequence[Text]) -> tuple[int, int]:
    return len(hidden), len(laid[0].ids)


def _width(lm: LanguageModel, laid: Sequence[Point]) -> int:
    """Return the tokens of one row: the answer position alone, or an encoder's whole sequence."""
    return len(laid[0].ids) if lm.architecture.encoder else 1


def _batch(
    group: Sequence[int],
    laid: Sequence[Sequence[Point]],
    hidden: Sequence[Sequence[Text]],
) -> Batch:
    pairs = [(k, point) for k, i in enumerate(group) for point in laid[i]]
    return Batch(
        places=tuple(group),
        owner=tuple(k for k, _ in pairs),
        points=tuple(point for _, point in pairs),
        words=tuple(hidden[group[k]] for k, _ in pairs),
    )
