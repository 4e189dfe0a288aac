"""What suppressing and enhancing sets does: the papers' ratios, and the same effects in nats."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from published.knowledge import contrasts
from published.knowledge.arms import (
    ANY,
    BAG,
    HELD_OUT,
    OTHER,
    OTHER_BAG,
    PUSH,
    RELATED,
    SET,
    SIBLING,
    SIZE,
    UNRELATED,
)
from published.knowledge.contrasts import Step

LARGEST = {"suppress": 20.0, "enhance": 250.0}  # relative changes that Chen et al.'s code drops
STEPS = ("alone", UNRELATED, SIZE, PUSH, OTHER, SIBLING, HELD_OUT)


def success(rows: pd.DataFrame, method: str) -> dict[str, Any]:
    """Return the success rate of Chen et al. 2024 (equation 11) for one method's sets.

    The mean relative change of the answer's probability on the facts' own prompts over that on the
    prompt of any other fact each; the absolute ratios of both operations are added. As in their
    code, changes above `LARGEST` are left out; how many is `dropped`.

    Returns:
        `ratio` (None where nothing changes elsewhere), `dropped`, and by operation `related`,
        `other` and their `ratio`.
    """
    own = rows[(rows["method"] == method) & (rows["control"] == SET)]
    changes = own.assign(change=np.expm1(own["effect"]))
    found: dict[str, Any] = {"dropped": 0}
    for operation, largest in LARGEST.items():
        some = changes[changes["operation"] == operation]
        some = some[some["where"].isin([RELATED, ANY])]
        kept = some[some["change"] <= largest]
        means = kept.groupby("where")["change"].mean()
        related, other = (_number(means.get(where)) for where in (RELATED, ANY))
        ratio = related / other if related is not None and other else None
        found[operation] = {"related": related, "other": other, "ratio": ratio}
        found["dropped"] += len(some) - len(kept)
    ratios = [found[operation]["ratio"] for operation in LARGEST]
    found["ratio"] = None if None in ratios else sum(map(abs, ratios))
    return found


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def change_ratio(rows: pd.DataFrame, method: str) -> dict[str, dict[str, float | None]]:
    """Return the figure of Dai et al. 2022 (section 5.1): mean change over mean probability.

    Over all paraphrases of the fact (`own`), and of a fact of another relation (`other`).
    """
    sets = rows[(rows["method"] == method) & (rows["control"] == SET)]
    before = np.exp(sets["before"])
    changed = sets.assign(p=before, change=before * np.expm1(sets["effect"]))
    found: dict[str, dict[str, float | None]] = {}
    for operation in LARGEST:
        some = changed[changed["operation"] == operation]
        found[operation] = {}
        for name, where in (("own", BAG), ("other", OTHER_BAG)):
            one = some[some["where"] == where]
            found[operation][name] = (
                float(one["change"].mean() / one["p"].mean()) if len(one) else None
            )
    return found


def signed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one effect per set: half of what enhancing adds beyond suppressing, nats.

    Positive if the answer gains by more and loses by less of the set.
    """
    keys = ["method", "control", "draw", "fact", "where", "template"]
    by = rows.pivot_table(index=keys, columns="operation", values="effect", sort=False)
    return by.assign(effect=(by["enhance"] - by["suppress"]) / 2)["effect"].reset_index()


def steps(rows: pd.DataFrame, method: str, relations: Mapping[str, str]) -> list[Step]:
    """Return the method's effect without a control, then with one control at a time.

    Less: that on an unrelated fact's prompt; that of random sets alike in layers and sizes, of
    random sets alike in layers and push and scaled to equal push, of sets of facts of other
    relations and of the same relation at equal push; on the held-out paraphrase, that of the random
    sets of equal push there.
    """
    effects = signed(rows[rows["method"] == method])

    def of(control: str, where: str) -> pd.Series:
        some = effects[(effects["control"] == control) & (effects["where"] == where)]
        return some.groupby("fact")["effect"].mean()

    alone = of(SET, RELATED)
    less = {control: of(control, RELATED) for control in (SIZE, PUSH, OTHER, SIBLING)}
    found = {
        "alone": alone,
        UNRELATED: alone - of(SET, UNRELATED),
        **{control: alone - other for control, other in less.items()},
        HELD_OUT: of(SET, HELD_OUT) - of(PUSH, HELD_OUT),
    }
    return [contrasts.step(name, found[name], relations) for name in STEPS]


def figures(rows: pd.DataFrame, relations: Mapping[str, str]) -> dict[str, Any]:
    """Return each method's published figures and its steps, by method."""
    found = {}
    for method, own in rows.groupby("method", sort=False):
        sets = own[(own["control"] == SET) & (own["where"] == RELATED)]
        each = sets.drop_duplicates("fact")
        found[str(method)] = {
            "facts": len(each),
            "neurons": float(each["k"].mean()),
            "success": success(own, str(method)),
            "push_of_random": _push_ratio(own),
            "steps": contrasts.listed(steps(own, str(method), relations)),
        }
        if (own["where"] == BAG).any():
            found[str(method)]["change_ratio"] = change_ratio(own, str(method))
    return found


def _push_ratio(own: pd.DataFrame) -> float | None:
    """Return the push of random sets alike in size over that of the sets they control."""
    on = own[own["where"] == RELATED].groupby("control")["push"].mean()
    return float(on[SIZE] / on[SET]) if SIZE in on and on[SET] else None
