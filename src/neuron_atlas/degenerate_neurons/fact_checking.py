"""Scores that should be higher for true claims: of neurons, and of the answers' probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int
from scipy.special import logsumexp

from neuron_atlas.attributions import gradients
from neuron_atlas.attributions.questions import Question, question_of
from neuron_atlas.degenerate_neurons import claims
from neuron_atlas.degenerate_neurons.claims import NEURONS
from neuron_atlas.degenerate_neurons.settings import Checking, DegenerateNeurons
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.neurons import knowledge_sets
from neuron_atlas.neurons.relation_sets import RelationSets
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.scoring.log_probability import log_probabilities
from neuron_atlas.scoring.trees import query

METHOD = "attribution"
PROMPT = ["fact", "template"]
PART = 16  # claims scored at a time
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
        claims: `claims.make_claims` with one column per detector.
        meta: Subjects and training facts, and the relations without degenerate neurons.
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
    key: str,
) -> Checked:
    """Make claims outside the training subjects, and score them with every detector.

    Args:
        lm: The model.
        recalled: The recall table, all facts.
        sets: Found sets, as `search.find_sets` gives them.
        scores: Stored attributions; only their subjects can be training subjects.
        source: Activation sizes, which random neurons match.
        how: Splits and claims, and how neurons are collected and attributed.
        seed: The seed.
        key: Names the finished parts on disk; see `checkpoints.key`.
    """
    subjects = recalled.drop_duplicates("fact").set_index("fact")["subject"]
    attributed = scores.drop_duplicates("fact").set_index("fact")["relation"]
    splits = claims.split_subjects(subjects, subjects[attributed.index], how.claims, seed=seed)
    train = attributed[subjects[attributed.index].map(splits).to_numpy() == "train"]
    degenerate, collection = degenerate_members(sets), how.checking
    found = detectors(degenerate, scores, train.to_dict(), source, collection, seed=seed)
    made = claims.make_claims(recalled, splits, how.claims, seed=seed)
    made = score_by_probability(lm, made, recalled)
    scored = checkpoints.in_parts(
        made,
        lambda part: score_by_neurons(lm, part, recalled, found, collection),
        key=key,
        size=PART,
    )
    relations = sorted(made["relation"].unique())
    meta = {
        "n_training_facts": len(train),
        "n_subjects": {
            split: list(splits.values()).count(split) for split in get_args(claims.ClaimSplit)
        },
        "relations": relations,
        "relations_without": [r for r in relations if r not in found["degenerate"]],
    }
    return Checked(scored, meta)


def degenerate_members(sets: pd.DataFrame) -> Sets:
    """Return the neurons of each fact's degenerate sets, of all sizes."""
    own = sets[sets["degenerate"] & ~sets["random"]]
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
    knowledge = knowledge_sets.select(scores, method=METHOD, tau=how.tau, share=how.refine)
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


def score_by_neurons(
    lm: LanguageModel,
    made: pd.DataFrame,
    recalled: pd.DataFrame,
    found: Mapping[str, Sets],
    how: Checking,
) -> pd.DataFrame:
    """Add the mean attribution of each detector's neurons for the claimed answer.

    Attributions are integrated gradients from a baseline of 0, in the unit of `target`. A relation
    for which a detector has no neurons gets 0 for all its claims, no evidence either way, so that
    all detectors are compared on the same claims.
    """
    questions = _questions(lm, made, recalled)
    scores = np.zeros((len(made), len(NEURONS)))
    relations = made["relation"].tolist()
    for batch in gradients.integrated_gradients(
        lm, questions, baseline="zero", rule=how.quadrature, target=how.target, check=False
    ):
        for place, values in zip(batch.places.tolist(), batch.scores.flatten(1), strict=True):
            scores[place] = _means(values.double().numpy(), relations[place], found)
    return made.assign(**dict(zip(NEURONS, scores.T, strict=True)))


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
    values = dict(
        zip(prompts.itertuples(index=False, name=None), log_probabilities(lm, asked), strict=True)
    )
    own, odds = [], []
    for fact, template, place in made[[*PROMPT, "place"]].itertuples(index=False, name=None):
        log_p = values[fact, template][0]
        own.append(float(log_p[place]))
        odds.append(float(log_p[place] - logsumexp(np.delete(log_p, place))))
    return made.assign(claim_probability=own, candidate_log_odds=odds, always_true=1.0)


def _prompts(made: pd.DataFrame, recalled: pd.DataFrame) -> pd.DataFrame:
    """Return the recall table's row of each claim."""
    rows = recalled.set_index(PROMPT)
    return rows.loc[pd.MultiIndex.from_frame(made[PROMPT])].reset_index()
