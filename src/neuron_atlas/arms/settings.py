"""What a user can choose about the arms: the section `interference`, which five stages read."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.pipeline.params import Section

Value = Literal["zero", "mean", "other_mean", "resampled"]
Positions = Literal["answer", "all"]
Share = Annotated[float, Field(gt=0, lt=1)]
Two = Annotated[int, Field(ge=2)]
One = Annotated[int, Field(ge=1)]


class Interference(Section):
    """How neurons are switched off, on which facts, and with how many controls."""

    value: Value
    """What neurons are set to: `zero`, their `mean`, `other_mean`, the mean over the other
    relations, or `resampled`, their values on one prompt of another relation."""

    positions: Positions
    """Where they are set: at the `answer` position or at `all` positions."""

    max_facts: Two
    """Held-out facts per relation and language, known or not, whose answers selected no neurons."""

    max_seen: Annotated[int, Field(ge=0)]
    """The same, of facts whose answers did; they carry no verdict."""

    n_draws: Two
    """Random sets of equal push for each set on its own relation."""

    n_across_draws: Two
    """Random sets of equal push for each set on another relation, in another language, and after
    demonstrations; and those matched in activation, and random directions, on its own relation."""

    n_dose_draws: Two
    """Random orders, and matched random sets, per dose; and random sets per push."""

    doses: Annotated[list[Share], Field(min_length=1)]
    """Shares of each set that are switched off."""

    pushes: list[Annotated[float, Field(gt=0)]]
    """Multiples of the push of a set with which it and its random sets are measured as well."""

    n_others: Two
    """Sets of other relations, scaled to equal push, in transfer and sufficiency."""

    @property
    def everywhere(self) -> bool:
        """Whether all positions of the prompt are edited."""
        return self.positions == "all"
