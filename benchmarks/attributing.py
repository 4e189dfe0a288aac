"""Benchmark attribution of all hidden units, in a decoder and an encoder with random weights."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import attribution_peers as peers
import flops
import machine
from attribution_peers import INCLUSIVE, MIDPOINT, STEPS
from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.quadrature import OWN, Quadrature, radau
from neuron_atlas.model import kernels
from shapes import N_TOKENS, Shape, shape
from timing import Benchmark, Comparison, Contender, Run, Timed, rounded

KN, CAPTUM = "knowledge-neurons", "captum"
SAME_PRODUCTS = f"{KN} with our products"
RULES = {KN: INCLUSIVE, CAPTUM: MIDPOINT}  # the peers' quadrature rules
FACTS, TOP = 8, 20
MOST = 64  # points to try until a rule is as complete as a peer's
UNEQUAL = "ours evaluates other, fewer points; both completeness errors are given"


def decoder() -> Benchmark:
    """Compare on GPT-2 small, which also has rows in bfloat16 and with several facts at once."""
    get, name = _getter("gpt2"), "attribution-decoder"
    benchmark = _benchmark(get, name)
    more = {
        "ours-bf16": Contender(lambda: _ours(_bfloat16(get()), INCLUSIVE), ours=True),
        "ours-facts": Contender(
            lambda: _ours(get(), INCLUSIVE, n_facts=FACTS), share=FACTS, ours=True
        ),
        SAME_PRODUCTS: Contender(
            lambda: peers.knowledge_neurons(get(), our_attention=True), ours=True
        ),
    }
    rows = [
        Comparison(
            f"{name}-same-products", KN, f"ours as {KN}", SAME_PRODUCTS, about=_same_products
        ),
        Comparison(f"{name}-bf16", KN, "ours-bf16", KN, about=_same_top),
        Comparison(f"{name}-{FACTS}-facts", KN, "ours-facts", KN, about=_per_fact),
    ]
    return replace(
        benchmark,
        contenders={**benchmark.contenders, **more},
        rows=[*benchmark.rows, *rows],
        memory=[*benchmark.memory, "ours-bf16", "ours-facts"],
    )


def encoder() -> Benchmark:
    """Compare on BERT base."""
    return _benchmark(_getter("bert"), "attribution-encoder")


def _getter(family: str) -> Callable[[], Shape]:
    """Return a function that makes the model when it is first called."""
    return functools.cache(functools.partial(shape, family, n_prompts=FACTS))


def _benchmark(get: Callable[[], Shape], name: str) -> Benchmark:
    contenders = {
        "product": machine.product(torch.float32),
        KN: Contender(lambda: peers.knowledge_neurons(get())),
        CAPTUM: Contender(lambda: peers.captum(get())),
    }
    rows: list[Comparison] = []
    for peer, rule in RULES.items():
        same, fewer = f"ours as {peer}", f"ours equal to {peer}"
        contenders[same] = Contender(functools.partial(_same, get, rule), ours=True)
        contenders[fewer] = Contender(functools.partial(_fewer, get, rule), ours=True)
        share = functools.partial(_share_of_peak, get, same, rule)
        equal = functools.partial(_completeness, get, fewer, peer)
        rows += [
            Comparison(name, peer, same, peer, about=share),
            Comparison(
                name=f"{name}-equal-completeness",
                peer=peer,
                ours=fewer,
                theirs=peer,
                gap=None,
                reason=UNEQUAL,
                about=equal,
            ),
        ]
    what = f"1 prompt of {N_TOKENS} tokens, all layers, {STEPS} steps, float32"
    return Benchmark(what, contenders, rows, memory=[f"ours as {KN}", KN, CAPTUM])


def _same(get: Callable[[], Shape], rule: Quadrature) -> Run:
    return _ours(get(), rule)


def _fewer(get: Callable[[], Shape], rule: Quadrature) -> Run:
    return _ours(get(), fewest(get(), rule))


def _ours(asked: Shape, rule: Quadrature, *, n_facts: int = 1) -> Run:
    """Return our run; its result is the first fact's scores."""
    return lambda: np.asarray(_attributed(asked, rule, n_facts, check=False)[0].numpy())


def _attributed(
    asked: Shape, rule: Quadrature, n_facts: int = 1, *, check: bool = True
) -> tuple[Tensor, Tensor]:
    """Attribute the first facts, and return the first one's scores and the layers' differences."""
    found = list(
        gradients.integrated_gradients(
            *(asked.lm, asked.questions[:n_facts]),
            baseline="zero",
            rule=rule,
            target="probability",
            check=check,
        )
    )
    part = next(p for p in found if 0 in p.places)
    place = part.places.tolist().index(0)
    return part.scores[place], part.difference[place]


def fewest(asked: Shape, peer_rule: Quadrature) -> Quadrature:
    """Return the Radau rule with the fewest nodes that is as complete as the peer's rule.

    The peer's scores are those of our engine at the peer's points; the parity of the other rows
    says how closely.

    Raises:
        ValueError: no rule of up to `MOST` points is.
    """
    limit = error(*_attributed(asked, peer_rule))
    for rule in map(radau, range(1, MOST + 1)):
        if error(*_attributed(asked, rule)) <= limit:
            return rule
    raise ValueError(f"no rule of up to {MOST} points has a completeness error of {limit:.2g}")


def error(scores: Tensor, difference: Tensor) -> float:
    """Return the completeness error: over layers, sum |sum of scores - exact| / sum |exact|.

    `exact` is the change of the target when all neurons of a layer are set to the baseline.

    Args:
        scores: One per layer and neuron.
        difference: The exact change, one per layer.

    """
    exact = difference.double()
    return float((scores.double().sum(1) - exact).abs().sum() / exact.abs().sum())


def _completeness(
    get: Callable[[], Shape], fewer: str, peer: str, timed: Mapping[str, Timed]
) -> dict[str, Any]:
    _, exact = _attributed(get(), RULES[peer])
    errors = [error(torch.from_numpy(timed[who].result), exact) for who in (fewer, peer)]
    return {
        "nodes": len(fewest(get(), RULES[peer]).nodes),
        "ours_completeness_error": rounded(errors[0], 2),
        "peer_completeness_error": rounded(errors[1], 2),
    }


def _share_of_peak(
    get: Callable[[], Shape], ours: str, rule: Quadrature, timed: Mapping[str, Timed]
) -> dict[str, Any]:
    own = sum(node != OWN for node in rule.nodes)  # all other nodes share one row
    needed = flops.attribution(get().lm, N_TOKENS, own)
    return machine.share_of_peak(needed, timed[ours], timed["product"])


def _same_top(timed: Mapping[str, Timed]) -> dict[str, Any]:
    """Count the strongest neurons that both find."""
    results = [timed[who].result.ravel() for who in ("ours-bf16", KN)]
    first, second = (set(np.argsort(-r)[:TOP].tolist()) for r in results)
    return {
        "work": "ours in bfloat16, the peer in float32",
        f"same_top_{TOP}": len(first & second),
    }


def _same_products(_timed: Mapping[str, Timed]) -> dict[str, Any]:
    return {"work": "the peer too multiplies and attends as we do (model/kernels.py)"}


def _per_fact(_timed: Mapping[str, Timed]) -> dict[str, Any]:
    return {"work": f"seconds a prompt, of {FACTS} prompts given together (the peer takes one)"}


def _bfloat16(asked: Shape) -> Shape:
    """Return a copy in bfloat16."""
    config = asked.lm.network.config
    other = shape(config.model_type, config=config, n_prompts=len(asked.prompts))
    kernels.choose_attention(other.lm.network.bfloat16())
    return other
