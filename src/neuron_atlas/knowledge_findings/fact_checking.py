"""Measure how well degenerate neurons tell true claims from false ones, among other detectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from neuron_atlas.degenerate_neurons.claims import CLAIMS, DETECTORS, META, PROBE
from neuron_atlas.knowledge_findings import detectors
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.statistics import discrimination
from neuron_atlas.statistics.discrimination import Resamples
from neuron_atlas.statistics.estimates import Estimate
from neuron_atlas.verdicts import interest as of_interest
from neuron_atlas.verdicts.conjunction import all_of
from neuron_atlas.verdicts.knowledge_verdicts import over_items, too_few
from neuron_atlas.verdicts.relation_verdicts import shown
from neuron_atlas.verdicts.verdict import Finding, Verdict, untestable

COLUMNS = ["fact", "relation", "split", "label", *DETECTORS]
MIN_FACTS = 2  # in the test, as resampling needs
CLAIM = "degenerate_neurons_help_fact_checking"
BASELINE, TESTED, RANDOM = "claim_probability", "degenerate", "random"
NEED_ONE = (TESTED, RANDOM)  # detectors that only covered relations have
ALL, COVERED = "all claims", "claims with a detector"


def summarise_fact_checking(
    folders: Mapping[str, Path], *, negligible_auroc: float, n_resamples: int, seed: int
) -> Finding:
    """Compare the detectors on the test claims of all languages together.

    A relation that has no degenerate neurons in a language has no such detector there: its claims
    say nothing about the detector. So the verdict, and all that concerns degenerate neurons, is on
    the others alone, and the first number says how many those are. Thresholds, the slopes that turn
    scores into probabilities and the weights of the combination of `claim_probability` and
    `degenerate` come from validation claims alone: on training facts, on which the neurons were
    chosen, their scores would be too good. Intervals of areas and of F1 resample facts, each with
    all its languages.

    The verdict compares the claims of one fact in one language with each other, so that a score
    which merely tells relations apart gains nothing, and takes relations as random effects, facts
    nested in them: one detector serves a whole relation. Two contrasts have to hold: the claim's
    probability with degenerate neurons beyond the probability alone, and beyond the probability
    with random neurons that match them, weighted likewise.

    Args:
        folders: Each language's folder, as the stage `degenerate_neurons` writes it.
        negligible_auroc: Gain of the area under the curve that is too small to matter.
        n_resamples: Bootstrap samples of facts.
        seed: Of the bootstrap.

    Returns:
        The section `fact_checking`; without detectors, but with the reason, if too few facts are
        left. `covered` counts the relations in a language (`cells`) that have degenerate neurons,
        of all that have claims (`of`), and gives the share of test claims about them (`claims`).
        `auroc`, `f1` and `ece` have each detector on all claims, or on the covered ones where only
        they have it; `on_covered` has all detectors on the covered ones. `probe` says what there is
        to be had from neurons.
    """
    claims = _read_claims(folders)
    test, validation = _part(claims, "test"), _part(claims, "validation")
    covered = {"covered": _coverage(claims, test)}
    n_facts = {"validation": validation["fact"].nunique(), "test": test["fact"].nunique()}
    if not _enough(test, validation):
        reason = _reason(n_facts)
        verdicts = {CLAIM: untestable(f"Too few facts: {reason}")}
        summary = {**covered, "n_claims": len(test), "reason": reason}
        return Finding("fact_checking", summary, verdicts)
    draw = _Draw(n_resamples, seed)
    rows = _detector_rows(test, validation, draw)
    summary = {
        **covered,
        **_by_detector(rows),
        "n_claims": len(test),
        "n_facts": int(test["fact"].nunique()),
        "n_validation_claims": len(validation),
        "share_true": float(test["label"].mean()),
        "probe": _probe(folders, test, draw),
        **_differences(test, validation, draw),
    }
    verdict = _verdict(test, validation, summary, negligible_auroc)
    return Finding("fact_checking", summary, {CLAIM: verdict}, {"detectors": rows})


class _Draw(NamedTuple):
    """How many bootstrap samples are drawn, and from which seed."""

    n: int
    seed: int


def _read_claims(folders: Mapping[str, Path]) -> pd.DataFrame:
    """Read all claims, with `language` and `covered`: whether there is a degenerate detector."""
    tables = []
    for language, folder in folders.items():
        table = store.read_table(folder / CLAIMS, COLUMNS)
        without = store.read_json(folder / META)["relations_without"]
        covered = ~table["relation"].isin(without)
        tables.append(table.assign(language=language, covered=covered))
    return pd.concat(tables, ignore_index=True)


def _samples(claims: pd.DataFrame, draw: "_Draw") -> Resamples:
    rng = stream(draw.seed, "knowledge", "fact_checking")
    return discrimination.resamples(claims["fact"].to_numpy(str), rng=rng, n=draw.n)


def _coverage(claims: pd.DataFrame, test: pd.DataFrame) -> dict[str, int | float]:
    cells = claims.groupby(["language", "relation"])["covered"].first()
    share = float(test["covered"].mean()) if len(test) else 0.0
    return {"cells": int(cells.sum()), "of": len(cells), "claims": share}


def _part(claims: pd.DataFrame, split: str) -> pd.DataFrame:
    return claims[claims["split"] == split].reset_index(drop=True)


def _reason(n_facts: Mapping[str, int]) -> str:
    return (
        f"claims need a fact for validation and {MIN_FACTS} for the test, and there are "
        f"{n_facts['validation']} and {n_facts['test']}; raise degenerate_neurons.claims.n_test "
        "or facts.max_per_relation"
    )


def _combined(
    test: pd.DataFrame, validation: pd.DataFrame, detector: str = TESTED
) -> Float[np.ndarray, " claim"]:
    """Score the test claims by probability and detector, weighted on the validation claims."""
    labels = validation["label"].to_numpy(np.bool_)
    both = [BASELINE, detector]
    fit, scores = (part[both].to_numpy(np.float64) for part in (validation, test))
    return discrimination.combined(fit, labels, scores)


def _enough(test: pd.DataFrame, validation: pd.DataFrame) -> bool:
    """Say whether a comparison can be made on these claims."""
    labels = [part["label"].nunique() for part in (test, validation)]
    return test["fact"].nunique() >= MIN_FACTS and min(labels) == 2


def _with_detector(*tables: pd.DataFrame) -> list[pd.DataFrame]:
    return [table[table["covered"]].reset_index(drop=True) for table in tables]


def _detector_rows(test: pd.DataFrame, validation: pd.DataFrame, draw: "_Draw") -> pd.DataFrame:
    """Return the detectors that all claims have, and all detectors on the covered claims."""
    everywhere = [name for name in DETECTORS if name not in NEED_ONE]
    rows = [detectors.table(everywhere, test, validation, _samples(test, draw), where=ALL)]
    some, thresholds = _with_detector(test, validation)
    if _enough(some, thresholds):
        samples = _samples(some, draw)
        rows.append(detectors.table(DETECTORS, some, thresholds, samples, where=COVERED))
    return pd.concat(rows, ignore_index=True)


def _by_detector(rows: pd.DataFrame) -> dict[str, Any]:
    whole = rows[(rows["where"] == ALL) | rows["detector"].isin(NEED_ONE)]
    covered = rows[rows["where"] == COVERED]
    more = {"on_covered": detectors.by_detector(covered)} if len(covered) else {}
    return {**detectors.by_detector(whole), **more}


def _probe(folders: Mapping[str, Path], test: pd.DataFrame, draw: "_Draw") -> dict[str, Any]:
    """Say how the probes were trained, and how much more they tell than the claim's probability."""
    about = [store.read_json(folder / META)["probe"] for folder in folders.values()]
    return {
        "n_languages": sum(one["n_neurons"] > 0 for one in about),
        "n_training_claims": sum(one["n_claims"] for one in about),
        "mean_neurons": float(np.mean([one["n_neurons"] for one in about])),
        "minus_claim_probability": _difference(test, PROBE, draw).as_dict(),
    }


def _difference(test: pd.DataFrame, name: str, draw: "_Draw") -> Estimate:
    """Return a detector's area under the curve less that of the claim's probability."""
    samples, labels = _samples(test, draw), test["label"].to_numpy(np.bool_)
    baseline, tested = (test[key].to_numpy(np.float64) for key in (BASELINE, name))
    value = discrimination.auroc(labels, tested) - discrimination.auroc(labels, baseline)
    drawn = samples.auroc(labels, tested) - samples.auroc(labels, baseline)
    return discrimination.interval(value, drawn)


def _differences(
    test: pd.DataFrame, validation: pd.DataFrame, draw: "_Draw"
) -> dict[str, dict[str, float]]:
    """Return what degenerate neurons reach on the covered claims, together and alone."""
    test, validation = _with_detector(test, validation)
    if not _enough(test, validation):
        return {}
    labels, together = test["label"].to_numpy(np.bool_), _combined(test, validation)
    area, drawn = discrimination.auroc(labels, together), _samples(test, draw)
    combined = discrimination.interval(area, drawn.auroc(labels, together))
    return {
        "combined": combined.as_dict(),
        "degenerate_minus_claim_probability": _difference(test, TESTED, draw).as_dict(),
    }


def _verdict(
    test: pd.DataFrame,
    validation: pd.DataFrame,
    summary: Mapping[str, Any],
    negligible: float,
) -> Verdict:
    """Judge the claims that have a degenerate detector; see `summarise_fact_checking`."""
    test, validation = _with_detector(test, validation)
    covered = summary["covered"]
    cells = f"{covered['cells']} of {covered['of']} relations in a language"
    if not _enough(test, validation):
        return untestable(
            f"{cells} have degenerate neurons, with {test['fact'].nunique()} facts to test and "
            f"{validation['fact'].nunique()} to validate"
        )
    scores = {
        "with": _combined(test, validation),
        "without": test[BASELINE].to_numpy(np.float64),
        "random": _combined(test, validation, RANDOM),
    }
    areas = {name: _within_facts(test, values) for name, values in scores.items()}
    facts = areas["with"].index.get_level_values("fact").to_series()
    if verdict := too_few(facts):
        return verdict
    contrasts = {
        "the probability alone": over_items(areas["with"] - areas["without"], facts),
        "random neurons": over_items(areas["with"] - areas["random"], facts),
    }
    labels = test["label"].to_numpy(np.bool_)
    alone = ", ".join(
        f"{name.replace('_', ' ')} {discrimination.auroc(labels, test[name].to_numpy()):.3f}"
        for name in (BASELINE, TESTED, "knowledge", RANDOM, PROBE, "candidate_log_odds")
    )
    beyond = ", ".join(f"{name} {shown(one)}" for name, one in contrasts.items())
    because = (
        f"{cells} have degenerate neurons. Within a fact a true claim is told from a false one in "
        f"{areas['without'].mean():.3f} of cases by the claim's probability alone, in "
        f"{areas['with'].mean():.3f} with degenerate neurons (beyond {beyond}). AUROC on all "
        f"{len(test)} claims about {test['fact'].nunique()} facts: {alone}."
    )
    interest = of_interest.FACT_CHECKING
    joint = all_of(contrasts, "gain", negligible=negligible, interest=interest)
    return joint.verdict(because, interest, "of AUROC")


def _within_facts(claims: pd.DataFrame, scores: Float[np.ndarray, " claim"]) -> pd.Series:
    """Return by language and fact the chance that its true claim scores above its false ones."""
    table = claims[["language", "fact", "label"]].assign(score=scores)
    true, false = (table[table["label"].astype(bool) == want] for want in (True, False))
    pairs = true.merge(false, on=["language", "fact"], suffixes=("", "_false"))
    above = (pairs["score"] > pairs["score_false"]).astype(np.float64)
    wins = above + 0.5 * (pairs["score"] == pairs["score_false"])
    return wins.groupby([pairs["language"], pairs["fact"]]).mean()
