"""Split subjects into those for development, for finding neurons, and for testing them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Literal, cast, get_args

Split = Literal["development", "identification", "held_out"]
SPLITS: tuple[Split, ...] = get_args(Split)
REST = "rest"


def split_subjects(
    subjects: Mapping[str, Sequence[str]], *, domain: str, development_share: float, seed: int
) -> dict[str, Split]:
    """Assign each subject of a domain to one of the three splits.

    Subjects are taken in the order of a hash, those with many relations first, and each goes to
    the split in which its relations lack most subjects. The sizes of the splits are exact: for
    development `development_share` of the subjects, rounded, but at least one of five or more;
    the rest is halved. Development is the same at every seed: so are the questions, and what a
    model answers to them serves all seeds.

    Args:
        subjects: By relation, the ids of its subjects.
        domain: What kind of thing the subjects are, such as `country`.
        development_share: Share of the subjects in the development split, in [0, 1).
        seed: Changes the hash by which the rest is halved; `domain` changes every hash.

    Raises:
        ValueError: `development_share` is out of range.
    """
    if not 0 <= development_share < 1:
        raise ValueError(f"development_share must be in [0, 1), got {development_share}")
    relations = defaultdict[str, list[str]](list)
    for relation, ids in subjects.items():
        for subject in ids:
            relations[subject].append(relation)
    n = len(relations)
    n_shown = max(round(development_share * n), int(n >= 5 and development_share > 0))
    rest = n - n_shown
    apart = _deal(relations, domain, {"development": n_shown, REST: rest})
    asked = {s: relations[s] for s in relations if apart[s] == REST}
    halves = {"identification": (rest + 1) // 2, "held_out": rest // 2}
    found = {**apart, **_deal(asked, f"{seed}:{domain}", halves)}
    return cast("dict[str, Split]", found)


def _deal(
    relations: Mapping[str, Sequence[str]], salt: str, quotas: Mapping[str, int]
) -> dict[str, str]:
    """Give each subject to the open part where its relations are furthest below their quota."""
    order = sorted(relations, key=lambda s: (-len(relations[s]), _hash(f"{salt}:{s}")))
    left, found = dict(quotas), dict[str, str]()
    lack = defaultdict[tuple[str, str], float](float)
    for subject in order:
        for relation in relations[subject]:
            for part in quotas:
                lack[relation, part] += quotas[part] / len(order)
        own = relations[subject]
        needs = {s: (sum(lack[r, s] for r in own), left[s]) for s in quotas if left[s]}
        best = max(needs, key=needs.__getitem__)
        found[subject] = best
        left[best] -= 1
        for relation in own:
            lack[relation, best] -= 1
    return found


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8")).hexdigest()
