"""Batches hold as many rows as memory is meant to take, and no question is lost or cut."""

import pytest

import tiny
from neuron_atlas.attributions.batches import N_ROWS, NODES, Batch, batches, nodes_at_once
from neuron_atlas.attributions.questions import Question
from neuron_atlas.model.language_model import LanguageModel

LETTERS = "a b c d e f g h i j k l m n o p q r s t"
ONE = [Question("a b", (9,))]
MANY = [Question(LETTERS[: 2 * (2 + i % 17)], (9,) * (1 + i % 3)) for i in range(200)]
LONG = [Question(" ".join([LETTERS] * 20), (9,))]


def tokens(lm: LanguageModel, batch: Batch) -> int:
    """Tokens of one row of every layer, of all the batch's points."""
    widths = [len(p.ids) if lm.architecture.encoder else 1 for p in batch.points]
    return sum(widths) * lm.n_layers


@pytest.mark.parametrize("questions", [ONE, MANY, LONG], ids=["one", "many", "long"])
def test_rows_are_bounded_by_memory(lm: LanguageModel, questions: list[Question]) -> None:
    """A question alone may need more than the bound: it is not cut, and has the fewest nodes."""
    found = list(batches(lm, questions, by_words=False))
    assert sorted(i for batch in found for i in batch.places) == list(range(len(questions)))
    for batch in found:
        nodes, row = nodes_at_once(lm, batch, n_layers=lm.n_layers), tokens(lm, batch)
        assert nodes * row <= N_ROWS or (len(batch.places) == 1 and nodes == NODES)
        assert (nodes + 1) * row > N_ROWS or nodes == NODES  # no room is left unused
    assert len(questions) == 1 or len(found) < len(questions)


def test_few_points_have_more_nodes_at_a_time() -> None:
    lm = tiny.random_model("llama")
    (batch,) = batches(lm, ONE, by_words=False)
    assert nodes_at_once(lm, batch, n_layers=lm.n_layers) == N_ROWS // lm.n_layers
    full = max(batches(lm, MANY, by_words=False), key=lambda batch: len(batch.points))
    assert nodes_at_once(lm, full, n_layers=lm.n_layers) == NODES
