"""Rows with weights, in a form that does not depend on how they came.

A weight says how often a row counts.  So rows that are the same are made one, with the sum of
their weights, and rows without weight are left out; the rest are put in order.  A row given twice,
a row of weight 2 and rows in another order are then the same numbers in the same places, and
whatever is computed from them is the same to the last digit.  Formulas take weights with a
fraction among them relatively, as they are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MOST_REPEATED = 10_000_000


class DistinctRows(NamedTuple):
    """Rows that differ, sorted.

    Attributes
    ----------
    X : array of shape (rows, inputs)
    y : array of shape (rows, targets)
    weights : array of shape (rows,)
        Positive; their mean is at least 1.
    """

    X: Array
    y: Array
    weights: Array


def distinct_rows(X: Array, y: Array, weights: Array | None) -> DistinctRows:
    """Join equal rows, leave out those that do not count, and sort the rest.

    Parameters
    ----------
    X : array of shape (rows, inputs)
    y : array of shape (rows,) or (rows, targets)
    weights : array of shape (rows,), optional
        At least 0.  If they are less than 1 on average they cannot be counts of rows: they are
        scaled so that each row counts as one on average.
    """
    targets = y.reshape(len(y), -1)
    if weights is None:
        weights = np.ones(len(X))
    counting = weights > 0
    table, weights = np.column_stack([X, targets])[counting], weights[counting]
    # 0.0 + x makes -0 a 0.
    rows, place = np.unique(0.0 + table, axis=0, return_inverse=True)
    # Sorted by size as well, so that the sum does not depend on the order the rows came in.
    order = np.lexsort((weights, place.ravel()))
    summed = np.zeros(len(rows))
    np.add.at(summed, place.ravel()[order], weights[order])
    summed *= max(1.0, len(rows) / float(summed.sum()))
    inputs = X.shape[1]
    return DistinctRows(rows[:, :inputs], rows[:, inputs:], summed)


def repeated_rows(X: Array, y: Array, weights: Array | None) -> tuple[Array, Array, Array | None]:
    """Return every row as often as it counts, in an order that goes by the values.

    Parameters
    ----------
    X : array of shape (rows, inputs)
    y : array of shape (rows,) or (rows, targets)
    weights : array of shape (rows,), optional
        At least 0. Whole numbers are counts of rows; with a fraction among them they are relative.

    Returns
    -------
    X, y : arrays
    weights : array of shape (rows,) or None
        Relative ones, above 0, of rows that come once.

    Raises
    ------
    ValueError
        If the counts come to more rows than can be held.
    """
    order = np.lexsort((*y.reshape(len(y), -1).T, *X.T))
    if weights is None:
        return X[order], y[order], None
    if (weights != np.round(weights)).any():
        order = order[weights[order] > 0]
        return X[order], y[order], weights[order]
    if weights.sum() > _MOST_REPEATED:
        raise ValueError(
            f"sample_weight holds whole numbers, which count rows, {weights.sum():g} of them in "
            "all: too many. Weights such as 1 / sigma**2, of which only the ratios matter, are "
            "divided by the largest of them first."
        )
    counts = weights.astype(np.intp)[order]
    return X[order].repeat(counts, axis=0), y[order].repeat(counts, axis=0), None


def divided(rows: int, share: float, labels: Array | None, seed: int) -> tuple[Any, Any]:
    """Choose rows to train on and rows to judge by, of every class alike if there are labels.

    Parameters
    ----------
    rows : int
    share : float
        Of the rows to judge by; at least one of them, and at least one remains.
    labels : array of shape (rows,), optional
    seed : int

    Returns
    -------
    tuple of two integer arrays
    """
    rng = np.random.default_rng([seed, 20_261_125])
    groups = [np.arange(rows)]
    if labels is not None:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    judges: list[NDArray[np.intp]] = []
    for group in groups:
        count = min(max(1, round(share * len(group))), len(group) - 1)
        judges.append(rng.permutation(group)[:count])
    held = np.sort(np.concatenate(judges))
    return np.setdiff1d(np.arange(rows), held), held
