"""How far normalisers were off that were not summed over the whole vocabulary."""

import pandas as pd


def audited(errors: pd.Series) -> dict[str, float | int | None]:
    """Return how many errors there are, their median and the largest, nats; None if there is none.

    Args:
        errors: Of each measurement the error of its normalisers, NaN where none was audited.
    """
    known = errors.dropna().astype("float64")
    middle, largest = (float(known.median()), float(known.max())) if len(known) else (None, None)
    return {"n_audited": len(known), "median": middle, "largest": largest}
