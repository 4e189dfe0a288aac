"""Sum up the editing experiment: estimates, tests and the verdict."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuron_atlas.editing.tables import (
    ARMS,
    EDITS,
    EFFECTS,
    INDEPENDENT,
    JOINT,
    META,
    MONOLINGUAL,
    WHERE,
)
from neuron_atlas.findings.audits import audited
from neuron_atlas.interventions.neuron_sets import RANDOM
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.statistics.estimates import Estimate, clustered_bootstrap
from neuron_atlas.verdicts import knowledge_verdicts
from neuron_atlas.verdicts.verdict import Finding, Verdict, untestable

CLAIM = "cross_lingual_editing"
ITEM = ["fact", "language"]
OPERATIONS = ("suppress", "enhance", "edit")


def summarise(folder: Path, *, negligible: float, n_resamples: int, seed: int) -> Finding:
    """Sum the editing experiment up.

    Intervals of single arms are over facts; the verdict's is over relations.

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
    edits = with_change(store.read_table(folder / EDITS))
    operations = store.read_table(folder / EFFECTS)
    changes = pd.concat([operations, edits], ignore_index=True)
    effects = _rows(changes, rng, n_resamples)
    verdict = _verdict(edits, negligible=negligible)
    summary: dict[str, Any] = {arm: _arm(changes, arm, rng, n_resamples) for arm in ARMS}
    summary |= {name: meta[name] for name in ("n_facts", "n_sources", "neurons", "languages")}
    summary["normaliser"] = audited(operations["audited_error"])
    return Finding(
        "editing",
        summary,
        {CLAIM: verdict},
        {"editing": effects, "edit_success": success(edits)},
    )


def with_change(edits: pd.DataFrame) -> pd.DataFrame:
    """Add `effect` and `operation` to measured edits.

    The effect is the change of log p(new) - log p(old), nats; on unrelated prompts, which should
    not change, that of the answer's own log-probability.
    """
    old = (edits["old_after"] - edits["old_before"]).astype(np.float64)
    new = (edits["new_after"] - edits["new_before"]).astype(np.float64)
    effect = (new - old).where(edits["where"] != "unrelated", old)
    return edits.assign(effect=effect, operation="edit")


def _items(changes: pd.DataFrame, operation: str, arm: str, where: str) -> pd.Series:
    """Return one effect per (fact, language): the mean over draws and prompts."""
    named = changes["operation"] == operation
    mask = named & (changes["arm"] == arm) & (changes["where"] == where)
    return changes[mask].groupby(ITEM)["effect"].mean().astype(np.float64)


def _estimate(items: pd.Series, rng: np.random.Generator, n_resamples: int) -> Estimate:
    facts = items.index.get_level_values("fact").to_numpy(str)
    return clustered_bootstrap(items.to_numpy(), facts, rng=rng, n_resamples=n_resamples)


def _rows(changes: pd.DataFrame, rng: np.random.Generator, n_resamples: int) -> pd.DataFrame:
    rows = []
    for operation in OPERATIONS:
        for arm in ARMS:
            for where in WHERE:
                items = _items(changes, operation, arm, where)
                n_facts = items.index.get_level_values("fact").nunique()
                if n_facts >= 2:
                    named = {"operation": operation, "arm": arm, "where": where}
                    found = _estimate(items, rng, n_resamples).as_dict()
                    rows.append({**named, **found, "n_facts": n_facts})
    return pd.DataFrame(rows)


def _arm(
    changes: pd.DataFrame, arm: str, rng: np.random.Generator, n_resamples: int
) -> dict[str, Any]:
    """Return an arm's estimates: of (enhance - suppress) / 2, and of the real edit."""
    found: dict[str, Any] = {"edit": {}}
    for where in WHERE:
        suppress, enhance, edit = (_items(changes, o, arm, where) for o in OPERATIONS)
        if edit.index.get_level_values("fact").nunique() < 2:
            continue
        both = (enhance - suppress) / 2
        found[where] = _estimate(both, rng, n_resamples).as_dict()
        found["edit"][where] = _estimate(edit, rng, n_resamples).as_dict()
    return found


def success(edits: pd.DataFrame) -> pd.DataFrame:
    """Return the share of prompts on which the new object is preferred after the edit."""
    asked = edits[edits["where"] != "unrelated"]
    preferred = asked.assign(share=asked["new_after"] > asked["old_after"])
    each = preferred.groupby(["arm", "where", *ITEM])["share"].mean().reset_index()
    found = each.groupby(["arm", "where"]).agg(share=("share", "mean"), n_facts=("fact", "nunique"))
    order = pd.MultiIndex.from_product([ARMS, WHERE], names=["arm", "where"])
    return found.reindex(order[order.isin(found.index)]).reset_index()


def _transfers(edits: pd.DataFrame) -> pd.DataFrame:
    """Return each arm's edit's effect in each language that is no source, with `fact`."""
    arms = {arm: _items(edits, "edit", arm, "other_languages") for arm in ARMS}
    return pd.DataFrame(arms).dropna().reset_index()


def _verdict(edits: pd.DataFrame, *, negligible: float) -> Verdict:
    """Judge whether edits of language-independent neurons reach languages not used to find them.

    Compared with edits of as many monolingual neurons of the same fact; all are fitted to the same
    prompts.
    """
    transfers = _transfers(edits)
    means = ", ".join(f"{arm} {transfers[arm].mean():+.2f}" for arm in ARMS)
    measured = (
        "In languages that no neuron was looked for in, the new answer gains on the old one by "
        f"(nats): {means}."
    )
    rivals = (MONOLINGUAL, JOINT, RANDOM)
    return knowledge_verdicts.cross_lingual_editing(
        transfers, INDEPENDENT, rivals, measured=measured, negligible=negligible
    )
