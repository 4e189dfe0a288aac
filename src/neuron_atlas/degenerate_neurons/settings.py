"""The section `degenerate_neurons` of params.yaml: one part for each step of the stage."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.attributions.quadrature import RULES, Quadrature, RuleName
from neuron_atlas.attributions.targets import Target
from neuron_atlas.degenerate_neurons.claims import ClaimPlan
from neuron_atlas.degenerate_neurons.degeneracy import DegeneracyRule
from neuron_atlas.pipeline.params import Count, Section, Share, ShareOrAll


class Search(Section):
    """How far degenerate sets are searched."""

    candidates: Annotated[int, Field(ge=2)]
    """Strongest neurons of a fact, which are combined in pairs."""
    n_draws: Count
    """Matched random families beside each fact's own."""
    max_size: Annotated[int, Field(ge=2)]
    """Neurons of the largest sets tried."""
    beam: Count
    """Sets of each size that are grown by one more neuron."""


class Use(Section):
    """How a pair's neurons are tried on other facts."""

    n_facts: Count
    """Other facts on which a pair's neurons are tried."""
    n_draws: Count
    """Matched random neurons beside each of them."""


class Checking(Section):
    """How the detectors' neurons are collected from training facts, and how they score claims."""

    share: Share
    """Share of the maximum count that a relation's neuron must exceed to be collected."""
    tau: Annotated[float, Field(ge=0, lt=1)]
    """Share of a prompt's largest attribution that a knowledge neuron must exceed, as
    `selection.tau`."""
    refine: ShareOrAll
    """Share of the paraphrases in which it must do so, as `selection.share`."""
    n_draws: Count
    """Matched random sets of the degenerate neurons; their detector's score is averaged."""
    rule: RuleName
    """As `attributions.rule`, for the claims' attributions from a zero baseline."""
    nodes: Count
    """Evaluations of each of these attributions."""
    target: Target
    """What a claim's attributions explain, as `attributions.target`."""

    @property
    def quadrature(self) -> Quadrature:
        """Where a claim's gradient is evaluated."""
        return RULES[self.rule](self.nodes)


class DegenerateNeurons(Section):
    """How degenerate neurons are searched, and how facts are checked with them."""

    search: Search
    rule: DegeneracyRule
    use: Use
    claims: ClaimPlan
    checking: Checking
    seed: int
    """Of the draws, of the halves of the facts, of the splits and of the claims."""
