"""How much is run, and with which of the papers' thresholds."""

from dataclasses import dataclass, field

from neuron_atlas.attributions.settings import AttributionPlan
from neuron_atlas.degenerate_neurons.settings import DegeneracyRule

OURS = AttributionPlan(
    baseline="occlusion",
    rule="radau",
    steps=3,
    tolerance=0.01,
    screen=0.002,
    zero_rule="graded",
    zero_steps=1,
    target="candidates",
    max_facts=None,
    keep=100,
    floor=0.1,
)


@dataclass(frozen=True)
class Plan:
    """Sizes and thresholds.

    Attributes:
        relations: Relations at most: those with most facts known in both languages.
        facts: Facts per relation at most.
        steps: Of the attributions of Chen et al., who use 10 to 20.
        zero_steps: Of those of Dai et al., who use 20.
        taus: Share of the largest attribution, by language: Chen et al. use 0.3 in English and 0.2
            in Chinese.
        dai_tau: The same of Dai et al.
        dai_share: Share of a fact's paraphrases in which a neuron must pass (Dai et al.).
        pool: Strongest neurons of a fact's set that are combined in pairs.
        low: Largest relative drop of a degenerate pair's members alone (equation 9).
        high: Relative drop that the pair must exceed (equation 10).
        collected: Share of the largest count above which a neuron checks a relation's facts.
        threshold: Mean attribution from which a claim is called true.
        claims: Other facts per relation about which a true and a false claim are made.
        draws: Random sets of each kind of control.
        others: Other facts' sets, at most.
        negligible: Smallest interaction that counts, nats of log-odds (ours).
        tolerance: As in `log_probability.ask`.
        ours: Our own attributions.
        seed: Of all draws.
    """

    relations: int = 8
    facts: int = 2
    steps: int = 10
    zero_steps: int = 20
    taus: tuple[float, float] = (0.3, 0.2)
    dai_tau: float = 0.2
    dai_share: float = 0.7
    pool: int = 20
    low: float = 0.2
    high: float = 0.25
    collected: float = 0.7
    threshold: float = 1e-6
    claims: int = 2
    draws: int = 3
    others: int = 3
    negligible: float = 0.05
    tolerance: float = 0.001
    ours: AttributionPlan = field(default=OURS)
    seed: int = 0

    @property
    def rule(self) -> DegeneracyRule:
        """The two limits as `degeneracy.published` takes them; the library's own are not used."""
        return DegeneracyRule.model_construct(published_low=self.low, published_high=self.high)
