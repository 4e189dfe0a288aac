"""Find one language's neurons that stand in for one another, and check facts with them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from neuron_atlas.attributions import quadrature
from neuron_atlas.attributions.targets import Target
from neuron_atlas.degenerate_neurons import claims, fact_checking, search
from neuron_atlas.degenerate_neurons.claims import CLAIMS, META
from neuron_atlas.degenerate_neurons.degeneracy import PAIRS, SETS, DegeneracyRule
from neuron_atlas.degenerate_neurons.other_facts import Use
from neuron_atlas.degenerate_neurons.suppression import Bench
from neuron_atlas.model import language_model
from neuron_atlas.neurons import knowledge_sets, relation_sets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.command import run
from neuron_atlas.pipeline.params import Section, load

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Nats = Annotated[float, Field(gt=0)]


class Params(Section):
    """`degenerate_neurons` section of params.yaml."""

    candidates: Annotated[int, Field(ge=2)]  # strongest neurons of a fact, combined in pairs
    n_draws: Count  # matched random families beside each fact's
    small: Nats  # largest drop of a degenerate set's proper subsets
    negligible: Nats  # interactions below this do not matter
    null_quantile: Share  # of random sets' surplus, to be exceeded
    max_size: Annotated[int, Field(ge=2)]  # neurons of the largest sets
    beam: Count  # sets of each size that are grown
    use_facts: Count  # other facts on which a pair's neurons are tried
    use_draws: Count  # matched random neurons beside each of them
    published_low: Share  # relative drop of proper subsets, as published
    published_high: Share  # relative drop of the whole set, as published
    claim_facts: Count  # facts of a relation about which claims are made
    negatives: Count  # false claims beside a true one
    train: Annotated[float, Field(gt=0, le=1)]  # of the attributed subjects, to collect neurons
    validation: Share  # of all other subjects; the rest is the test
    rule_of_claims: quadrature.RuleName  # of the claims' attributions, from a zero baseline
    nodes: Count  # evaluations of each
    target: Target  # what a claim's attributions explain
    share: Share  # of the maximum count that a relation's neuron must exceed
    tau: Annotated[float, Field(ge=0, lt=1)]  # knowledge neurons, as in selection
    refine: Annotated[float, Field(gt=0, le=1)]  # of the paraphrases
    claim_draws: Count  # matched random sets of the degenerate neurons
    seed: int

    def rule(self) -> DegeneracyRule:
        """What makes a set degenerate."""
        return DegeneracyRule(
            self.small,
            self.negligible,
            self.null_quantile,
            self.published_low,
            self.published_high,
        )

    def search(self) -> search.Search:
        """How far degenerate sets are searched."""
        use = Use(self.use_facts, self.use_draws, self.seed)
        return search.Search(
            self.candidates, self.n_draws, self.max_size, self.beam, use, self.seed
        )

    def plan(self) -> claims.ClaimPlan:
        """Which claims are made."""
        return claims.ClaimPlan(
            self.claim_facts, self.negatives, self.train, self.validation, self.seed
        )

    def collection(self) -> fact_checking.Collection:
        """How the detectors' neurons are collected and attributed."""
        rule = quadrature.RULES[self.rule_of_claims](self.nodes)
        return fact_checking.Collection(
            self.share, self.tau, self.refine, self.claim_draws, rule, self.target, self.seed
        )


def main(
    model_folder: Path, recall_file: Path, scores: Path, sizes: Path, out: Path, /, *, language: str
) -> None:
    """Write the pairs, the found sets, the claims with each detector's score, and `meta.json`."""
    params = load("degenerate_neurons", Params)
    stored, source = knowledge_sets.read_scores(scores), relation_sets.read_sets(sizes)
    recalled, lm = store.read_table(recall_file), language_model.load(model_folder)
    inputs = [Path(__file__), model_folder, recall_file]
    inputs += [path for folder in (scores, sizes) for path in sorted(folder.iterdir())]
    keys = [
        checkpoints.key(f"{name} {language}", inputs, params.model_dump())
        for name in ("pairs", "claims")
    ]
    found = search.find(
        Bench(lm, recalled[recalled["fact"].isin(stored["fact"])]),
        recalled,
        knowledge_sets.grade_neurons(stored, method=fact_checking.METHOD),
        source,
        rule=params.rule(),
        search=params.search(),
        key=keys[0],
    )
    checked = fact_checking.check(
        lm,
        recalled,
        found.sets,
        stored,
        source,
        plan=params.plan(),
        how=params.collection(),
        key=keys[1],
    )
    with store.whole(out) as folder:
        store.write_table(folder / PAIRS, found.pairs)
        store.write_table(folder / SETS, found.sets)
        store.write_table(folder / CLAIMS, checked.claims)
        store.write_json(folder / META, {**params.model_dump(), **checked.meta})
    for key in keys:
        checkpoints.done(key)


if __name__ == "__main__":
    run(main)
