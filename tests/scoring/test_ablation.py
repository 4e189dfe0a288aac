"""Interventions: exact against a full forward each, undone afterwards, refused when malformed."""

import numpy as np
import pytest
import torch

import tiny
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.scoring import ablation, log_probability
from neuron_atlas.scoring.ablation import Edits
from references import overwritten, plain, queries
from rounding import rounding


@pytest.mark.parametrize("everywhere", [False, True])
def test_many_arms_at_once_equal_one_full_forward_each(lm: LanguageModel, everywhere: bool) -> None:
    asked, rng = queries(lm), np.random.default_rng(0)
    n = lm.n_neurons
    value = torch.randn(2, lm.n_layers, n, generator=torch.Generator().manual_seed(1))
    layers = [0, 1, 2, 1, 0, 2, 1]
    members = [rng.choice(n, size=5, replace=False) for _ in layers]
    sets = [layer * n + m for layer, m in zip(layers, members, strict=True)]
    kinds = [0, 1, 0, 1, 0, 1, 1]
    edits = ablation.edits_of(sets, value, kinds)
    found = log_probability.log_probabilities(
        lm,
        asked,
        arms=[range(len(sets))] * len(asked),
        intervene=ablation.row_edits(lm, edits),
        everywhere=everywhere,
        sequence=40,
    )
    clean = log_probability.log_probabilities(lm, asked)
    near = rounding(np.concatenate(clean), tiny.DEPTH)
    for query, values, untouched in zip(asked, found, clean, strict=True):
        for a, answer in enumerate(query.answers):
            first = len(query.prompt.before) - (0 if lm.architecture.encoder else 1)
            last = first + len(answer) if lm.architecture.encoder else None
            where = slice(None) if everywhere else slice(first, last)
            for i, layer in enumerate(layers):
                module = site_modules(lm, "hidden")[layer][0]
                with overwritten(module, list(members[i]), value[kinds[i], layer], where):
                    assert values[i, a] == pytest.approx(plain(lm, query, answer), abs=near)
        assert np.abs(values - untouched).max() > 0.01  # positive control: the edits do something


def test_an_empty_set_changes_nothing_and_hooks_are_gone_after_an_error(lm: LanguageModel) -> None:
    asked = queries(lm)[:1]
    value = torch.zeros(1, lm.n_layers, lm.n_neurons)
    none, every = np.empty(0, np.int64), np.arange(value.numel())
    edits = ablation.edits_of([none, every], value)
    clean = log_probability.log_probabilities(lm, asked)[0]
    found = log_probability.log_probabilities(
        lm, asked, arms=[(0, 1)], intervene=ablation.row_edits(lm, edits)
    )[0]
    np.testing.assert_allclose(found[0], clean[0], atol=rounding(clean, tiny.DEPTH))
    assert np.abs(found[1] - clean[0]).max() > 0.01
    with (
        pytest.raises(RuntimeError, match="stop"),
        ablation.row_edits(lm, edits)(torch.ones(1, 1, dtype=torch.long)),
    ):
        raise RuntimeError("stop")
    np.testing.assert_array_equal(log_probability.log_probabilities(lm, asked)[0], clean)


def under(lm: LanguageModel, edits: Edits) -> np.ndarray:
    """Return the answers' log-probabilities under every arm, [arm, answer]."""
    n = len(edits.chosen)
    run = ablation.row_edits(lm, edits)
    return log_probability.log_probabilities(lm, queries(lm)[:1], arms=[range(n)], intervene=run)[0]


def test_a_gain_goes_that_far_from_a_neuron_s_own_value(lm: LanguageModel) -> None:
    """0 changes nothing, 1 is the plain edit, 2 doubles the change: 2 w - x = x + 2 (w - x)."""
    clean = log_probability.log_probabilities(lm, queries(lm)[:1])[0]
    value = torch.randn(1, lm.n_layers, lm.n_neurons, generator=torch.Generator().manual_seed(1))
    chosen = np.random.default_rng(0).choice(value.numel(), size=6, replace=False)
    found = under(lm, ablation.edits_of([chosen] * 4, value, gain=[0.0, 1.0, 2.0, 0.5]))
    near = rounding(clean, 4 * tiny.DEPTH)
    np.testing.assert_allclose(found[0], clean[0], atol=near)
    np.testing.assert_allclose(
        found[1], under(lm, ablation.edits_of([chosen], value))[0], atol=near
    )
    double = ablation.edits_of([chosen], 2 * value, scale=[-1.0])
    np.testing.assert_allclose(found[2], under(lm, double)[0], atol=near)
    half = ablation.edits_of([chosen], value / 2, scale=[0.5])
    np.testing.assert_allclose(found[3], under(lm, half)[0], atol=near)
    assert (np.abs(np.diff(found, axis=0)).max(1) > 100 * near).all()  # positive control


def test_some_arms_are_those_arms_in_that_order(decoder: LanguageModel) -> None:
    size = decoder.n_layers * decoder.n_neurons
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(2, decoder.n_layers, decoder.n_neurons, generator=generator)
    sets = [np.arange(i, size, 7) for i in range(4)]
    edits = ablation.edits_of(sets, value, [0, 1, 0, 1], gain=[1.0, 0.5, 2.0, 1.5])
    every, order = under(decoder, edits), [3, 0, 1]
    assert len(set(every[:, 0].tolist())) == 4
    near = rounding(every, 4 * tiny.DEPTH)
    np.testing.assert_allclose(under(decoder, edits.some(order)), every[order], atol=near)


def test_the_paper_s_raw_sites_can_be_edited(decoder: LanguageModel) -> None:
    """Gate, up and down outputs (Liu et al. 2025) are sites of their own."""
    asked = queries(decoder)[:1]
    clean = log_probability.log_probabilities(decoder, asked)[0]
    for site, width in (("gate", 24), ("up", 24), ("down", 16)):
        edits = ablation.edits_of([np.arange(width)], torch.zeros(1, decoder.n_layers, width))
        run = ablation.row_edits(decoder, edits, site=site)
        found = log_probability.log_probabilities(decoder, asked, arms=[(0,)], intervene=run)[0]
        assert np.abs(found - clean).max() > 1e-3


def test_malformed_arms_are_refused() -> None:
    value = torch.zeros(1, 2, 4)
    with pytest.raises(ValueError, match=r"neurons must be in \[0, 8\)"):
        ablation.edits_of([np.array([8])], value)
    with pytest.raises(ValueError, match=r"kinds must be in"):
        ablation.edits_of([np.array([1])], value, [1])
    with pytest.raises(ValueError, match="2 finite gains"):
        ablation.edits_of([np.array([1])] * 2, value, gain=[1.0])
    with pytest.raises(ValueError, match="finite"):
        ablation.edits_of([np.array([1])], value * torch.nan)
