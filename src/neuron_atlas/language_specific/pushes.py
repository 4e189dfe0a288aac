"""How far edits move the residual stream over a whole text, and the gains for equal pushes.

The push on a text is the root mean square, over its tokens, of the push at one token: see
`arms.push`, which does the same for the answer position alone.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int
from torch import Tensor

from neuron_atlas.arms.gains import wanted_gains
from neuron_atlas.arms.push import CleanValues


@dataclass(frozen=True)
class TextValues(CleanValues):
    """Neuron values at all tokens of some texts, without intervention, in float32.

    Attributes:
        owner: Of each token the place of its text; each text has a token.
    """

    owner: Int[np.ndarray, " prompt"]

    @property
    def n(self) -> int:
        """Number of texts."""
        return int(self.owner.max()) + 1

    def pushes(
        self,
        moves: Float[Tensor, "arm layer token d_model"],
        gains: Float[np.ndarray, "arm text"],
    ) -> Float64[np.ndarray, "arm text"]:
        """Return how far each arm, with its gain, moves the residual stream on each text."""
        at_tokens = super().pushes(moves, gains[:, self.owner])
        belongs = self.owner[:, None] == np.arange(self.n)
        return np.asarray(np.sqrt(np.square(at_tokens) @ (belongs / belongs.sum(0))))

    def gains(
        self,
        moves: Float[Tensor, "arm layer token d_model"],
        wanted: Float[np.ndarray, "arm text"],
    ) -> Float64[np.ndarray, "arm text"]:
        """Return the gain with which each arm's push on each text is the wanted one."""
        return wanted_gains(lambda gain: self.pushes(moves, gain), wanted)
