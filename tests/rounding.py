"""How far apart computations of the same numbers may be that add them in another order."""

import numpy as np
from numpy.typing import ArrayLike

EPSILON = float(np.finfo(np.float32).eps)  # a unit in the last place, as a share of the value


def rounding(values: ArrayLike, depth: int) -> float:
    """Return what the order of additions may change in float32: a tolerance, in the values' unit.

    Which order it is, the processor and the shapes of the matrices decide. A sum of n terms is
    rounded n - 1 times, each time by up to half a unit in the last place of a partial sum. Where
    those are no larger than the values, two orders differ by up to n units (Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd ed., section 4.2).

    Args:
        values: What is compared, a number or an array; the largest of them in size counts.
        depth: Terms that are added on the way to a value, through all layers.
    """
    return depth * EPSILON * float(np.abs(np.asarray(values)).max())
