"""OPT's blocks with batch and position apart.

transformers' own fold the two into one axis within the MLP, where hooks then could not tell which
prompt, or which token of it, a value belongs to. The sums are the same, to the last bit.
"""

from types import MethodType
from typing import Any, cast

from torch import Tensor, nn
from transformers.models.opt.modeling_opt import OPTDecoderLayer


def unfold(network: nn.Module) -> None:
    """Let OPT's blocks keep batch and position apart; of other families nothing changes.

    Parameters, their names and what is saved of the network stay as they are.
    """
    for module in network.modules():
        if type(module) is OPTDecoderLayer:
            module.__class__ = Unfolded
            if hasattr(module, "_old_forward"):  # what accelerate's hooks run in its place
                vars(module)["_old_forward"] = MethodType(Unfolded.forward, module)


class Unfolded(OPTDecoderLayer):  # type: ignore[no-untyped-call]
    """A block whose MLP reads [batch, position, d_model]; for evaluation, without dropout."""

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, **arguments: Any
    ) -> Tensor:
        """Return the block's output; all arguments but `use_cache` are those of the attention."""
        arguments.pop("use_cache", None)
        attended, _ = self.self_attn(
            hidden_states=self._before(self.self_attn_layer_norm, hidden_states), **arguments
        )
        middle = self._after(self.self_attn_layer_norm, hidden_states + attended)
        read = self._before(self.final_layer_norm, middle)
        written = self.fc2(self.activation_fn(self.fc1(read)))
        return self._after(self.final_layer_norm, middle + written)

    def _before(self, norm: nn.Module, x: Tensor) -> Tensor:
        return cast(Tensor, norm(x)) if self.do_layer_norm_before else x

    def _after(self, norm: nn.Module, x: Tensor) -> Tensor:
        return x if self.do_layer_norm_before else cast(Tensor, norm(x))
