"""Our attention is transformers' own, in every family, with its gradients and masks."""

import pytest
import torch
import transformers as tr
from torch import Tensor, nn

import tiny
from neuron_atlas.model import kernels

IDS = torch.tensor([[1, 7, 9, 12, 6, 8, 21, 2], [1, 15, 5, 25, 2, 0, 0, 0]])
SEEN = IDS != 0
# Families whose attention is a part of their own code, with no way in.
OWN = {"bloom", "falcon", "gpt_neo", "xglm"}


def run(network: tr.PreTrainedModel, name: str) -> tuple[Tensor, Tensor]:
    """Return the logits of two prompts, one of them padded, and a gradient through all layers."""
    network.set_attn_implementation(name)
    given = network.get_input_embeddings()(IDS).detach().requires_grad_()
    logits = network(inputs_embeds=given, attention_mask=SEEN.long()).logits
    (gradient,) = torch.autograd.grad(logits[SEEN].square().sum(), given)
    return logits.detach()[SEEN], gradient


def logits(network: tr.PreTrainedModel, name: str) -> Tensor:
    network.set_attn_implementation(name)
    found: Tensor = network(IDS[:1]).logits.detach()
    return found


@pytest.mark.parametrize("family", tiny.EVERY)
def test_it_is_the_attention_of_transformers(family: str) -> None:
    network = tiny.random_model(family).network
    if not network._can_set_attn_implementation():
        assert network.config.model_type in OWN
        return
    theirs, near = "eager", 1e-5  # which alone has soft caps, and makes weights in float32
    if network._supports_sdpa:
        theirs, near, network = "sdpa", 1e-11, network.double()
    for found, expected in zip(run(network, kernels.NAME), run(network, theirs), strict=True):
        peak = float(expected.abs().max())
        assert peak > 0.1
        assert float((found - expected).abs().max()) <= near * peak


def test_scores_are_squashed_where_a_family_does_so() -> None:
    config = tr.Gemma2Config(
        **tiny.SMALL, head_dim=4, num_key_value_heads=2, attn_logit_softcapping=0.5
    )
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        network = tr.AutoModelForCausalLM.from_config(config).eval()
    found, expected = (run(network, name)[0] for name in (kernels.NAME, "eager"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    network.config.attn_logit_softcapping = None
    for layer in network.model.layers:
        layer.self_attn.attn_logit_softcapping = None
    assert (run(network, kernels.NAME)[0] - found).abs().max() > 1e-3  # positive control


@torch.no_grad()
def test_without_gradients_half_precision_keeps_the_fused_kernel() -> None:
    lm = tiny.random_model("gemma3_text", dtype=torch.bfloat16)
    ours, fused = (logits(lm.network, name) for name in (kernels.NAME, "sdpa"))
    assert torch.equal(ours, fused)
    with torch.enable_grad():  # positive control
        assert not torch.equal(logits(lm.network, kernels.NAME), fused)


def test_bfloat16_loses_no_more_than_in_the_fused_kernel() -> None:
    exact, _ = run(tiny.random_model("gemma3_text").network, "eager")
    lm = tiny.random_model("gemma3_text", dtype=torch.bfloat16)
    ours, fused = ((run(lm.network, name)[0] - exact).norm() for name in (kernels.NAME, "sdpa"))
    assert 0 < ours < 1.2 * fused


@pytest.mark.parametrize(
    ("dtype", "precision", "ours"),
    [
        (torch.float32, "highest", False),
        (torch.float32, "medium", True),
        (torch.bfloat16, "highest", True),
    ],
)
def test_it_is_chosen_where_onednn_multiplies(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, precision: str, ours: bool
) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    network = tiny.random_model("llama", dtype=dtype).network
    network.set_attn_implementation("sdpa")
    kernels.choose_attention(network)
    assert network.config._attn_implementation == (kernels.NAME if ours else "sdpa")


@pytest.mark.parametrize("family", sorted(OWN))
def test_a_family_with_an_attention_of_its_own_keeps_it(family: str) -> None:
    network = tiny.random_model(family, dtype=torch.bfloat16).network
    before = network.config._attn_implementation
    kernels.choose_attention(network)
    assert network.config._attn_implementation == before != kernels.NAME


@pytest.mark.parametrize("name", sorted(kernels.UNHANDLED))
def test_what_it_would_leave_out_of_the_scores_is_refused(name: str) -> None:
    queries = torch.zeros(1, 2, 3, 4)
    kernels.attend(nn.Identity(), queries, queries, queries, None, **{name: None})
    with pytest.raises(ValueError, match=rf"Identity attends with \['{name}'\], which this"):
        kernels.attend(nn.Identity(), queries, queries, queries, None, **{name: torch.ones(2)})
