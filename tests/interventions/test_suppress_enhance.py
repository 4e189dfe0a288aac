"""Suppress and enhance: exact against one full forward a prompt, and of the right quantity."""

from contextlib import AbstractContextManager

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import planted
import planted_scores
import tiny
from neuron_atlas.interventions import suppress_enhance
from neuron_atlas.interventions.neuron_sets import NeuronSet
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.tokens import continuation
from neuron_atlas.pipeline.store import records
from neuron_atlas.scoring import trees
from neuron_atlas.scoring.candidates import CandidateTokens, asked_for
from references import changed, letters, plain
from rounding import rounding


def scaled(
    module: nn.Module, neurons: np.ndarray, factor: float, start: int
) -> AbstractContextManager[None]:
    """The obvious operation: multiply the hidden units from position `start` on."""

    def change(x: Tensor) -> None:
        x[:, start:, torch.from_numpy(neurons)] *= factor

    return changed(module, change)


def test_operations_equal_a_full_forward_a_prompt(lm: LanguageModel) -> None:
    if lm.architecture.encoder:
        pytest.skip("an encoder's masks are covered by the tests of ablation")
    table, rng, n = letters(3), np.random.default_rng(1), lm.n_neurons
    layers, members = [0, 2], [rng.choice(n, size=5, replace=False) for _ in range(2)]
    sets = [
        NeuronSet(f"f{i}", "r", "m", layer * n + m)
        for i, (layer, m) in enumerate(zip(layers, members, strict=True))
    ]
    asked = pd.DataFrame(
        [(f"f{i}", "here", "xx", f"f{j}", 0) for i in range(2) for j in range(3)],
        columns=["fact", "where", "language", "measured", "template"],
    )
    both = suppress_enhance.both_operations(lm, sets)
    found = suppress_enhance.measure_operations(both, sets, table, asked, CandidateTokens(lm))
    assert len(found) == 2 * 3 * 2
    near = rounding(found["before"], tiny.DEPTH)
    for row in records(found):
        i, j = int(row["fact"][1:]), int(row["measured"][1:])
        text = table["prompt"][j]
        one = continuation(lm, text, " k l")
        query = trees.query(lm, text, [one])
        clean, start = plain(lm, query, one), len(query.prompt.before) - 1
        module = site_modules(lm, "hidden")[layers[i]][0]
        factor = {"suppress": 0.0, "enhance": 2.0}[row["operation"]]
        with scaled(module, members[i], factor, start):
            expected = plain(lm, query, one) - clean
        assert row["effect"] == pytest.approx(expected, abs=near)
        assert row["before"] == pytest.approx(clean, abs=near)
    assert found["effect"].abs().max() > 0.01  # positive control
    assert suppress_enhance.no_rows().dtypes.to_dict() == found.dtypes.to_dict()


def test_enhancing_doubles_the_hidden_unit_whatever_its_sign(decoder: LanguageModel) -> None:
    """Doubling the value before the activation would shrink units that it makes negative."""
    everything = np.arange(decoder.n_layers * decoder.n_neurons)
    both = suppress_enhance.both_operations(decoder, [NeuronSet("f", "r", "m", everything)])
    ids = torch.tensor([list(trees.query(decoder, "a b c", [(5,)]).prompt.before)])
    arm = torch.full_like(ids, suppress_enhance.OPERATIONS.index("enhance"))
    down = site_modules(decoder, "hidden")[0][0]
    seen: list[Tensor] = []
    with torch.no_grad():
        handle = down.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
        with both.opened(arm):  # hooks run in the order of their registration
            decoder.network(ids)
            handle.remove()
            handle = down.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
            decoder.network(ids)
        handle.remove()
    before, after = seen
    assert (before < 0).any()
    assert (before > 0).any()
    torch.testing.assert_close(after, 2 * before)
    assert (after.abs() >= before.abs()).all()


def test_the_unit_of_a_planted_fact_is_its_whole_answer(planted_model: LanguageModel) -> None:
    table = planted_scores.recalled(planted_model, "xa")
    row = table[(table["fact"] == "gamma:s1") & (table["template"] == 0)]
    shown = row.assign(language="xa").rename(columns={"fact": "measured"})
    sets = [NeuronSet("gamma:s1", "gamma", "m", planted_scores.unit("fact:gamma:s1"))]
    asked = pd.DataFrame(
        [("gamma:s1", "related", "xa", "gamma:s1", 0)],
        columns=["fact", "where", "language", "measured", "template"],
    )
    both = suppress_enhance.both_operations(planted_model, sets)
    tokens = CandidateTokens(planted_model)
    found = suppress_enhance.measure_operations(both, sets, shown, asked, tokens)
    effect = found.set_index("operation")["effect"]
    own = planted.log_probability(3.0)
    assert effect["suppress"] == pytest.approx(planted.log_probability(0.0) - own, abs=planted.NATS)
    assert effect["enhance"] == pytest.approx(planted.log_probability(6.0) - own, abs=planted.NATS)


def test_the_target_is_the_right_answer_that_is_most_probable(decoder: LanguageModel) -> None:
    row = {
        "prompt": "a b",
        "separator": " ",
        "objects": ["x", "y"],
        "candidates": ["w", "x", "y"],
        "candidate_labels": ["c", "d", "e"],
        "log_probabilities": [-0.1, -3.0, -2.0],
    }
    assert asked_for(row) == 2
    assert CandidateTokens(decoder).candidate(row, 2) == continuation(decoder, "a b", " e")
