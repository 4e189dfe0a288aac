"""Measure the machine's peak: the rate of large matrix products."""

from typing import Any

import numpy as np
import torch

from timing import Contender, Run, Timed

SIZE, TIMES = 2048, 4


def product(dtype: torch.dtype) -> Contender:
    """Return the fastest contender there can be: products of two large square matrices."""

    def prepare() -> Run:
        a, b = (torch.ones(SIZE, SIZE, dtype=dtype) for _ in range(2))

        def run() -> np.ndarray:
            for _ in range(TIMES):
                torch.mm(a, b)
            return np.zeros(0)

        return run

    return Contender(prepare, ours=True)


def share_of_peak(needed: float, work: Timed, peak: Timed) -> dict[str, Any]:
    """Return a row's entries on FLOP/s.

    Args:
        needed: FLOPs that the method needs.
        work: How long it took.
        peak: How long the products took.
    """
    rate = TIMES * 2 * SIZE**3 / peak.seconds
    return {
        "needed_gflop": round(needed / 1e9, 1),
        "gemm_peak_gflops": round(rate / 1e9, 1),
        "share_of_gemm_peak": round(needed / work.seconds / rate, 3),
    }
