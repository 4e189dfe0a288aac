"""Split subjects into those for development, for finding neurons, and for testing them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Literal, get_args

Split = Literal["development", "identification", "held_out"]
SPLITS: tuple[Split, ...] = get_args(Split)


def split_subjects(
    subjects: Mapping[str, Sequence[str]], *, domain: str, development_share: float, seed: int
) -> dict[str, Split]:
    """Assign each subject of a domain to one of the three splits.

    Subjects are taken in the order of a hash, those with many relations first, and each goes to
    the split in which its relations lack most subjects. The sizes of the splits are exact: for
    development `development_share` of the subjects, rounded, but at least one of five or more;
    the rest is halved.

    Args:
        subjects: By relation, the ids of its subjects.
        domain: What kind of thing the subjects are, such as `country`.
        development_share: Share of the subjects in the development split, in [0, 1).
        seed: Changes the hash, as `domain` does.

    Raises:
        ValueError: `development_share` is out of range.
    """
    if not 0 <= development_share < 1:
        raise ValueError(f"development_share must be in [0, 1), got {development_share}")
    relations = defaultdict[str, list[str]](list)
    for relation, ids in subjects.items():
        for subject in ids:
            relations[subject].append(relation)
    order = sorted(relations, key=lambda s: (-len(relations[s]), _hash(f"{seed}:{domain}:{s}")))
    return _deal([(s, relations[s]) for s in order], _quotas(len(order), development_share))


def _quotas(n: int, development_share: float) -> dict[Split, int]:
    development = max(round(development_share * n), int(n >= 5 and development_share > 0))
    rest = n - development
    return {
        "development": development,
        "identification": (rest + 1) // 2,
        "held_out": rest // 2,
    }


def _deal(
    order: Sequence[tuple[str, Sequence[str]]], quotas: Mapping[Split, int]
) -> dict[str, Split]:
    """Give each subject to the open split where its relations are furthest below their quota."""
    left, found = dict(quotas), dict[str, Split]()
    lack = defaultdict[tuple[str, Split], float](float)
    for subject, relations in order:
        for relation in relations:
            for split in SPLITS:
                lack[relation, split] += quotas[split] / len(order)
        needs = {s: (sum(lack[r, s] for r in relations), left[s]) for s in SPLITS if left[s]}
        best = max(needs, key=needs.__getitem__)
        found[subject] = best
        left[best] -= 1
        for relation in relations:
            lack[relation, best] -= 1
    return found


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8")).hexdigest()
