"""Sum up the editing experiment: estimates, tests and the verdict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.editing.tables import (
    ARMS,
    EDITS,
    EFFECTS,
    INDEPENDENT,
    LAYERS,
    META,
    MONOLINGUAL_NEURONS,
    OF_OTHERS,
    PORTABILITY,
    TEXT,
    WHERE,
)
from neuron_atlas.findings.audits import audited
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.statistics.estimates import Estimate, clustered_bootstrap
from neuron_atlas.verdicts import knowledge_verdicts
from neuron_atlas.verdicts.verdict import Finding, Verdict, untestable

CLAIM = "cross_lingual_editing"
ITEM = ["fact", "language"]
OPERATIONS = ("suppress", "enhance", "edit")
RIVALS = (MONOLINGUAL_NEURONS, *(a for a in ARMS if a not in (INDEPENDENT, MONOLINGUAL_NEURONS)))
COUNTS = (
    *("n_facts", "n_sources", "n_draws", "n_development", "n_independent"),
    *("n_too_few_independent", "n_given", "neurons", "steps", "n_tokens", "layers", "languages"),
)


def summarise(folder: Path, *, negligible: float, n_resamples: int, seed: int) -> Finding:
    """Sum the editing experiment up.

    Intervals of single arms are over facts, those that have an independent set; the verdict's is
    over relations.

    Args:
        folder: `data/editing`.
        negligible: Differences below this, in nats, do not matter.
        n_resamples: Bootstrap samples of facts.
        seed: Of the bootstrap.
    """
    rng, meta = stream(seed, "knowledge", "editing"), store.read_json(folder / META)
    if not meta["n_facts"]:
        about = {name: meta[name] for name in ("n_facts", "languages", "reason")}
        few = untestable(f"Nothing was edited: {meta['reason']}")
        return Finding("editing", about, {CLAIM: few})
    edits, operations = (_of_one_size(store.read_table(folder / name)) for name in (EDITS, EFFECTS))
    edits = with_change(edits)
    changes = pd.concat([operations, edits], ignore_index=True)
    effects = _rows(changes, rng, n_resamples)
    summary: dict[str, Any] = {arm: _arm(changes, arm, rng, n_resamples) for arm in ARMS}
    summary |= {name: meta[name] for name in COUNTS}
    summary["fallen_short"] = fallen_short(edits)
    summary["normaliser"] = audited(operations["audited_error"])
    tables = {"editing": effects, "edit_success": success(edits, rng, n_resamples)}
    layers = store.read_table(folder / LAYERS)
    if len(layers):
        tables["edit_layers"] = _with_choice(layers, meta["layers"])
    return Finding("editing", summary, {CLAIM: _verdict(edits, meta, negligible)}, tables)


def _of_one_size(changes: pd.DataFrame) -> pd.DataFrame:
    """Return what was measured on the facts that have an independent set, if any has one.

    There all arms have as many neurons; elsewhere they have more, and would be means of others.
    """
    own = changes.loc[changes["arm"] == INDEPENDENT, "fact"].unique()
    return changes[changes["fact"].isin(own)] if len(own) else changes


def fallen_short(edits: pd.DataFrame) -> dict[str, float]:
    """Return by arm the share of edits that, as a whole, are no more than equally reliable.

    All are scaled down to one margin; these could not be, so that they may reach less far.
    """
    each = edits.drop_duplicates(["fact", "arm", "draw"])
    return {str(arm): float((own["share"] >= 1).mean()) for arm, own in each.groupby("arm")}


def with_change(edits: pd.DataFrame) -> pd.DataFrame:
    """Add `effect` and `operation` to measured edits.

    The effect is the change of log p(new) - log p(old), nats; of other facts, which should not
    change, that of the answer's own log-probability; of a text that of its log-probability, per
    token.
    """
    old = (edits["old_after"] - edits["old_before"]).astype(np.float64)
    new = (edits["new_after"] - edits["new_before"]).astype(np.float64)
    own = edits["where"].isin((*OF_OTHERS, TEXT))
    effect = (new - old).where(~own, old / edits["tokens"])
    return edits.assign(effect=effect, operation="edit")


def _items(
    changes: pd.DataFrame, operation: str, arm: str, where: str, *, value: str = "effect"
) -> pd.Series:
    """Return one number per (fact, language): the mean over draws and prompts."""
    named = changes["operation"] == operation
    mask = named & (changes["arm"] == arm) & (changes["where"] == where)
    return changes[mask].groupby(ITEM)[value].mean().astype(np.float64)


def _estimate(items: pd.Series, rng: np.random.Generator, n_resamples: int) -> Estimate:
    facts = items.index.get_level_values("fact").to_numpy(str)
    return clustered_bootstrap(items.to_numpy(), facts, rng=rng, n_resamples=n_resamples)


def _n_facts(items: pd.Series) -> int:
    return int(items.index.get_level_values("fact").nunique())


def _rows(changes: pd.DataFrame, rng: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    rows = []
    for operation in OPERATIONS:
        for arm in ARMS:
            for where in WHERE:
                items = _items(changes, operation, arm, where)
                if (n := _n_facts(items)) >= 2:
                    named = {"operation": operation, "arm": arm, "where": where}
                    found = _estimate(items, rng, n_resamples).as_dict()
                    rows.append({**named, **found, "n_facts": n})
    columns = ["operation", "arm", "where", "mean", "low", "high", "n_facts"]
    return pd.DataFrame(rows, columns=columns)


def _arm(
    changes: pd.DataFrame, arm: str, rng: np.random.Generator, n_resamples: int
) -> dict[str, Any]:
    """Return an arm's estimates: of (enhance - suppress) / 2, and of the real edit."""
    found: dict[str, Any] = {"edit": {}}
    for where in WHERE:
        suppress, enhance, edit = (_items(changes, o, arm, where) for o in OPERATIONS)
        both = (enhance - suppress) / 2
        if _n_facts(both) >= 2:
            found[where] = _estimate(both, rng, n_resamples).as_dict()
        if _n_facts(edit) >= 2:
            found["edit"][where] = _estimate(edit, rng, n_resamples).as_dict()
    return found


def success(edits: pd.DataFrame, rng: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    """Return by arm and place the share of prompts that come out as they should after the edit.

    Of the fact's own prompts the share on which the new object is preferred to the old one; of
    other facts' the share whose best answer is the one that it was.
    """
    preferred = (edits["new_after"] > edits["old_after"]).astype(np.float64)
    shares = edits.assign(
        share=preferred.where(~edits["where"].isin(OF_OTHERS), edits["unchanged"])
    )
    rows = []
    for arm in ARMS:
        for where in (w for w in WHERE if w != TEXT):
            items = _items(shares, "edit", arm, where, value="share")
            if (n := _n_facts(items)) >= 2:
                found = _estimate(items, rng, n_resamples)
                named = {"arm": arm, "where": where, "share": found.mean}
                rows.append({**named, "low": found.low, "high": found.high, "n_facts": n})
    return pd.DataFrame(rows, columns=["arm", "where", "share", "low", "high", "n_facts"])


def _with_choice(layers: pd.DataFrame, chosen: Mapping[str, int]) -> pd.DataFrame:
    """Say which of the tried layers each baseline edits."""
    return layers.assign(chosen=layers["layer"] == layers["arm"].map(chosen))


def _transfers(edits: pd.DataFrame) -> pd.DataFrame:
    """Return each arm's edit's effect in each language that is no source, with `fact`.

    Facts with too few language-independent neurons have no such arm, and are left out.
    """
    arms = {arm: _items(edits, "edit", arm, PORTABILITY) for arm in ARMS}
    return pd.DataFrame(arms).dropna(subset=[INDEPENDENT, MONOLINGUAL_NEURONS]).reset_index()


def _verdict(edits: pd.DataFrame, meta: Mapping[str, Any], negligible: float) -> Verdict:
    """Judge whether edits of language-independent neurons reach languages not used to find them.

    They are compared with edits of as many neurons of the first source alone, fitted to the same
    prompts. The really monolingual arm, all others and the baselines are shown beside.
    """
    transfers = _transfers(edits)
    known = [arm for arm in ARMS if transfers[arm].notna().any()]
    means = ", ".join(f"{arm} {transfers[arm].mean():+.2f}" for arm in known)
    left, short = meta["n_too_few_independent"], fallen_short(edits)
    measured = (
        f"In languages that no neuron was looked for in, the new answer of "
        f"{transfers['fact'].nunique()} facts gains on the old one by (nats): {means}. {left} more "
        f"facts have fewer than {meta['n_sources']} language-independent neurons and are left out. "
        f"{short.get(INDEPENDENT, 0):.0%} of the independent edits and "
        f"{short.get(MONOLINGUAL_NEURONS, 0):.0%} of those they are compared with fall short of "
        f"the margin to which all are scaled."
    )
    return knowledge_verdicts.cross_lingual_editing(
        transfers, INDEPENDENT, RIVALS, measured=measured, negligible=negligible
    )
