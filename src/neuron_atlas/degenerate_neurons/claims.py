"""True and false claims about facts, known to the model or not, split by subject and answer."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, get_args

import pandas as pd

from neuron_atlas.degenerate_neurons.settings import ClaimPlan
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream

CLAIMS, META = "claims.parquet", "meta.json"
NEURONS = (
    "degenerate",
    "knowledge",
    "random",
)  # detectors by chosen neurons; others: by all neurons, and by probability
PROBE = "probe"
DETECTORS = (*NEURONS, PROBE, "claim_probability", "candidate_log_odds", "always_true")
ClaimSplit = Literal["train", "validation", "test"]
SPLITS: tuple[ClaimSplit, ...] = get_args(ClaimSplit)
COLUMNS = {
    **{"fact": "object", "relation": "object", "subject": "object", "split": "object"},
    **{"template": "int64", "place": "int64", "claimed": "object", "label": "bool"},
}


@dataclass(frozen=True)
class Splits:
    """In which split each subject is, and each answer of a relation."""

    subjects: Mapping[str, ClaimSplit]
    answers: Mapping[tuple[str, str], ClaimSplit]

    def of_fact(self, row: Mapping[str, Any]) -> ClaimSplit | None:
        """Return the split of a fact's subject and of all its answers; None if they differ."""
        found = {self.subjects.get(row["subject"])}
        found |= {self.answers.get((row["relation"], thing)) for thing in row["objects"]}
        return found.pop() if len(found) == 1 else None


def split(
    recalled: pd.DataFrame, attributed: Iterable[str], plan: ClaimPlan, *, seed: int
) -> Splits:
    """Split subjects and answers, so that no subject and no answer of a relation is in two splits.

    Facts whose subject and answers are held out (`facts.answer_sides`) test. Of the others the
    attributed ones, from which neurons are collected, train, and with them all but a share of the
    other subjects, which validate; any other answer goes where most of its facts are.

    Args:
        recalled: The recall table, all facts.
        attributed: Facts with attributions.
        plan: The share that validates.
        seed: The seed.
    """
    facts = recalled.drop_duplicates("fact")
    kept = store.records(facts[facts["split"] == facts["answer_split"]])
    named = set(attributed)
    known = {row["subject"] for row in kept if row["fact"] in named}
    subjects = {row["subject"]: _of_subject(row, known, plan, seed=seed) for row in kept}
    votes: dict[tuple[str, str], Counter[ClaimSplit]] = {}
    for row in kept:
        weight = len(kept) if row["fact"] in named else 1
        for thing in row["objects"]:
            counts = votes.setdefault((row["relation"], thing), Counter())
            counts[subjects[row["subject"]]] += weight
    return Splits(subjects, {answer: _most(counts) for answer, counts in votes.items()})


def _of_subject(
    row: Mapping[str, Any], known: set[str], plan: ClaimPlan, *, seed: int
) -> ClaimSplit:
    if row["split"] == "held_out":
        return "test"
    validates = _uniform(seed, "validation", row["subject"]) < plan.validation
    return "validation" if validates and row["subject"] not in known else "train"


def _most(counts: Counter[ClaimSplit]) -> ClaimSplit:
    """Return the split with most facts; of equal ones the first but train, which has enough."""
    order: tuple[ClaimSplit, ...] = ("validation", "test", "train")
    return max(order, key=lambda name: counts[name])


def make_claims(
    recalled: pd.DataFrame, splits: Splits, plan: ClaimPlan, *, seed: int
) -> pd.DataFrame:
    """Make one true claim and some false ones about each fact that lies in one split.

    The model need not know the facts: if it knew them all, the right answer would beat all others,
    and the candidates' probabilities alone would tell every claim. Each fact is asked in its first
    template. False answers are candidates of the relation that are in the fact's split, are not
    correct objects of the fact and do not share a name with one; a fact without such a candidate is
    left out. No text is claimed in two splits, in whatever relations: test claims keep it before
    validation claims, and these before those that train.

    Args:
        recalled: The recall table, all facts.
        splits: From `split`.
        plan: How many claims to make.
        seed: The seed.

    Returns:
        `fact`, `relation`, `subject`, `split`, `template`, `place` (of the answer among the
        candidates), `claimed` (its id), `label` (whether it is true), by relation and fact.
    """
    first = recalled.sort_values(["relation", "fact", "template"]).drop_duplicates("fact")
    rows = store.records(first)
    number = [_uniform(seed, "fact", row["fact"]) for row in rows]
    ordered = sorted(zip(number, rows, strict=True), key=lambda one: (one[1]["relation"], one[0]))
    taken: set[str] = set()
    made = []
    for name in reversed(SPLITS):
        some = [row for _, row in ordered if splits.of_fact(row) == name]
        claims = _of_split(some, name, splits, plan, taken, seed=seed)
        taken |= {text for text, _ in claims}
        made += [claim for _, claim in claims]
    table = pd.DataFrame(made, columns=list(COLUMNS)).astype(COLUMNS)
    order = table.assign(number=range(len(table)))
    return order.sort_values(["relation", "fact", "number"], ignore_index=True).drop(
        columns="number"
    )


def _of_split(
    rows: Iterable[Mapping[str, Any]],
    name: ClaimSplit,
    splits: Splits,
    plan: ClaimPlan,
    taken: set[str],
    *,
    seed: int,
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the claims of one split, each with its text; at most so many facts per relation."""
    room: Counter[str] = Counter()
    made = []
    for row in rows:
        if room[row["relation"]] < getattr(plan, f"n_{name}"):
            claims = _of_fact(row, name, splits, taken, n_negatives=plan.n_negatives, seed=seed)
            room[row["relation"]] += bool(claims)
            made += claims
    return made


def _of_fact(
    row: Mapping[str, Any],
    name: ClaimSplit,
    splits: Splits,
    taken: set[str],
    *,
    n_negatives: int,
    seed: int,
) -> list[tuple[str, tuple[Any, ...]]]:
    rng = stream(seed, "degenerate_neurons", "claims", row["fact"])
    labels = [_text(label) for label in row["candidate_labels"]]
    right, wrong = (
        [i for i in places if labels[i] not in taken] for places in _right_and_wrong(row)
    )
    wrong = [
        i for i in wrong if splits.answers.get((row["relation"], row["candidates"][i])) == name
    ]
    if not right or not wrong:
        return []
    places = [int(rng.choice(right)), *rng.permutation(wrong)[:n_negatives].tolist()]
    info = (row["fact"], row["relation"], row["subject"], name, row["template"])
    return [(labels[p], (*info, p, row["candidates"][p], p == places[0])) for p in places]


def _right_and_wrong(row: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Return the places of the right candidates and of those that are surely wrong."""
    right = [i for i, c in enumerate(row["candidates"]) if c in set(row["objects"])]
    named = {_text(label) for label in row["object_labels"]}
    named |= {_text(row["candidate_labels"][i]) for i in right}
    wrong = [
        i
        for i, label in enumerate(row["candidate_labels"])
        if i not in right and _text(label) not in named
    ]
    return right, wrong


def _text(label: str) -> str:
    return label.strip().casefold()


def _uniform(seed: int, purpose: str, name: str) -> float:
    """Return a number in [0, 1) that depends on the arguments alone."""
    digest = sha256(f"{seed}:{purpose}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
