"""The section `degenerate_neurons` of params.yaml: one part for each step of the stage."""

from typing import Annotated

from pydantic import Field

from neuron_atlas.attributions.quadrature import RULES, Quadrature, RuleName
from neuron_atlas.attributions.settings import Target
from neuron_atlas.pipeline.params import Count, Positive, Section, Share, ShareOrAll


class Search(Section):
    """How far the search for degenerate sets goes."""

    candidates: Annotated[int, Field(ge=2)]
    """Strongest neurons per fact, which are combined in pairs."""
    pool: Count
    """Strongest neurons of each fact of another relation, among which a fact's neurons find their
    controls."""
    tried: Count
    """Neurons of this pool whose drop is measured for each of the fact's own, on its prompt; the
    one of the nearest drop is the control."""
    random: Annotated[int, Field(ge=2)]
    """Strongest neurons per fact to which random ones are matched in layer and size: the weak null,
    which is shown beside the other."""
    n_draws: Count
    """Groups of these random neurons for each fact."""
    max_size: Annotated[int, Field(ge=2)]
    """Neurons of the largest sets tried."""
    beam: Count
    """Sets of each size that are extended by one more neuron."""


class DegeneracyRule(Section):
    """What makes a set of neurons degenerate."""

    small: Positive
    """Largest drop of log-probability by any proper subset, nats; 0.22 nats are 20 %."""
    negligible: Positive
    """Smallest surplus that counts, nats of log-odds, whatever the null."""
    null_quantile: Share
    """Quantile of the controls' surplus, of either sign, that a set's surplus must exceed."""
    shots: Annotated[int, Field(ge=0)]
    """Solved facts before the prompt of the second confirmation; 0 leaves that out, and with it
    the verdict."""
    published_low: Share
    """The published rule (Chen et al. 2024, equation 9): largest relative drop of any proper
    subset."""
    published_high: Share
    """The published rule (equation 10): relative drop that the whole set must exceed."""


class OtherFacts(Section):
    """How each pair's neurons are tested on other facts."""

    n_facts: Count
    """Other facts on which each pair's neurons are tested."""
    n_draws: Count
    """Matched random neurons for each of them."""


class ClaimPlan(Section):
    """Which claims are made."""

    n_train: Count
    """Largest number of facts per relation whose claims train the probe."""
    n_validation: Count
    """The same for regularisation, thresholds and weights."""
    n_test: Count
    """The same for the test."""
    n_negatives: Count
    """Largest number of false claims per true one."""
    validation: Share
    """Share of the subjects that are not held out whose claims validate; the others, and all with
    attributions, train. Held-out subjects test."""


class Checking(Section):
    """How the detectors' neurons are collected from training facts, and how they score claims."""

    share: Share
    """Share of the relation's maximum count that a neuron must exceed to be collected."""
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
    """Evaluations of each of these attributions; `radau` with 1 is value times gradient."""
    target: Target
    """What a claim's attributions explain, as `attributions.target`."""

    @property
    def quadrature(self) -> Quadrature:
        """Where a claim's gradient is evaluated."""
        return RULES[self.rule](self.nodes)


class DegenerateNeurons(Section):
    """How degenerate neurons are found, and how facts are checked with them."""

    search: Search
    rule: DegeneracyRule
    use: OtherFacts
    claims: ClaimPlan
    checking: Checking
