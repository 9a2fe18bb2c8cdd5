"""Rows that a smooth model of all others cannot explain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clock import Clock
from .surrogate import fit_surrogate
from .weighted import Rows, by_roots

__all__ = ["ordinary_rows"]

Array = NDArray[np.float64]

_ROUNDS = 4
# Beyond so many robust standard deviations of the residuals a row is set aside.
_FAR = 5.0
_MOST = 0.25


def ordinary_rows(rows: Rows, seed: int, clock: Clock) -> NDArray[np.bool_]:
    """Return which rows to search in: all but those far from a network fitted to the others.

    Least squares trimmed in rounds: fit, set aside what lies far off by the median absolute
    residual, fit again (after Rousseeuw and Leroy, Robust Regression and Outlier Detection,
    1987). At most a quarter of the rows is set aside. With weights it is residuals times their
    roots that count: a light row may lie further off.
    """
    X, y, weights = rows
    low, high = np.quantile(y, [0.25, 0.75])
    reach = max(high - low, 1e-300)
    kept = (y > low - 3 * reach) & (y < high + 3 * reach)
    if kept.mean() < 1 - _MOST:
        kept[:] = True
    for _ in range(_ROUNDS):
        networks = fit_surrogate(
            *rows.take(kept), starts=1, seed=seed, clock=clock, logarithms=False
        )
        rest = by_roots(np.abs(networks[0].values(X) - y), weights)
        scale = 1.4826 * float(np.median(rest)) or 1e-300
        following = rest < max(_FAR * scale, float(np.quantile(rest, 1 - _MOST)))
        if np.array_equal(following, kept):
            break
        kept = following
    return kept
