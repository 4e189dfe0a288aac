"""Measure how well degenerate neurons tell true claims from false ones, among other detectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from neuron_atlas.degenerate_neurons.claims import CLAIMS, DETECTORS, META
from neuron_atlas.pipeline import store
from neuron_atlas.pipeline.streams import stream
from neuron_atlas.statistics import discrimination
from neuron_atlas.statistics.discrimination import Resamples
from neuron_atlas.verdicts import interest as of_interest
from neuron_atlas.verdicts.conjunction import all_of
from neuron_atlas.verdicts.verdict import Finding, Verdict, untestable

COLUMNS = ["fact", "relation", "subject", "split", "label", *DETECTORS]
MIN_FACTS = 2  # in the test, as resampling needs
CLAIM = "degenerate_neurons_help_fact_checking"
BASELINE, TESTED = "claim_probability", "degenerate"


def summarise_fact_checking(
    folders: Mapping[str, Path], *, negligible_auroc: float, n_resamples: int, seed: int
) -> Finding:
    """Compare the detectors on the test claims of all languages together.

    A relation that has no degenerate neurons in a language has no such detector there: its claims
    say nothing about the detector, and the verdict is on the others alone. Thresholds, and the
    weights of the combination of `claim_probability` and `degenerate`, come from validation claims
    alone: on training facts, on which the neurons were chosen, their scores would be too good.
    Intervals resample facts, each with all its languages.

    Args:
        folders: Each language's folder, as the stage `degenerate_neurons` writes it.
        negligible_auroc: Gain of the area under the curve that is too small to matter.
        n_resamples: Bootstrap samples of facts.
        seed: Of the bootstrap.

    Returns:
        The section `fact_checking`; without detectors, but with the reason, if too few facts are
        left. `covered` counts the relations in a language (`cells`) that have degenerate neurons,
        of all that have claims (`of`), and gives the share of test claims about them (`claims`).
    """
    claims = _read_claims(folders)
    test, validation = _part(claims, "test"), _part(claims, "validation")
    n_facts = {"validation": validation["fact"].nunique(), "test": test["fact"].nunique()}
    if n_facts["validation"] < 1 or n_facts["test"] < MIN_FACTS:
        reason = _reason(n_facts)
        verdicts = {CLAIM: untestable(f"Too few facts: {reason}")}
        return Finding("fact_checking", {"n_claims": len(test), "reason": reason}, verdicts)
    samples = _samples(test, _Draw(n_resamples, seed))
    rows = pd.DataFrame([_row(name, test, validation, samples) for name in DETECTORS])
    together = _combined(test, validation)
    summary = {
        "covered": _coverage(claims, test),
        **_by_detector(rows),
        "n_claims": len(test),
        "n_facts": int(test["fact"].nunique()),
        "n_validation_claims": len(validation),
        "share_true": float(test["label"].mean()),
        "n_relations_without": _without(folders),
        **_differences(test, together, samples),
    }
    verdict = _verdict(test, validation, summary, negligible_auroc, _Draw(n_resamples, seed))
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
    share = float(test["covered"].mean())
    return {"cells": int(cells.sum()), "of": len(cells), "claims": share}


def _part(claims: pd.DataFrame, split: str) -> pd.DataFrame:
    return claims[claims["split"] == split].reset_index(drop=True)


def _reason(n_facts: Mapping[str, int]) -> str:
    return (
        f"claims need a fact for validation and {MIN_FACTS} for the test, and there are "
        f"{n_facts['validation']} and {n_facts['test']}; raise degenerate_neurons.claims.n_facts "
        "or facts.max_per_relation"
    )


def _combined(test: pd.DataFrame, validation: pd.DataFrame) -> Float[np.ndarray, " claim"]:
    """Score the test claims by both detectors together, weighted on the validation claims."""
    labels = validation["label"].to_numpy(np.bool_)
    return discrimination.combined(_scores(validation), labels, _scores(test))


def _scores(claims: pd.DataFrame) -> Float[np.ndarray, "claim score"]:
    return claims[[BASELINE, TESTED]].to_numpy(np.float64)


def _row(
    name: str, test: pd.DataFrame, validation: pd.DataFrame, samples: Resamples
) -> dict[str, Any]:
    labels, scores = test["label"].to_numpy(np.bool_), test[name].to_numpy(np.float64)
    threshold = discrimination.best_threshold(
        validation["label"].to_numpy(np.bool_), validation[name].to_numpy(np.float64)
    )
    area = discrimination.interval(
        discrimination.auroc(labels, scores), samples.auroc(labels, scores)
    )
    return {
        "detector": name,
        "auroc": area.mean,
        "auroc_low": area.low,
        "auroc_high": area.high,
        "average_precision": discrimination.average_precision(labels, scores),
        "f1": discrimination.f1(labels, scores, threshold),
        "threshold": threshold,
        "n_claims": len(test),
        "n_facts": int(test["fact"].nunique()),
    }


def _by_detector(rows: pd.DataFrame) -> dict[str, Any]:
    found = rows.set_index("detector")
    areas = {
        str(name): {"mean": row["auroc"], "low": row["auroc_low"], "high": row["auroc_high"]}
        for name, row in found.iterrows()
    }
    single = {name: found[name].to_dict() for name in ("average_precision", "f1", "threshold")}
    return {"auroc": areas, **single}


def _without(folders: Mapping[str, Path]) -> int:
    """Count the relations, over all languages, with claims but without degenerate neurons."""
    return sum(len(store.read_json(f / META)["relations_without"]) for f in folders.values())


def _differences(
    test: pd.DataFrame, together: Float[np.ndarray, " claim"], samples: Resamples
) -> dict[str, Any]:
    """Return the figures beside the verdict: the combination, and the single detectors compared."""
    labels = test["label"].to_numpy(np.bool_)
    area = discrimination.auroc(labels, together)
    baseline, tested = (test[name].to_numpy(np.float64) for name in (BASELINE, TESTED))
    drawn = samples.auroc(labels, tested) - samples.auroc(labels, baseline)
    value = discrimination.auroc(labels, tested) - discrimination.auroc(labels, baseline)
    return {
        "combined": discrimination.interval(area, samples.auroc(labels, together)).as_dict(),
        "degenerate_minus_claim_probability": discrimination.interval(value, drawn).as_dict(),
    }


def _verdict(
    test: pd.DataFrame,
    validation: pd.DataFrame,
    summary: Mapping[str, Any],
    negligible: float,
    draw: _Draw,
) -> Verdict:
    """Judge the claims that have a degenerate detector; see `summarise_fact_checking`."""
    test, validation = test[test["covered"]], validation[validation["covered"]]
    covered = summary["covered"]
    cells = f"{covered['cells']} of {covered['of']} relations in a language"
    if test["fact"].nunique() < MIN_FACTS or validation["label"].nunique() < 2:
        return untestable(
            f"{cells} have degenerate neurons, with {test['fact'].nunique()} facts to test and "
            f"{validation['fact'].nunique()} to validate"
        )
    samples, labels = _samples(test, draw), test["label"].to_numpy(np.bool_)
    together, baseline = _combined(test, validation), test[BASELINE].to_numpy(np.float64)
    areas = {
        name: discrimination.auroc(labels, scores)
        for name, scores in (("with", together), ("without", baseline))
    }
    drawn = samples.auroc(labels, together) - samples.auroc(labels, baseline)
    found = discrimination.tested(areas["with"] - areas["without"], drawn)
    alone = ", ".join(
        f"{name.replace('_', ' ')} {discrimination.auroc(labels, test[name].to_numpy()):.3f}"
        for name in (TESTED, "knowledge", "random", "candidate_log_odds")
    )
    because = (
        f"{cells} have degenerate neurons. AUROC on their {len(test)} claims about "
        f"{test['fact'].nunique()} facts: claim probability alone {areas['without']:.3f}, with "
        f"degenerate neurons {areas['with']:.3f}; alone {alone}."
    )
    interest = of_interest.FACT_CHECKING
    joint = all_of({"gain": found}, "gain", negligible=negligible, interest=interest)
    return joint.verdict(because, interest, "of AUROC")
