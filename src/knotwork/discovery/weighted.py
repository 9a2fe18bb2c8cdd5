"""Rows that count more and less, and their means, spreads and medians.

Weights are relative: inverse variances up to a factor that all have in common. None stands for
equal ones. What is scaled by roots of weights is homoscedastic if the weights are right, so that
methods for equal errors apply to it as they are.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Rows",
    "by_roots",
    "mean_of",
    "median_of",
    "relative_weights",
    "root_mean_square",
    "spread_of",
    "telling_rows",
    "whitened",
]

Array = NDArray[np.float64]

# Rows that tell less than this share of what rows tell on average are left out of proposals, half
# of all rows at the most.
_LITTLE = 0.03
_MOST_LEFT_OUT = 0.5
# Beside the heaviest row: far below what matters, and products with it are above 0.
_SMALLEST = 1e-60


class Rows(NamedTuple):
    """Inputs, targets and weights of the same rows.

    Attributes
    ----------
    X : array of shape (rows, inputs)
    y : array of shape (rows,)
    weights : array of shape (rows,), optional
        Positive.
    """

    X: Array
    y: Array
    weights: Array | None = None

    def take(self, rows: Any) -> Rows:
        """Return some of the rows, chosen by a slice, places or a mask."""
        weights = None if self.weights is None else self.weights[rows]
        return Rows(self.X[rows], self.y[rows], weights)

    def followed_by(self, other: Rows) -> Rows:
        """Return these rows and, after them, others."""
        weights = None
        if self.weights is not None and other.weights is not None:
            weights = np.concatenate([self.weights, other.weights])
        return Rows(np.vstack([self.X, other.X]), np.concatenate([self.y, other.y]), weights)

    @property
    def weight(self) -> float:
        """The sum of the weights, the number of rows where there are none."""
        return float(len(self.y)) if self.weights is None else float(self.weights.sum())


def relative_weights(weights: Array) -> Array | None:
    """Return weights above 0 with a mean of 1, None where all are equal.

    Ratios beyond what sums in double precision can tell are cut off.
    """
    if (weights == weights[0]).all():
        return None
    shares = np.maximum(weights / weights.max(), _SMALLEST)
    # An exact sum, which the order of rows does not change.
    return shares / (math.fsum(shares) / len(shares))


def mean_of(values: Array, weights: Array | None) -> float:
    """Return the mean."""
    return float(values.mean() if weights is None else np.average(values, weights=weights))


def root_mean_square(values: Array, weights: Array | None) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(mean_of(values**2, weights)))


def spread_of(values: Array, weights: Array | None) -> float:
    """Return the standard deviation; it may be 0."""
    if weights is None:
        return float(np.std(values))
    return root_mean_square(values - mean_of(values, weights), weights)


def median_of(values: Array, weights: Array | None) -> float:
    """Return the median: the value that half of the weight does not exceed."""
    if weights is None:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(below, 0.5 * below[-1])]])


def by_roots(values: Array, weights: Array | None) -> Array:
    """Return rows times the roots of their weights: least squares of these is weighted."""
    if weights is None:
        return values
    roots = np.sqrt(weights)
    return values * (roots if values.ndim == 1 else roots[:, None])


def whitened(values: Array, weights: Array | None) -> Array:
    """Return deviations from the mean times the roots of weights; without weights the values.

    If they are pure noise of the variances that the weights say, any order of them is as likely
    as any other, which is what tests of correlation ask for.
    """
    return values if weights is None else by_roots(values - mean_of(values, weights), weights)


def telling_rows(rows: Rows) -> Rows:
    """Return the rows without those that tell next to nothing.

    Proposals (transforms that need targets of one sign, splines, medians) suffer from wild rows
    however light these are. What a row tells is its weight times its squared deviation and the
    variance of all: a light row far from the mean is no less telling than a heavy one near to it.
    """
    if rows.weights is None:
        return rows
    deviations = rows.y - mean_of(rows.y, rows.weights)
    told = rows.weights * (deviations**2 + spread_of(rows.y, rows.weights) ** 2)
    order = np.argsort(told, kind="stable")
    count = min(int((told < _LITTLE * told.mean()).sum()), int(_MOST_LEFT_OUT * len(order)))
    return rows.take(np.sort(order[count:]))
