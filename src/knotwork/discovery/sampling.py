"""Some of many rows, and spreads that few of them do not decide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEDIAN_TO_DEVIATION", "evenly", "robust_spread"]

# A normal distribution's standard deviation is so many times its median absolute deviation.
MEDIAN_TO_DEVIATION = 1.4826


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return up to `most` of `count` places, evenly spaced, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def robust_spread(values: NDArray[np.float64]) -> float:
    """Return a standard deviation from the median absolute one; 1 if that is 0."""
    return MEDIAN_TO_DEVIATION * float(np.median(np.abs(values - np.median(values)))) or 1.0
