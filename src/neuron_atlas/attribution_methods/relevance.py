"""Relevance patching: coefficients of layer-wise relevance propagation in place of gradients.

Jafari et al. 2025 (RelP, arXiv 2508.21258, section 3): a neuron's score is the coefficient times
the difference of its two values. Where attribution patching takes the gradient as coefficient, RelP
propagates relevance by rules that make every step of the model linear:

* norms: the statistic that divides is a constant (LN rule, Ali et al. 2022, arXiv 2202.07304);
* activation functions: f(x) is x times the constant f(x) / x (identity rule);
* attention: the pattern is a constant, so that queries and keys get nothing (AH rule);
* gated products: each factor gets half (half rule, Arras et al. 2019).

While `relevance_rules` is open, the model's own modules compute what they always do, to the last
bit, and its backward pass propagates coefficients by these rules.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuron_atlas.attribution_methods.whole_pass import point_target
from neuron_atlas.attributions.clean_pass import CleanPass
from neuron_atlas.attributions.settings import Target
from neuron_atlas.devices.running import weight
from neuron_atlas.model import hooks
from neuron_atlas.model.language_model import LanguageModel

HALF = 0.5


@dataclass(frozen=True)
class Places:
    """Where the rules of a family act; paths are relative to the block.

    Attributes:
        activation: The module of the MLP's activation function.
        pattern: Modules of whose output the attention pattern is made.
        fused: How many heads, by the name of the configuration's key, one module makes queries,
            keys and values of, head by head; "" if it makes all queries, then all keys, then all
            values. None if each has a module of its own.
    """

    activation: str
    pattern: tuple[str, ...]
    fused: str | None = None


_LLAMA = Places("mlp.act_fn", ("self_attn.q_proj", "self_attn.k_proj"))
PLACES = {
    "gemma": _LLAMA,
    "gemma2": _LLAMA,
    "gemma3_text": _LLAMA,
    "gpt2": Places("mlp.act", ("attn.c_attn",), fused=""),
    "gpt_neox": Places("mlp.act", ("attention.query_key_value",), fused="num_attention_heads"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "olmo2": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}


def undefined(lm: LanguageModel) -> str | None:
    """Say why a model has no relevance rules here, or return None if it has them."""
    family = lm.network.config.model_type
    if family in PLACES:
        return None
    return f"no rules of relevance propagation for {family!r}; there are some for {sorted(PLACES)}"


def coefficients(clean: CleanPass, target: Target) -> Float[Tensor, "point layer neuron"]:
    """Return each hidden unit's coefficient at the answer position, in the target's unit.

    The target is the start of the propagation: what lies between it and the final norm's output has
    its gradient, as the metric has in the paper.

    Raises:
        ValueError: the family has no rules, or a norm of an unknown kind.
    """
    with relevance_rules(clean.lm):
        fresh = CleanPass(clean.lm, clean.trace, clean.batch)  # no gradient is remembered in it
        _, found = fresh.gradient(target)
    return found


def conservation_error(clean: CleanPass, target: Target) -> float:
    """Return the share of relevance that is lost, or made, between the last block and the first.

    |relevance of the first block's input, over all positions - relevance of the last block's
    output| / |the latter|. 0 up to rounding where no module adds a bias: a bias keeps its share.
    NaN if the last block's output has no relevance.

    Raises:
        ValueError: as `coefficients`.
    """
    first, last = 0.0, 0.0
    with relevance_rules(clean.lm):
        for point in clean.batch.points:
            seen: list[Tensor] = []
            with hooks.edit([(clean.lm.blocks[0], True)], {0: _leaf(seen)}), torch.enable_grad():
                value, output = point_target(clean.lm, point, target)
                (start,) = seen
                slopes = torch.autograd.grad(value.sum(), [start, output])
            first += float((slopes[0] * start.detach()).sum())
            last += float((slopes[1] * output.detach()).sum())
    return abs(first - last) / abs(last) if last else float("nan")


def _leaf(seen: list[Tensor]) -> hooks.Change:
    def change(x: Tensor) -> Tensor:
        seen.append(x.detach().clone().requires_grad_())
        return seen[-1]

    return change


@contextmanager
def relevance_rules(lm: LanguageModel) -> Iterator[None]:
    """Make the model's backward pass propagate relevance while open; its values stay as they are.

    Raises:
        ValueError: the family has no rules, or a norm of an unknown kind.
    """
    if reason := undefined(lm):
        raise ValueError(f"relevance patching: {reason}")
    places = PLACES[lm.network.config.model_type]
    gate = lm.architecture.gate is not None
    norms = [m for m in lm.network.modules() if type(m).__name__.endswith("Norm")]
    linear = [(norm, _norm_rule(norm)) for norm in norms]  # before any of them is changed
    with ExitStack() as stack:
        for module, rule in linear:
            stack.enter_context(_replaced(module, rule))
        for block in lm.blocks:
            activation = block.get_submodule(places.activation)
            stack.enter_context(_replaced(activation, _identity_rule(HALF if gate else 1.0)))
            if gate:
                up = block.get_submodule(str(lm.architecture.up))
                stack.enter_context(hooks.edit([(up, False)], {0: _halved}))
            modules = [(block.get_submodule(path), False) for path in places.pattern]
            changes = dict.fromkeys(range(len(modules)), _without_pattern(lm, places))
            stack.enter_context(hooks.edit(modules, changes))
        yield


Rule = Callable[[Tensor, Tensor], Tensor]  # of input and output, what stands for it backwards


@contextmanager
def _replaced(module: nn.Module, rule: Rule) -> Iterator[None]:
    """Let a module keep its output, with the derivatives of what the rule makes of its input."""
    given: list[Tensor] = []

    def before(x: Tensor) -> Tensor:
        given[:] = [x]
        return x

    def after(y: Tensor) -> Tensor:
        return _as_if(y, rule(given.pop().to(y.device), y.detach()))

    with hooks.edit([(module, True), (module, False)], {0: before, 1: after}):
        yield


def _as_if(y: Tensor, other: Tensor) -> Tensor:
    """Return y with the derivatives of `other`."""
    return y.detach() + (other - other.detach()).to(y.dtype)


def _halved(y: Tensor) -> Tensor:
    return _as_if(y, HALF * y)


def _identity_rule(share: float) -> Rule:
    """Pass a share of the output's relevance to the input: y = x * constant; 0 where x is 0."""

    def rule(x: Tensor, y: Tensor) -> Tensor:
        ratio = torch.where(x == 0, 0, y / torch.where(x == 0, 1, x)).detach()
        return share * ratio * x

    return rule


def _norm_rule(norm: nn.Module) -> Rule:
    """Return a norm with its divisor as a constant; what it adds has no derivative.

    Raises:
        ValueError: the norm is neither a LayerNorm nor an RMSNorm.
    """
    if isinstance(norm, nn.LayerNorm):
        return _layer_norm_rule(norm)
    if type(norm).__name__.endswith("RMSNorm"):
        return _rms_norm_rule(norm)
    raise ValueError(
        f"relevance patching: no rule for the norm {type(norm).__name__}; there are rules for "
        "LayerNorm and RMSNorm"
    )


def _layer_norm_rule(norm: nn.LayerNorm) -> Rule:
    gain: Tensor | int = 1 if norm.weight is None else weight(norm).float()

    def rule(x: Tensor, _y: Tensor) -> Tensor:
        away = x.float() - x.float().mean(-1, keepdim=True)
        divisor = (away.square().mean(-1, keepdim=True) + norm.eps).sqrt().detach()
        return away / divisor * gain

    return rule


def _rms_norm_rule(norm: nn.Module) -> Rule:
    """What it makes of a vector of ones tells its weight, whichever way a family stores it."""
    eps = float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)))
    ones = torch.ones_like(weight(norm))
    gain: Tensor = norm(ones).float() * (1 + eps) ** 0.5

    def rule(x: Tensor, _y: Tensor) -> Tensor:
        divisor = (x.float().square().mean(-1, keepdim=True) + eps).sqrt().detach()
        return x.float() / divisor * gain

    return rule


def _without_pattern(lm: LanguageModel, places: Places) -> hooks.Change:
    """Return what cuts queries and keys off from the backward pass, in a module's output."""
    if places.fused is None:
        return Tensor.detach
    n_heads = getattr(lm.network.config, places.fused) if places.fused else 1

    def change(x: Tensor) -> Tensor:
        query, key, value = x.view(*x.shape[:-1], n_heads, 3, -1).unbind(-2)
        return torch.stack([query.detach(), key.detach(), value], -2).view(x.shape)

    return change
