"""Compare average precision's sets with those of other selectors, each beyond its own controls."""

from typing import Any

import pandas as pd

from neuron_atlas.neurons.relation_sets import LEFT_OUT, WITHOUT_SIBLINGS
from neuron_atlas.verdicts import arms
from neuron_atlas.verdicts.arms import Excess
from neuron_atlas.verdicts.selector_verdict import AVERAGE_PRECISION

COSTS = {
    AVERAGE_PRECISION: "recorded values alone",
    "mean_gap": "recorded values alone",
    "linear_probe": "recorded values, one regression",
    "gradient_activation": "a forward and a backward pass per prompt",
    "attribution_patching": "a forward and a backward pass per prompt",
    "direct_logit_attribution": "a forward pass per prompt",
    WITHOUT_SIBLINGS: "recorded values alone",
    LEFT_OUT: "a forward and a backward pass per prompt",
}
OFF = {
    "set": "selector",
    "push_matched": "selector_matched",
    "own_scaled": "selector_own_scaled",
    "other_set": "selector_other_set",
}
INSTALLED = {"install": "selector_install", "install_matched": "selector_install_matched"}
PARTS = ("necessity", "specificity", "sufficiency")
NUMBERS = ("excess", "low", "high", "p_value", "n_relations")
COLUMNS = ["selector", *(f"{part}_{n}" for part in PARTS for n in NUMBERS), "jaccard", "cost"]


def beside_average_precision(
    table: pd.DataFrame, installed: pd.DataFrame, measured: pd.DataFrame
) -> pd.DataFrame:
    """Return the arms of all selectors, with average precision's as one of them.

    Args:
        table: Measured arms of average precision's sets.
        installed: The same of installed values.
        measured: The arms of the other selectors; if there are none, so is the result.
    """
    if measured.empty:
        return measured
    parts = [
        rows[rows["kind"].isin(list(kinds)) & rows["context"].eq(arms.ZERO_SHOT)]
        for rows, kinds in ((table, OFF), (installed, INSTALLED))
    ]
    own = pd.concat(parts, ignore_index=True)
    own = own.assign(kind=own["kind"].map(OFF | INSTALLED), order=AVERAGE_PRECISION)
    return pd.concat([own, measured], ignore_index=True)


def compared(rows: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """Return one row per selector, average precision first.

    Args:
        rows: From `beside_average_precision`.
        members: The neurons of all languages' sets, as `other_selectors.sets.as_table` lists them.

    Returns:
        `COLUMNS`. `necessity_excess`: the sets' effect on their relations' unseen right answers
        less that of push-matched sets, nats. `specificity_excess`: less that of the selector's sets
        of other relations at equal push. `sufficiency_excess`: change of log P(type) by installed
        values less that by push-matched ones. Each with interval and p, relations as random
        effects. Two rows are no selectors: `average_precision_no_siblings`, of relations that
        have siblings, chosen without them as negatives; and `attribution_patching_left_out`, what
        it finds for all other relations, the null of its necessity. `jaccard`: mean overlap with
        average precision's sets over languages and relations.
    """
    found = []
    for name in dict.fromkeys([AVERAGE_PRECISION, *rows["order"]] if len(rows) else []):
        own = rows[rows["order"].eq(name)]
        contrasts = (_necessity(own), _specificity(own), _sufficiency(own))
        numbers = [_numbers(part, one) for part, one in zip(PARTS, contrasts, strict=True)]
        about = {"jaccard": _jaccard(members, name), "cost": COSTS.get(name, "")}
        found.append(
            {"selector": name, **{k: v for one in numbers for k, v in one.items()}} | about
        )
    return pd.DataFrame(found, columns=COLUMNS)


def _necessity(rows: pd.DataFrame) -> Excess:
    own = arms.own(arms.held_out(rows, right=True))
    return arms.excess(arms.of_kind(own, "selector"), arms.of_kind(own, "selector_matched"))


def _specificity(rows: pd.DataFrame) -> Excess:
    kept = arms.held_out(rows, right=True)
    scaled, other = (arms.of_kind(kept, f"selector_{k}") for k in ("own_scaled", "other_set"))
    whole = arms.own(arms.of_kind(kept, "selector"))
    return arms.at_push(arms.excess(scaled, other), scaled, whole)


def _sufficiency(rows: pd.DataFrame) -> Excess:
    """The relation that is installed is the random effect, as in `relation_neurons_suffice`."""
    asked = rows.assign(asked=rows["measured"], measured=rows["relation"])
    kept = arms.held_out(asked, right=False)
    install, matched = (arms.of_kind(kept, kind) for kind in INSTALLED.values())
    return arms.excess(install, matched, by=["asked"], value="effect_type")


def _numbers(part: str, found: Excess) -> dict[str, Any]:
    """Return an excess with its test, NaN if there are fewer than two relations."""
    n, values = found.n_relations, (float("nan"),) * 4
    if n >= 2:
        tested = found.tested()
        values = (tested.effect.mean, tested.effect.low, tested.effect.high, tested.p_value)
    return dict(zip((f"{part}_{name}" for name in NUMBERS), (*values, n), strict=True))


def _jaccard(members: pd.DataFrame, selector: str) -> float:
    if selector == AVERAGE_PRECISION:
        return 1.0
    own = members[members["selector"].eq(selector)]
    groups = own.groupby(["language", "relation"])["in_average_precision"]
    shared, size = groups.sum(), groups.size()
    return float((shared / (2 * size - shared)).mean())
