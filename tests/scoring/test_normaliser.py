"""Normalisers of rows near a clean one: close where the tail behaves, summed in full where not."""

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny
from neuron_atlas.model.language_model import Head, LanguageModel
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.ablation import Intervention
from neuron_atlas.scoring.normaliser import WORTH, Normalisers, nearby
from neuron_atlas.scoring.vocabulary import log_normaliser
from references import queries
from rounding import rounding

N_ROWS, D_MODEL, N_TOKENS = 40, 16, 4096


def drawn(seed: int = 0, *, bias: bool = False) -> tuple[Head, Tensor]:
    """Return output embeddings, and rows of which the first is clean and the others are near it."""
    some = torch.Generator().manual_seed(seed)
    weight = torch.randn(N_TOKENS, D_MODEL, generator=some)
    clean = 2 * torch.randn(1, D_MODEL, generator=some)
    moved = clean + 0.1 * torch.randn(N_ROWS - 1, D_MODEL, generator=some)
    added = torch.randn(N_TOKENS, generator=some) if bias else None
    return Head(weight, added, None), torch.cat([clean, moved])


def normalisers(head: Head, hidden: Tensor, *, tolerance: float) -> tuple[Normalisers, Tensor]:
    """Return what `nearby` gives with the first row as everyone's clean one, and the full sums."""
    clean, offset = torch.zeros(len(hidden), dtype=torch.long), torch.zeros(len(hidden))
    found = nearby(head, hidden, offset, clean, tolerance=tolerance)
    return found, log_normaliser(head, hidden, offset)


@pytest.mark.parametrize("bias", [False, True])
def test_near_rows_are_close_and_their_error_is_the_audited_one(bias: bool) -> None:
    head, hidden = drawn(bias=bias)
    found, exact = normalisers(head, hidden, tolerance=0.01)
    assert not found.full.any()
    torch.testing.assert_close(found.values, exact, atol=5e-3, rtol=0)
    assert (found.values - exact).abs().max() > 1e-6  # positive control: they are not summed
    audited = found.error.isfinite()
    assert audited.sum() == 2
    assert 0 < found.error[audited].max() < 0.01
    torch.testing.assert_close(found.values[audited], exact[audited])
    torch.testing.assert_close(found.values[0], exact[0])


def test_a_tail_that_rises_is_noticed_and_summed() -> None:
    """Some unlikely tokens gain so much that neither mean nor sample could tell."""
    head, hidden = drawn()
    away = torch.linalg.qr(hidden[:1].T, mode="complete").Q[:, 1]  # the clean row is blind to it
    head.weight[-3:] = 60 * away - 0.5 * hidden[0]
    hidden[1:] += away
    found, exact = normalisers(head, hidden, tolerance=0.01)
    assert (found.full | found.error.isfinite()).all()
    torch.testing.assert_close(found.values, exact)
    assert np.nanmax(found.error) > 0.01
    trusted, _ = normalisers(head, hidden, tolerance=1e9)
    assert (trusted.values - exact).abs().max() > 0.1  # positive control: it would have been wrong


def test_few_rows_a_softcap_and_no_tolerance_are_summed() -> None:
    head, hidden = drawn()
    for some, rows, tolerance in (
        (head, hidden[:WORTH], 0.01),
        (head._replace(softcap=5.0), hidden, 0.01),
        (head, hidden, 0.0),
    ):
        found, exact = normalisers(some, rows, tolerance=tolerance)
        torch.testing.assert_close(found.values, exact)
        assert not found.error.isfinite().any()


def test_rows_of_several_clean_rows_keep_their_places() -> None:
    head, hidden = drawn()
    other = drawn(1)[1]
    rows = torch.stack([hidden, other], 1).flatten(0, 1)  # in turn
    clean = torch.arange(len(rows)) % 2
    found = nearby(head, rows, torch.zeros(len(rows)), clean, tolerance=0.01)
    for i, own in enumerate((hidden, other)):
        alone, _ = normalisers(head, own, tolerance=0.01)
        torch.testing.assert_close(found.values[i::2], alone.values)


def test_interventions_fall_back_to_the_exact_sums(decoder: LanguageModel) -> None:
    """A vocabulary of 31 tokens has no tail to speak of: every group fails a strict audit."""
    asked, rng = queries(decoder), np.random.default_rng(0)
    size = decoder.n_layers * decoder.n_neurons
    sets = [rng.choice(size, 8, replace=False) for _ in range(3 * WORTH)]
    edits = ablation.edits_of(sets, torch.zeros(1, decoder.n_layers, decoder.n_neurons))
    arms = [range(len(sets))] * len(asked)
    exact, strict, lenient = (
        Intervention(decoder, edits, tolerance=t).ask_beside_clean(asked, arms)
        for t in (0.0, 1e-9, 1e9)
    )
    for a, b, c in zip(exact, strict, lenient, strict=True):
        np.testing.assert_allclose(b.values, a.values, atol=rounding(a.values, tiny.DEPTH))
        assert not np.isfinite(a.error).any()
        assert np.nanmax(b.error) > 1e-9
        assert np.abs(c.values - a.values).max() > 1e-4  # positive control: it is another sum
        near = rounding(a.values, tiny.DEPTH)
        np.testing.assert_allclose(c.values[0], a.values[0], atol=near)
