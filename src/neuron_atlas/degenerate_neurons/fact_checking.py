"""Scores that should be higher for true claims: of neurons, and of the answers' probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Int
from scipy.special import logsumexp

from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.questions import Question, question_of
from neuron_atlas.degenerate_neurons import claims, truth_probe
from neuron_atlas.degenerate_neurons.claims import NEURONS, PROBE
from neuron_atlas.degenerate_neurons.degeneracy import OWN
from neuron_atlas.degenerate_neurons.search import METHOD
from neuron_atlas.degenerate_neurons.settings import Checking, DegenerateNeurons
from neuron_atlas.degenerate_neurons.truth_probe import TruthProbe
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import store
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import query

PROMPT = ["fact", "template"]
Sets = Mapping[str, Int[np.ndarray, "_"]]  # by fact or relation


def collect(sets: Sets, relations: Mapping[str, str], *, share: float) -> Sets:
    """Return each relation's neurons: those in many enough of its facts' sets.

    Chen et al. 2024 (arXiv 2308.13198, section 5) keep the neurons whose count exceeds `share` of
    the maximum count, that of the relation's most frequent neuron.

    Args:
        sets: Each training fact's neurons.
        relations: Each training fact's relation.
        share: Share of the maximum count.

    Returns:
        Rising indices by relation; a relation none of whose facts has neurons is missing.
    """
    found = {}
    for relation in sorted(set(relations.values())):
        own = [sets[f] for f, r in sorted(relations.items()) if r == relation and f in sets]
        counts = np.unique(np.concatenate([np.empty(0, np.int64), *own]), return_counts=True)
        if len(counts[0]):
            found[relation] = counts[0][counts[1] > share * counts[1].max()]
    return found


@dataclass(frozen=True)
class Checked:
    """Claims with every detector's score, and what the detectors were made from.

    Attributes:
        claims: `claims.make_claims` of validation and test, with one column per detector.
        meta: Subjects, training facts and claims, the probe, and the relations without degenerate
            neurons.
    """

    claims: pd.DataFrame
    meta: dict[str, Any]


def check_facts(
    lm: LanguageModel,
    recalled: pd.DataFrame,
    sets: pd.DataFrame,
    scores: pd.DataFrame,
    source: RelationSets,
    how: DegenerateNeurons,
    *,
    seed: int,
) -> Checked:
    """Make claims, collect neurons and train the probe on some, and score the others.

    Args:
        lm: The model.
        recalled: The recall table, all facts.
        sets: Found sets, as `search.find_sets` gives them.
        scores: Stored attributions; neurons are collected from their facts that train.
        source: Activation sizes, which random neurons match.
        how: Splits and claims, and how neurons are collected and attributed.
        seed: The seed.
    """
    facts = recalled.drop_duplicates("fact")
    attributed = facts[facts["fact"].isin(scores["fact"])]
    splits = claims.split(recalled, attributed["fact"], how.claims, seed=seed)
    train = {
        row["fact"]: row["relation"]
        for row in store.records(attributed[["fact", "relation", "subject", "objects"]])
        if splits.of_fact(row) == "train"
    }
    found = detectors(degenerate_members(sets), scores, train, source, how.checking, seed=seed)
    made = claims.make_claims(recalled, splits, how.claims, seed=seed)
    scored, probe = score(lm, made, recalled, found, how.checking)
    relations = sorted(scored["relation"].unique())
    meta = {
        "n_training_facts": len(train),
        "n_subjects": {name: list(splits.subjects.values()).count(name) for name in claims.SPLITS},
        "relations": relations,
        "relations_without": [r for r in relations if r not in found["degenerate"]],
        "probe": {
            "n_claims": int((made["split"] == "train").sum()),
            "n_neurons": probe.n_neurons if probe else 0,
            "strength": probe.strength if probe else None,
        },
    }
    return Checked(scored, meta)


def score(
    lm: LanguageModel,
    made: pd.DataFrame,
    recalled: pd.DataFrame,
    found: Mapping[str, Sets],
    how: Checking,
) -> tuple[pd.DataFrame, TruthProbe | None]:
    """Return the claims that validate and test, with every detector's score, and the probe.

    `probe` is the probability that a claim is true; where no probe could be trained it is the share
    of true claims that train, or a half if none do.
    """
    by_neuron = contributions(lm, made, recalled, how)
    split, label = made["split"].to_numpy(str), made["label"].to_numpy(np.bool_)
    trains, validates = split == "train", split == "validation"
    probe = truth_probe.fit(
        by_neuron[trains], label[trains], by_neuron[validates], label[validates]
    )
    kept = made[~trains].reset_index(drop=True)
    scored = score_by_neurons(kept, by_neuron[~trains], found)
    share = float(label[trains].mean()) if trains.any() else 0.5
    judged = probe.probability(by_neuron[~trains]) if probe else np.full(len(kept), share)
    return score_by_probability(lm, scored.assign(**{PROBE: judged}), recalled), probe


def degenerate_members(sets: pd.DataFrame) -> Sets:
    """Return the neurons of each fact's degenerate sets, of all sizes."""
    own = sets[sets["degenerate"] & (sets["kind"] == OWN)]
    return {
        str(fact): np.array(sorted({int(n) for s in rows["members"] for n in s}), dtype=np.int64)
        for fact, rows in own.groupby("fact")
    }


def detectors(
    degenerate: Sets,
    scores: pd.DataFrame,
    facts: Mapping[str, str],
    source: RelationSets,
    how: Checking,
    *,
    seed: int,
) -> dict[str, Sets]:
    """Collect each detector's neurons, by relation, from training facts alone.

    Args:
        degenerate: By fact, the neurons of its degenerate sets.
        scores: Stored attributions.
        facts: Each training fact's relation.
        source: Activation sizes, which the random neurons match.
        how: Shares and draws.
        seed: The seed.

    Returns:
        Neurons by detector and relation. Random neurons match the degenerate ones in layer and
        size; all their draws are in one array.
    """
    select = partial(knowledge_sets.select, method=METHOD, tau=how.tau, share=how.refine)
    knowledge = select(scores) if len(scores) else {}
    found = {
        "degenerate": collect(degenerate, facts, share=how.share),
        "knowledge": collect(knowledge, facts, share=how.share),
    }
    random = {}
    for relation, chosen in found["degenerate"].items():
        names = ("degenerate_neurons", "detectors", relation)
        drawn = source.matched(chosen, names=names, seed=seed, n_draws=how.n_draws)
        random[relation] = drawn.ravel()
    return {**found, "random": random}


def contributions(
    lm: LanguageModel, made: pd.DataFrame, recalled: pd.DataFrame, how: Checking
) -> Float32[np.ndarray, "claim neuron"]:
    """Return the attribution of every neuron for each claimed answer.

    Attributions are integrated gradients from a baseline of 0, in the unit of `target`. With the
    rule `radau` and one node that is value times gradient, from one backward pass.
    """
    values = np.zeros((len(made), lm.n_layers * lm.n_neurons), dtype=np.float32)
    for batch in gradients.integrated_gradients(
        lm,
        _questions(lm, made, recalled),
        baseline="zero",
        rule=how.quadrature,
        target=how.target,
        check=False,
    ):
        values[batch.places] = batch.scores.flatten(1).numpy()
    return values


def score_by_neurons(
    made: pd.DataFrame,
    by_neuron: Float[np.ndarray, "claim neuron"],
    found: Mapping[str, Sets],
) -> pd.DataFrame:
    """Add the mean contribution of each detector's neurons to the claimed answer.

    A relation for which a detector has no neurons gets 0 for all its claims, no evidence either
    way.
    """
    relations = made["relation"].tolist()
    scores = [
        _means(values.astype(np.float64), relation, found)
        for values, relation in zip(by_neuron, relations, strict=True)
    ]
    table = np.array(scores).reshape(len(made), len(NEURONS))
    return made.assign(**dict(zip(NEURONS, table.T, strict=True)))


def _means(
    values: Float[np.ndarray, " neuron"], relation: str, found: Mapping[str, Sets]
) -> Float64[np.ndarray, " detector"]:
    sets = [found[name].get(relation, np.empty(0, np.int64)) for name in NEURONS]
    return np.array([values[chosen].mean() if len(chosen) else 0.0 for chosen in sets])


def _questions(lm: LanguageModel, made: pd.DataFrame, recalled: pd.DataFrame) -> Sequence[Question]:
    tokens, rows = CandidateTokens(lm), _prompts(made, recalled)
    asked = zip(store.records(rows), made["place"].tolist(), strict=True)
    return [question_of(tokens, row, answer=place) for row, place in asked]


def score_by_probability(
    lm: LanguageModel, made: pd.DataFrame, recalled: pd.DataFrame
) -> pd.DataFrame:
    """Add the detectors that need no neurons, from the log-probabilities of all candidates.

    The recall table has them only as far as ranks need them, so the claims' prompts are asked
    again. `claim_probability` is log p of the claimed answer, `candidate_log_odds` that minus
    the log of the other candidates' summed probabilities, nats; `always_true` is 1.
    """
    prompts = made[PROMPT].drop_duplicates().reset_index(drop=True)
    tokens, rows = CandidateTokens(lm), store.records(_prompts(prompts, recalled))
    asked = [
        query(lm, r["prompt"], tokens.answers(r["prompt"], r["separator"], r["candidate_labels"]))
        for r in rows
    ]
    found = log_probabilities(lm, asked) if asked else []
    values = dict(zip(prompts.itertuples(index=False, name=None), found, strict=True))
    own, odds = [], []
    for fact, template, place in made[[*PROMPT, "place"]].itertuples(index=False, name=None):
        log_p = values[fact, template][0]
        own.append(float(log_p[place]))
        odds.append(float(log_p[place] - logsumexp(np.delete(log_p, place))))
    return made.assign(
        claim_probability=np.array(own, dtype=np.float64),
        candidate_log_odds=np.array(odds, dtype=np.float64),
        always_true=1.0,
    )


def _prompts(made: pd.DataFrame, recalled: pd.DataFrame) -> pd.DataFrame:
    """Return the recall table's row of each claim."""
    if made.empty:
        return recalled.iloc[:0]
    rows = recalled.set_index(PROMPT)
    return rows.loc[pd.MultiIndex.from_frame(made[PROMPT])].reset_index()
