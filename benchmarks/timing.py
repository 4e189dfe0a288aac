"""Times of several ways of doing the same work, interleaved, and how far their results agree."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import torch

from neuron_atlas.model import kernels

Result = TypeVar("Result")
Run = Callable[[], np.ndarray]
Gap = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Contender:
    """One way of doing the work.

    Attributes:
        prepare: Loads what it needs, untimed, and returns what is timed. The result is NaN where a
            run leaves a part of the work out.
        share: How much of the work a run does; its seconds are divided by this.
        ours: Whether float32 matrices are multiplied as `kernels.choose_matrix_products` chooses;
            others' runs have torch's default.
    """

    prepare: Callable[[], Run]
    share: float = 1.0
    ours: bool = False


@dataclass(frozen=True)
class Timed:
    """Median seconds for the whole work, and the first result."""

    seconds: float
    result: np.ndarray


def interleave(contenders: Mapping[str, Contender], *, rounds: int) -> dict[str, Timed]:
    """Run all contenders in turn, round by round; of several rounds the first is not counted.

    Raises:
        ValueError: `rounds` is below 1. Errors of a contender name it.
    """
    if rounds < 1:
        raise ValueError(f"expected at least 1 round, got {rounds}")
    runs = {name: _named(name, one.prepare) for name, one in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            multiply(ours=contenders[name].ours)
            start = time.perf_counter()
            found = _named(name, run)
            seconds[name].append(time.perf_counter() - start)
            results.setdefault(name, found)
    return {
        name: Timed(statistics.median(seconds[name][rounds > 1 :]) / one.share, results[name])
        for name, one in contenders.items()
    }


def make_room() -> None:
    """Let the process keep what oneDNN prepares for each shape of product; call it first of all.

    Of its default, 1,024 shapes, each contender alone needs a part. In turn they would put each
    other's out, and be timed with preparing them anew, which a process of their own would not do.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")


def once(contender: Contender) -> None:
    """Run a contender a single time."""
    run = contender.prepare()
    multiply(ours=contender.ours)
    run()


def multiply(*, ours: bool) -> None:
    """Settle how the process multiplies float32 matrices: as we have it, or by torch's default."""
    torch.set_float32_matmul_precision("highest")
    if ours:
        kernels.choose_matrix_products()


def _named(name: str, run: Callable[[], Result]) -> Result:
    try:
        return run()
    except Exception as error:
        error.add_note(f"This happened in the contender {name!r}.")
        raise


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference relative to the largest value of theirs."""
    return absolute(ours, theirs) / float(np.nanmax(np.abs(theirs)))


def absolute(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference where theirs is not NaN, that is not left out.

    Raises:
        ValueError: shapes differ, nothing can be compared, or ours is NaN or infinite.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"expected results of one shape, got {ours.shape} and {theirs.shape}")
    there = ~np.isnan(theirs)
    if not there.any() or not np.isfinite(ours[there]).all():
        raise ValueError("expected finite results to compare, got none or NaN")
    return float(np.abs(ours[there].astype(np.float64) - theirs[there]).max())


UNITS: dict[Gap, str] = {relative: "of the maximum", absolute: "nats"}


@dataclass(frozen=True)
class Versus:
    """One row: two contenders of the same work.

    Attributes:
        name: Of the row.
        peer: Package that is compared with.
        ours: Contender of ours.
        theirs: Contender of the peer.
        gap: How results are compared; None where they are not.
        reason: Why they are not.
        about: What else is told, from the results of all contenders.
    """

    name: str
    peer: str
    ours: str
    theirs: str
    gap: Gap | None = relative
    reason: str | None = None
    about: Callable[[Mapping[str, Timed]], dict[str, Any]] = lambda _timed: {}


@dataclass(frozen=True)
class Work:
    """Work to compare on: what it is, the ways of doing it, and the rows they make.

    Attributes:
        rounds: Of which the first warms up.
        memory: Contenders whose peak memory is measured.
    """

    what: str
    contenders: Mapping[str, Contender]
    rows: Sequence[Versus]
    memory: Sequence[str]
    rounds: int = 3


def row(
    pair: Versus, timed: Mapping[str, Timed], *, what: str, memory: Mapping[str, int]
) -> dict[str, Any]:
    """Return the row of a pair; memory is in MB, by contender."""
    ours, theirs = timed[pair.ours], timed[pair.theirs]
    gap = None if pair.gap is None else pair.gap(ours.result, theirs.result)
    return {
        "name": pair.name,
        "unit": "s",
        "ours_s": rounded(ours.seconds),
        "peer": pair.peer,
        "peer_version": version(pair.peer),
        "peer_s": rounded(theirs.seconds),
        "ratio": rounded(theirs.seconds / ours.seconds),
        "parity": None if gap is None else rounded(gap, 2),
        "parity_unit": None if pair.gap is None else UNITS[pair.gap],
        "reason": pair.reason,
        "work": what,
        "threads": torch.get_num_threads(),
        "ours_mb": memory.get(pair.ours),
        "peer_mb": memory.get(pair.theirs),
        **pair.about(timed),
    }


def rounded(value: float, digits: int = 4) -> float:
    """Round to significant digits."""
    return float(f"{value:.{digits}g}")
