"""What the engine promises, in every family and in settings that take another path through it.

The other side of each comparison is transformers' own network, untouched: one whole forward pass
after another. `docs/list_families.py` writes which law holds in which family to docs/families.md.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

import tiny
from neuron_atlas.activations.extraction import extract, reading
from neuron_atlas.attributions.batches import batches
from neuron_atlas.attributions.clean_pass import CleanPass
from neuron_atlas.attributions.questions import Point, Question, points
from neuron_atlas.attributions.resume import run_rows
from neuron_atlas.attributions.trace import record_trace
from neuron_atlas.model import hooks, language_model
from neuron_atlas.model.language_model import LanguageModel, site_modules
from neuron_atlas.model.settings import ModelSource
from neuron_atlas.model.tokens import encode
from neuron_atlas.model.weights import fetch
from neuron_atlas.scoring import ablation
from neuron_atlas.scoring.contenders import score_contenders
from neuron_atlas.scoring.generation import greedy
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.vocabulary import with_bias_and_softcap
from references import queries
from rounding import rounding
from saved import save

DEPTH = tiny.DEPTH
PROMPTS = ("a b c d e f g h i", "j", "k l m n", "a b c q r")  # all but one beyond a narrow window
QUESTIONS = (
    Question("a b c d", (9, 11), query=(0, 3)),
    Question("e f g h i j k l", (8,), query=(0, 3)),
    Question("g", (12, 13, 14), query=(0, 1)),
)
every_family = pytest.mark.parametrize("name", tiny.EVERY)


def stirred(name: str) -> PreTrainedModel:
    """A random network whose biases and norms, 0 and 1 at first, are random too."""
    network, numbers = tiny.random_network(name), torch.Generator().manual_seed(7)
    for parameter_name, parameter in network.named_parameters():
        if (
            parameter_name.endswith("bias")
            or "norm" in parameter_name.lower()
            or ".ln_" in parameter_name
        ):
            parameter += 0.3 * torch.randn(parameter.shape, generator=numbers)
    return network


@cache
def ours(name: str) -> LanguageModel:
    return tiny.wrapped(stirred(name))


@cache
def theirs(name: str) -> PreTrainedModel:
    return stirred(name)


def down_projections(name: str) -> list[nn.Module]:
    row = ours(name).architecture
    blocks = (row.block.format(layer) for layer in range(ours(name).n_layers))
    return [theirs(name).get_submodule(f"{block}.{row.down}") for block in blocks]


@torch.no_grad()
def logits(name: str, ids: Sequence[int]) -> Tensor:
    """[position, token], of one sequence without padding."""
    found: Tensor = theirs(name)(torch.tensor([list(ids)])).logits[0]
    return found


def read(name: str, prompt: str) -> tuple[list[int], int]:
    """Token ids of a prompt, in an encoder with one mask, and the answer position."""
    before, after = encode(ours(name), prompt)
    if ours(name).architecture.encoder:
        return [*before, tiny.MASK, *after], len(before)
    return list(before), len(before) - 1


@contextmanager
def overwritten(
    name: str, layer: int, positions: slice, new: dict[int, Tensor] | Tensor
) -> Iterator[None]:
    """The obvious intervention: a pre-hook on transformers' module, on one unpadded sequence."""

    def before(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0].clone()  # [1, position, neuron], of OPT [position, neuron]
        if isinstance(new, Tensor):
            x[..., positions, :] = new
        else:
            for neuron, value in new.items():
                x[..., positions, neuron] = value
        return (x, *args[1:])

    handle = down_projections(name)[layer].register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def seen(name: str, ids: Sequence[int]) -> Tensor:
    """[layer, position, neuron]: what transformers' down-projections read."""
    found: list[Tensor] = []
    handles = [
        down.register_forward_pre_hook(lambda _module, args: found.append(args[0].squeeze(0)))
        for down in down_projections(name)
    ]
    logits(name, ids)
    for handle in handles:
        handle.remove()
    return torch.stack(found)


def answered(name: str, query: Any, answer: tuple[int, ...]) -> float:
    """An answer's log-probability, nats."""
    before, after = query.prompt
    if ours(name).architecture.encoder:
        ids, first = [*before, *[tiny.MASK] * len(answer), *after], len(before)
    else:
        ids, first = [*before, *answer], len(before) - 1
    logp = logits(name, ids).double().log_softmax(-1)
    return sum(float(logp[first + j, token]) for j, token in enumerate(answer))


def close(found: Any, expected: Any, *, depth: int = DEPTH) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding(expected, depth))


def n_hooks(lm: LanguageModel) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.network.modules())


def sight(lm: LanguageModel, length: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Positions, and what may be attended to, of right-padded sequences."""
    width = max(length)
    places = torch.arange(width).expand(len(length), width)
    there = places < torch.tensor(length)[:, None]
    if lm.architecture.encoder:
        return places, there
    return places, torch.ones(width, width, dtype=torch.bool).tril() & there[:, None]


@torch.no_grad()
@every_family
def test_values_times_down_projection(name: str) -> None:
    """Recorded values times the down-projection are the MLP's output, and transformers' own."""
    lm, ids = ours(name), read(name, PROMPTS[0])[0]
    places, visible = sight(lm, [len(ids)])
    with (
        hooks.record(site_modules(lm, "hidden")) as values,
        hooks.record(site_modules(lm, "down")) as written,
    ):
        lm.hidden(torch.tensor([ids]), places, visible)
    for layer, (module, _) in enumerate(site_modules(lm, "down")):
        assert torch.equal(module(values[layer]), written[layer])
        assert written[layer].abs().max() > 0.01
    close(torch.stack([values[i][0] for i in range(lm.n_layers)]), seen(name, ids))


@torch.no_grad()
@every_family
def test_write_back(name: str) -> None:
    """Writing recorded values back changes no bit."""
    lm, ids = ours(name), torch.tensor([read(name, PROMPTS[0])[0]])
    places, visible = sight(lm, [ids.shape[1]])
    modules = site_modules(lm, "hidden")
    with hooks.record(modules) as values:
        clean = lm.hidden(ids, places, visible)

    def run(added: float) -> Tensor:
        changes: dict[int, hooks.Change] = {
            i: lambda _, i=i: values[i] + added for i in range(lm.n_layers)
        }
        with hooks.edit(modules, changes):
            return lm.hidden(ids, places, visible)

    assert torch.equal(run(0.0), clean)
    assert not torch.allclose(run(1.0), clean, atol=1e-3)


@every_family
def test_nothing_is_left_behind(name: str) -> None:
    """Hooks are gone, and the model is what it was, also after an exception in mid-pass."""
    lm, ids = ours(name), torch.tensor([read(name, PROMPTS[0])[0]])
    places, visible = sight(lm, [ids.shape[1]])
    start = record_trace(lm, [points(lm, QUESTIONS[0])[0]])
    entries = [start.values[:, 0, None], *[None] * (lm.n_layers - 1)]

    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("on purpose")

    with hooks.edit(site_modules(lm, "hidden"), {lm.n_layers - 1: broken}):
        with pytest.raises(RuntimeError, match="on purpose"):
            lm.hidden(ids, places, visible)
        with pytest.raises(RuntimeError, match="on purpose"):
            run_rows(lm, start, entries)
    assert n_hooks(lm) == 0
    for path, buffer in theirs(name).named_buffers():
        assert torch.equal(lm.network.get_buffer(path), buffer), path
    assert torch.equal(lm.network(ids).logits[0], logits(name, ids[0].tolist()))


@torch.no_grad()
@every_family
def test_padding(name: str) -> None:
    """What a prompt gives does not depend on padding, nor on what stands beside it in a batch."""
    lm = ours(name)
    rows = [read(name, prompt)[0] for prompt in PROMPTS]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    hidden = lm.hidden(ids, *sight(lm, [len(row) for row in rows]))
    vectors = lm.before_head(hidden.flatten(0, 1)) @ lm.head.weight.T
    every = torch.arange(len(lm.head.weight)).expand(vectors.shape)
    found = with_bias_and_softcap(lm.head, vectors, every).view(len(rows), width, -1)
    for row, one in zip(rows, found, strict=True):
        close(one[: len(row)], logits(name, row))


@torch.no_grad()
@every_family
def test_extraction(name: str) -> None:
    """Values of prompts that are packed together are those of one pass over each."""
    lm = ours(name)
    for pooling in ("answer", "mean"):
        readings = [reading(lm, prompt, (0, 1), pooling) for prompt in PROMPTS]
        for places, values in extract(lm, readings):
            for place, found in zip(places, values, strict=True):
                ids, position = read(name, PROMPTS[place])
                whole = seen(name, ids)
                close(found, whole[:, position] if pooling == "answer" else whole.mean(1))


@every_family
def test_packed_answers(name: str) -> None:
    """Answers scored in packed sequences have the log-probabilities of whole passes."""
    asked = queries(ours(name))
    for query, found in zip(asked, log_probabilities(ours(name), asked), strict=True):
        close(found[0], [answered(name, query, answer) for answer in query.answers])


@every_family
def test_kept_keys(name: str) -> None:
    """Tokens that run behind kept keys and values are those of whole passes."""
    lm = ours(name)
    if lm.architecture.encoder:
        pytest.skip("an encoder keeps no keys")
    asked = queries(lm)
    right = [np.arange(len(query.answers)) == 0 for query in asked]
    every = score_contenders(lm, asked, right, exact=None)
    best = score_contenders(lm, asked, right, exact=1)
    for all_of, some in zip(every, best, strict=True):
        close(some.values[some.complete], all_of.values[some.complete])
    written = greedy(lm, [encode(lm, prompt) for prompt in PROMPTS], length=6)
    for prompt, (text,) in zip(PROMPTS, written, strict=True):
        ids = list(encode(lm, prompt).before)
        for token in text:
            assert token == int(logits(name, ids)[-1].argmax())
            ids.append(token)
        assert text or int(logits(name, ids)[-1].argmax()) == tiny.EOS


@torch.no_grad()
@every_family
def test_resumed_pass(name: str) -> None:
    """A pass resumed at the answer position, from any layer on, equals a whole pass."""
    resumed_equals_whole(name, [point for q in QUESTIONS for point in points(ours(name), q)])


@torch.no_grad()
@every_family
def test_resumed_pass_of_one_token(name: str) -> None:
    """So does one of a prompt of a single token, of which nothing is cut off."""
    if ours(name).architecture.encoder:
        pytest.skip("an encoder's prompt has a first and a last token besides")
    point = points(ours(name), QUESTIONS[0])[0]
    resumed_equals_whole(name, [point._replace(ids=point.ids[1:2], position=0)])


def resumed_equals_whole(name: str, batch: list[Point]) -> None:
    lm, numbers = ours(name), torch.Generator().manual_seed(3)
    start = record_trace(lm, batch)
    shape = (len(batch), 2, lm.n_neurons)
    entries = [torch.randn(shape, generator=numbers) for _ in range(lm.n_layers)]
    found = lm.head_input(run_rows(lm, start, entries)) @ lm.head.weight.T
    every = torch.arange(len(lm.head.weight)).expand(found.shape)
    found = with_bias_and_softcap(lm.head, found, every)
    for i, point in enumerate(batch):
        here = slice(point.position, point.position + 1)
        for row in range(2 * lm.n_layers):
            layer, one = divmod(row, 2)
            with overwritten(name, layer, here, entries[layer][i, one]):
                close(found[i, row], logits(name, point.ids)[point.position])


@every_family
def test_slopes(name: str) -> None:
    """Slopes of an answer's log-probability are autograd's through a whole pass."""
    lm = ours(name)
    for batch in batches(lm, QUESTIONS, by_words=False):
        clean = CleanPass(lm, record_trace(lm, batch.points), batch)
        _, found = clean.gradient("log_probability")
        for point, slope in zip(batch.points, found, strict=True):
            expected = slopes(name, point)
            assert expected.abs().max() > 1e-3
            close(slope, expected, depth=3 * DEPTH)


def slopes(name: str, point: Point) -> Tensor:
    """[layer, neuron], at the answer position."""
    leaves: list[Tensor] = []

    def watch(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        leaf = args[0] if args[0].requires_grad else args[0].detach().requires_grad_()
        leaves.append(leaf)
        return (leaf, *args[1:])

    handles = [down.register_forward_pre_hook(watch) for down in down_projections(name)]
    with torch.enable_grad():
        out = theirs(name)(torch.tensor([point.ids])).logits[0, point.position]
        found = torch.autograd.grad(out.log_softmax(-1)[point.token], leaves)
    for handle in handles:
        handle.remove()
    return torch.stack([one[..., point.position, :].view(-1) for one in found])


@every_family
def test_interventions(name: str) -> None:
    """Sets that are switched off, many in one pass, have the effects of one pass per set."""
    lm = ours(name)
    sets = [np.array([1, 2 * lm.n_neurons + 3]), np.array([lm.n_neurons, 5, 6])]
    edits = ablation.edits_of(sets, torch.zeros(1, lm.n_layers, lm.n_neurons))
    asked = queries(lm)
    for everywhere in (False, True):
        intervention = ablation.Intervention(lm, edits, everywhere=everywhere)
        found = intervention.ask(asked, [(0, 1)] * len(asked))
        for query, answers in zip(asked, found, strict=True):
            first = len(query.prompt.before) - (not lm.architecture.encoder)
            for arm, members in enumerate(sets):
                for answer, value in zip(query.answers, answers.values[arm], strict=True):
                    end = first + len(answer) if lm.architecture.encoder else None
                    where = slice(None) if everywhere else slice(first, end)
                    with switched_off(name, members.tolist(), where):
                        expected = answered(name, query, answer)
                    assert value == pytest.approx(expected, abs=rounding(expected, DEPTH))


@contextmanager
def switched_off(name: str, neurons: list[int], positions: slice) -> Iterator[None]:
    by_layer: dict[int, dict[int, Tensor]] = {}
    for neuron in neurons:
        layer, index = divmod(neuron, ours(name).n_neurons)
        by_layer.setdefault(layer, {})[index] = torch.zeros(())
    opened = [overwritten(name, layer, positions, new) for layer, new in by_layer.items()]
    for one in opened:
        one.__enter__()
    try:
        yield
    finally:
        for one in opened:
            one.__exit__(None, None, None)


@every_family
def test_brought_in(name: str, tmp_path: Path) -> None:
    """A stored checkpoint is brought in and loaded as the same model."""
    source = save(tiny.wrapped(stirred(name)), tmp_path / "source")
    fetch(ModelSource("path", str(source)), tmp_path / "model", sha256=None, dtype="float32")
    lm = language_model.load(tmp_path / "model", device="cpu")
    assert lm.architecture == ours(name).architecture
    for query, found in zip(queries(lm), log_probabilities(lm, queries(lm)), strict=True):
        close(found[0], [answered(name, query, answer) for answer in query.answers])


@torch.no_grad()
@every_family
def test_half_precision(name: str) -> None:
    """In bfloat16 packed answers are those of whole passes in bfloat16, up to its rounding."""
    lm = tiny.wrapped(stirred(name).to(torch.bfloat16))
    network = stirred(name).to(torch.bfloat16)
    asked = queries(lm)
    for query, found in zip(asked, log_probabilities(lm, asked), strict=True):
        for answer, value in zip(query.answers[:1], found[0][:1], strict=True):
            before, after = query.prompt
            masks = [tiny.MASK] * len(answer) if lm.architecture.encoder else []
            position = len(before) - (not lm.architecture.encoder)
            out = network(torch.tensor([[*before, *masks, *after]])).logits[0, position]
            expected = float(out.float().log_softmax(-1)[answer[0]])
            exact = float(
                logits(name, [*before, *masks, *after])[position].log_softmax(-1)[answer[0]]
            )
            assert abs(value - expected) < 0.2 + abs(exact - expected)
