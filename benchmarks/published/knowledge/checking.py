"""Fact checking by degenerate neurons: the published rule beside detectors that need none."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.attributions import clean_pass
from neuron_atlas.attributions.questions import question_of
from neuron_atlas.degenerate_neurons.fact_checking import collect, score_by_probability
from neuron_atlas.facts import roles
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.pipeline import checkpoints, store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.scoring.candidates import CandidateTokens
from neuron_atlas.statistics import discrimination
from published.knowledge import contrasts, degenerate
from published.knowledge.attributing import published_method
from published.knowledge.contrasts import Step
from published.knowledge.facts import Asked
from published.knowledge.ground import Ground
from published.knowledge.plan import Plan
from published.knowledge.sets import AMIG, KeyOf

NEURONS = ("degenerate", "knowledge", "random")
SCORES = (*NEURONS, "claim_probability", "candidate_log_odds", "always_true")
STEPS = ("alone", "random", "knowledge", "claim_probability", "candidate_log_odds")
PART = 4  # claims scored at a time
Detectors = Mapping[str, Mapping[str, np.ndarray]]  # neurons by detector and relation


def claims(asked: Asked, plan: Plan) -> pd.DataFrame:
    """Make a true and a false claim about facts of the same relations and of other subjects.

    Chen et al. 2024 (section 5.3) hold a fifth of each relation's facts out and draw one wrong
    answer for each. Here the facts that find neurons are few, so all others can be claimed about;
    an answer that is right is never drawn as wrong.

    Returns:
        `fact`, `relation`, `template`, `place` (of the answer among the candidates), `label`.
    """
    table = asked.recalled[roles.selecting_templates(asked.recalled)]
    first = table.sort_values(["fact", "template"]).drop_duplicates("fact")
    used = set(table[table["fact"].isin(list(asked.relations))]["subject"])
    there = first["relation"].isin(set(asked.relations.values()))
    free = first[there & ~first["subject"].isin(used)]
    rows = []
    for relation, facts in free.groupby("relation", sort=True):
        order = stream(plan.seed, "published", "claims", str(relation)).permutation(len(facts))
        made = [_claims(row, plan.seed) for row in store.records(facts.iloc[order])]
        rows += [claim for pair in [m for m in made if m][: plan.claims] for claim in pair]
    return pd.DataFrame(rows, columns=["fact", "relation", "template", "place", "label"])


def _claims(row: Mapping[str, Any], seed: int) -> list[tuple[str, str, int, int, bool]]:
    """Return the true claim about a fact and the false one; none if no candidate is wrong."""
    labels = [label.casefold() for label in row["candidate_labels"]]
    right = [i for i, c in enumerate(row["candidates"]) if c in row["objects"]]
    wrong = [i for i, label in enumerate(labels) if label not in {labels[j] for j in right}]
    if not right or not wrong:
        return []
    drawn = stream(seed, "published", "wrong", row["fact"]).choice(wrong)
    info = (row["fact"], row["relation"], int(row["template"]))
    return [(*info, right[0], True), (*info, int(drawn), False)]


def detectors(ground: Ground, pairs: pd.DataFrame) -> Detectors:
    """Collect each relation's neurons from the facts that found them.

    `degenerate`: members of the pairs that the published rule finds, those whose count exceeds 0.7
    times the largest (section 5.3). `knowledge`: the same of whole sets. `random`: all draws of
    neurons alike in layers and sizes to the degenerate ones.
    """
    relations, share = dict(ground.asked.relations), ground.plan.collected
    found = collect(degenerate.members(pairs), relations, share=share)
    random = {
        relation: ground.matched(chosen, ground.size, "claims", relation).ravel()
        for relation, chosen in found.items()
    }
    knowledge = collect(ground.sets[AMIG], relations, share=share)
    return {"degenerate": found, "knowledge": knowledge, "random": random}


def measure(ground: Ground, pairs: pd.DataFrame, *, key: KeyOf) -> pd.DataFrame:
    """Score all claims: the mean attribution of each detector's neurons, and the probabilities.

    The attributions are those that found the neurons, for the claimed answer. NaN where the
    relation has no degenerate neurons: the published detector says nothing there.
    """
    made = claims(ground.asked, ground.plan)
    found = detectors(ground, pairs)
    made = score_by_probability(ground.lm, made, ground.asked.recalled)
    covered = made["relation"].isin(set(found["degenerate"]))

    def run(part: pd.DataFrame) -> pd.DataFrame:
        tables = [_by_neurons(ground, some, found) for _, some in part.groupby("relation")]
        return pd.concat(tables, ignore_index=True)

    if not covered.any():
        return made.assign(**dict.fromkeys(NEURONS, np.nan))
    name = f"claims {ground.asked.language}"
    scored = checkpoints.in_parts(made[covered], run, key=key(name), size=PART)
    return pd.concat([scored, made[~covered].assign(**dict.fromkeys(NEURONS, np.nan))])


def _by_neurons(ground: Ground, made: pd.DataFrame, found: Detectors) -> pd.DataFrame:
    """Score the claims of one relation; only layers that hold its detectors' neurons are run."""
    relation = made["relation"].iloc[0]
    chosen = {name: found[name].get(relation, np.empty(0, np.int64)) for name in NEURONS}
    every = np.concatenate(list(chosen.values()))
    lm = ground.lm
    layers = np.unique(every // lm.n_neurons).tolist()
    method = published_method(lm, start="tokens", steps=ground.plan.steps, layers=layers)
    scores = _scores(lm, method, made, ground.asked.recalled)
    return made.assign(
        **{
            name: scores[:, neurons].mean(1) if len(neurons) else np.nan
            for name, neurons in chosen.items()
        }
    )


def _scores(
    lm: LanguageModel, method: clean_pass.Method, made: pd.DataFrame, recalled: pd.DataFrame
) -> np.ndarray:
    """Return every neuron's attribution for each claimed answer, [claim, neuron]."""
    prompts = recalled.set_index(["fact", "template"])
    rows = prompts.loc[pd.MultiIndex.from_frame(made[["fact", "template"]])].reset_index()
    tokens, places = CandidateTokens(lm), made["place"].tolist()
    questions = [
        question_of(tokens, row, answer=place)
        for row, place in zip(store.records(rows), places, strict=True)
    ]
    found = np.zeros((len(made), lm.n_layers * lm.n_neurons))
    for part in clean_pass.run_methods(lm, questions, {"one": method}):
        found[part["one"].places] = part["one"].scores.flatten(1).double().numpy()
    return found


def figures(scored: pd.DataFrame, relations: Mapping[str, str], plan: Plan) -> dict[str, Any]:
    """Return the published measures of each detector, and how often it tells two claims apart.

    The published measures are of the covered claims; "true" is a mean attribution of at least
    `threshold`. Their code swaps precision and recall, which leaves F1 as it is.
    """
    covered = scored[scored["degenerate"].notna()]
    every = set(relations.values())
    return {
        "relations": len(every),
        "covered": int(covered["relation"].nunique()),
        "claims": len(covered),
        "detectors": {name: _measures(covered, name, plan) for name in SCORES},
        "steps": contrasts.listed(steps(covered)),
    }


def _measures(covered: pd.DataFrame, name: str, plan: Plan) -> dict[str, float | None]:
    """Return F1, precision and recall at the published threshold, where there is one, and AUROC."""
    some = covered[covered[name].notna()]
    found: dict[str, float | None] = dict.fromkeys(("precision", "recall", "f1", "auroc"))
    if not len(some):
        return found
    labels, scores = some["label"].to_numpy(bool), some[name].to_numpy(np.float64)
    found["auroc"] = discrimination.auroc(labels, scores)
    if name in (*NEURONS, "always_true"):
        called = scores >= plan.threshold
        right = int((called & labels).sum())
        found |= {
            "precision": right / int(called.sum()) if called.any() else None,
            "recall": right / int(labels.sum()),
            "f1": discrimination.f1(labels, scores, plan.threshold),
        }
    return found


def steps(covered: pd.DataFrame) -> list[Step]:
    """Return how often the true claim about a fact scores above the false one, ties counting half.

    Without a control beyond chance, a half; then beyond each other detector.
    """
    relations = dict(zip(covered["fact"], covered["relation"], strict=True))
    told = {name: _told(covered, name) for name in SCORES}
    values = {
        "alone": told["degenerate"] - 0.5,
        **{name: told["degenerate"] - told[name] for name in STEPS[1:]},
    }
    return [contrasts.step(name, values[name], relations) for name in STEPS]


def _told(covered: pd.DataFrame, name: str) -> pd.Series:
    """Return 1 for each fact whose true claim has the larger score, 0 for the smaller, 1/2 else."""
    by = covered.groupby(["fact", "label"])[name].first().unstack("label")
    by = by.reindex(columns=[False, True])
    difference = by[True] - by[False]
    told: pd.Series = (difference > 0) + (difference == 0) / 2
    return told.where(difference.notna())
