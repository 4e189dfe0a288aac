"""The section `attributions` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from neuron_atlas.attributions.quadrature import RULES, Quadrature, RuleName
from neuron_atlas.pipeline.params import Count, Section, Share

Baseline = Literal["zero", "mean", "occlusion"]
Target = Literal["probability", "log_probability", "candidates"]


class AttributionPlan(Section):
    """Which facts are attributed, how, and how much of the result is stored."""

    baseline: Baseline
    """Where a neuron's path starts: `occlusion` (each word of the query hidden in turn, one path
    per word), `zero`, or the `mean` over the prompts."""
    rule: RuleName
    """Where the path is evaluated: `midpoint`, `gauss_legendre`, `radau` (whose last node is the
    neuron's value, where all paths share one gradient), or `graded` (nodes that crowd at the
    baseline, for models that normalise the MLP's output)."""
    steps: Count | None
    """Evaluations per path; `null` takes the fewest that `attributions.tolerance` allows."""
    tolerance: Share
    """Largest median error of completeness if `steps` is `null`, on six prompts; a share of
    the target's change."""
    screen: Annotated[float, Field(ge=0, lt=1)]
    """Share of a prompt's change, to the first order, below which a path (one word, one layer) is
    not integrated but keeps its own gradient; up to four times it takes two evaluations at most. 0
    integrates all paths alike."""
    zero_rule: RuleName
    """The rule of the zero-baseline scores that the others are compared with."""
    zero_steps: Count
    """Evaluations of these scores."""
    target: Target
    """What is explained: `log_probability`, `probability`, or `candidates`, the log-probability if
    only the typed candidates were possible answers."""
    max_facts: Count | None
    """Known facts per relation and language; `null` takes all."""
    keep: Count
    """Smallest number of neurons stored per prompt and method."""
    floor: Share
    """Neurons above this share of the prompt's largest score are all stored."""

    @property
    def quadrature(self) -> Quadrature:
        """The rule with its steps.

        Raises:
            ValueError: the steps are not chosen yet.
        """
        if self.steps is None:
            raise ValueError("the plan has no steps; see `strongest.fewest_steps`")
        return RULES[self.rule](self.steps)

    @property
    def zero_quadrature(self) -> Quadrature:
        """The same for the zero baseline's scores."""
        return RULES[self.zero_rule](self.zero_steps)
