"""Some of many rows, and spreads that few of them do not decide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .weighted import median_of

__all__ = ["MEDIAN_TO_DEVIATION", "evenly", "robust_spread"]

# A normal distribution's standard deviation is so many times its median absolute deviation.
MEDIAN_TO_DEVIATION = 1.4826


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return up to `most` of `count` places, evenly spaced, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def robust_spread(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> float:
    """Return a standard deviation from the median absolute one; 1 if that is 0."""
    deviations = np.abs(values - median_of(values, weights))
    return MEDIAN_TO_DEVIATION * median_of(deviations, weights) or 1.0
