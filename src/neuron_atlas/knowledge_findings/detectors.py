"""Describe how well each detector tells true claims from false ones, and how well calibrated."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from neuron_atlas.degenerate_neurons.claims import PROBE
from neuron_atlas.statistics import calibration, discrimination
from neuron_atlas.statistics.discrimination import Resamples

INTERVALS = ("auroc", "f1", "ece")


def table(
    names: Sequence[str],
    test: pd.DataFrame,
    validation: pd.DataFrame,
    samples: Resamples,
    *,
    where: str,
) -> pd.DataFrame:
    """Return one row per detector, all on the same claims.

    Args:
        names: The detectors.
        test: The claims to judge.
        validation: The claims that give thresholds, and the slopes of scores.
        samples: Bootstrap samples of the facts of `test`.
        where: What these claims are called.

    Returns:
        `detector`, `where`, `threshold`, `average_precision`, the area under the curve (`auroc`),
        F1 and the calibration error (`ece`), each of the three with its 95 % interval over facts,
        and the numbers of claims and of facts.
    """
    return pd.DataFrame([_row(name, test, validation, samples, where) for name in names])


def _row(
    name: str, test: pd.DataFrame, validation: pd.DataFrame, samples: Resamples, where: str
) -> dict[str, Any]:
    labels, scores = test["label"].to_numpy(np.bool_), test[name].to_numpy(np.float64)
    threshold = discrimination.best_threshold(
        validation["label"].to_numpy(np.bool_), validation[name].to_numpy(np.float64)
    )
    stated = probability(name, test, validation)
    around = {
        "auroc": (discrimination.auroc(labels, scores), samples.auroc(labels, scores)),
        "f1": (discrimination.f1(labels, scores, threshold), samples.f1(labels, scores, threshold)),
        "ece": (
            float(calibration.calibration_error(labels, stated)[0]),
            calibration.calibration_error(labels, stated, samples.weights),
        ),
    }
    found = {key: discrimination.interval(*values) for key, values in around.items()}
    return {
        "detector": name,
        "where": where,
        **{key: one.mean for key, one in found.items()},
        **{f"{key}_low": one.low for key, one in found.items()},
        **{f"{key}_high": one.high for key, one in found.items()},
        "average_precision": discrimination.average_precision(labels, scores),
        "threshold": threshold,
        "n_claims": len(test),
        "n_facts": int(test["fact"].nunique()),
    }


def probability(
    name: str, test: pd.DataFrame, validation: pd.DataFrame
) -> Float64[np.ndarray, " claim"]:
    """Return the probability that a detector states for each claim.

    The claim's own probability and the probe's are taken as they are, the others after a Platt
    scaling on validation claims.
    """
    scores = test[name].to_numpy(np.float64)
    if name == "claim_probability":
        return np.asarray(np.exp(np.minimum(scores, 0.0)), dtype=np.float64)
    if name == PROBE:
        return np.asarray(np.clip(scores, 0.0, 1.0), dtype=np.float64)
    labels = validation["label"].to_numpy(np.bool_)
    return calibration.platt(validation[name].to_numpy(np.float64), labels, scores)


def by_detector(rows: pd.DataFrame) -> dict[str, Any]:
    """Return each measure by detector, with the interval where it has one."""
    found = rows.set_index("detector")
    around: Mapping[str, Any] = {
        key: {
            str(name): {"mean": row[key], "low": row[f"{key}_low"], "high": row[f"{key}_high"]}
            for name, row in found.iterrows()
        }
        for key in INTERVALS
    }
    single = {name: found[name].to_dict() for name in ("average_precision", "threshold")}
    return {**around, **single}
