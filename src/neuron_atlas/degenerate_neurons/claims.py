"""True and false claims about facts, known to the model or not, split by subject."""

import math
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal

import pandas as pd

from neuron_atlas.degenerate_neurons.settings import ClaimPlan
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream

CLAIMS, META = "claims.parquet", "meta.json"
NEURONS = (
    "degenerate",
    "knowledge",
    "random",
)  # detectors by neurons; others: by probability
DETECTORS = (*NEURONS, "claim_probability", "candidate_log_odds", "always_true")
ClaimSplit = Literal["train", "validation", "test"]
COLUMNS = ["fact", "relation", "subject", "split", "template", "place", "claimed", "label"]


def split_subjects(
    subjects: Iterable[str], attributed: Iterable[str], plan: ClaimPlan, *, seed: int
) -> dict[str, ClaimSplit]:
    """Split the subjects by a hash of their names, so that no subject is in two splits.

    Neurons are collected from facts that have attributions, which are few and costly; claims can be
    made about all facts. So `train` holds most of the attributed subjects and no others; all other
    subjects are divided between `validation` and `test`.
    """
    known = set(attributed)
    return {
        subject: "train"
        if subject in known and _uniform(seed, "train", subject) < plan.train
        else "validation"
        if _uniform(seed, "validation", subject) < plan.validation
        else "test"
        for subject in sorted(set(subjects))
    }


def make_claims(
    recalled: pd.DataFrame, splits: Mapping[str, ClaimSplit], plan: ClaimPlan, *, seed: int
) -> pd.DataFrame:
    """Make one true claim and some false ones about each fact outside `train`.

    The model need not know the facts: if it knew them all, the right answer would beat all others,
    and the candidates' probabilities alone would tell every claim. Each fact is asked in its first
    template. False answers are candidates of the relation that are not correct objects of the fact
    and do not share a name with one; a fact without such a candidate is left out. The number of
    facts per relation is divided between validation and test by `plan.validation`, so that a few
    facts per relation are enough for both.

    Args:
        recalled: The recall table, all facts.
        splits: Each subject's split.
        plan: How many claims to make.
        seed: The seed.

    Returns:
        `fact`, `relation`, `subject`, `split`, `template`, `place` (of the answer among the
        candidates), `claimed` (its id), `label` (whether it is true), by relation and fact.
    """
    first = recalled.sort_values(["relation", "fact", "template"]).drop_duplicates("fact")
    open_facts = first[first["subject"].map(splits) != "train"]
    order = open_facts["fact"].map(lambda fact: _uniform(seed, "fact", str(fact)))
    chosen = open_facts.assign(order=order, split=open_facts["subject"].map(splits))
    chosen = chosen.sort_values(["relation", "order", "fact"])
    chosen = chosen[
        chosen.groupby(["relation", "split"]).cumcount() < _max_facts(chosen["split"], plan)
    ]
    rows = [
        claim
        for row in store.records(chosen)
        for claim in _of_fact(row, splits, n_negatives=plan.n_negatives, seed=seed)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _max_facts(split: pd.Series, plan: ClaimPlan) -> pd.Series:
    """Return how many facts per relation each row's split may have."""
    validation = math.ceil(plan.n_facts * plan.validation)
    room: pd.Series = split.map({"validation": validation, "test": plan.n_facts - validation})
    return room


def _of_fact(
    row: Mapping[str, Any], splits: Mapping[str, ClaimSplit], *, n_negatives: int, seed: int
) -> list[tuple[Any, ...]]:
    rng = stream(seed, "degenerate_neurons", "claims", row["fact"])
    right, wrong = _right_and_wrong(row)
    if not right or not wrong:
        return []
    places = [int(rng.choice(right)), *rng.permutation(wrong)[:n_negatives].tolist()]
    info = (row["fact"], row["relation"], row["subject"], splits[row["subject"]], row["template"])
    return [(*info, p, row["candidates"][p], p == places[0]) for p in places]


def _right_and_wrong(row: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Return the places of the right candidates and of those that are surely wrong."""
    right = [i for i, c in enumerate(row["candidates"]) if c in set(row["objects"])]
    named = {label.strip().casefold() for label in row["object_labels"]}
    named |= {row["candidate_labels"][i].strip().casefold() for i in right}
    wrong = [
        i
        for i, label in enumerate(row["candidate_labels"])
        if i not in right and label.strip().casefold() not in named
    ]
    return right, wrong


def _uniform(seed: int, purpose: str, name: str) -> float:
    """Return a number in [0, 1) that depends on the arguments alone."""
    digest = sha256(f"{seed}:{purpose}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
