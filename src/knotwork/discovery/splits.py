"""Where a surrogate is a sum or a product of two functions, each of some of the inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sampling import evenly
from .surrogate import Surrogate

__all__ = ["Split", "part_values", "splits"]

Array = NDArray[np.float64]

_MOST_INPUTS = 9
_PAIRS = 400
# Rows and settings of the other inputs at which the two parts of a product are compared.
_ROWS = 40
_PART_ROWS = 500
_SETTINGS = 40


@dataclass(frozen=True)
class Split:
    """Two sets of inputs whose parts are added or multiplied.

    Attributes
    ----------
    part : tuple of int
        The smaller set.
    product : bool
    defect : float
        By how much the surrogate is not so, relative to its spread.
    """

    part: tuple[int, ...]
    product: bool
    defect: float


def splits(
    surrogate: Surrogate, X: Array, rng: np.random.Generator, tolerance: float
) -> list[Split]:
    """List the ways in which a surrogate comes apart, few inputs first.

    Of random pairs of rows the coordinates of a set are swapped: for a sum,
    ``f(a, b) + f(a', b') = f(a, b') + f(a', b)``. For a product the values of f at all
    combinations of some a and some b are a matrix of rank one. The surrogate of a logarithm needs
    no second test: its sums are products.

    Parameters
    ----------
    surrogate : Surrogate
    X : array of shape (rows, inputs)
    rng : numpy.random.Generator
    tolerance : float
        The largest defect.
    """
    count = X.shape[1]
    if not 2 <= count <= _MOST_INPUTS:
        return []
    pairs = rng.integers(0, len(X), (2, _PAIRS))
    first, second = X[pairs[0]], X[pairs[1]]
    direct = surrogate.values(first) + surrogate.values(second)
    found: list[Split] = []
    for mask in range(1, 2 ** (count - 1)):
        chosen = [k for k in range(count) if mask >> k & 1]
        rest = [k for k in range(count) if k not in chosen]
        part = tuple(chosen if len(chosen) <= len(rest) else rest)
        swapped, other = first.copy(), second.copy()
        swapped[:, chosen], other[:, chosen] = second[:, chosen], first[:, chosen]
        defect = direct - surrogate.values(swapped) - surrogate.values(other)
        size = float(np.median(np.abs(defect))) / surrogate.spread
        if size < tolerance:
            found.append(Split(part, surrogate.logarithm, size))
        elif not surrogate.logarithm:
            size = _rank_defect(surrogate, X, part)
            if size < tolerance:
                found.append(Split(part, True, size))
    return sorted(found, key=lambda split: (len(split.part), split.defect))


def _combinations(surrogate: Surrogate, X: Array, part: tuple[int, ...], rows: int) -> Array:
    """Return the values for the part of some rows with the rest of others, (rows, settings)."""
    few = X[evenly(len(X), rows)]
    settings = X[evenly(len(X), _SETTINGS)]
    points = np.repeat(settings[None], len(few), axis=0)
    points[:, :, list(part)] = few[:, None, list(part)]
    return surrogate.values(points.reshape(-1, X.shape[1])).reshape(len(few), len(settings))


def _rank_defect(surrogate: Surrogate, X: Array, part: tuple[int, ...]) -> float:
    """Return what a matrix of rank one leaves of the values, relative to the spread."""
    table = _combinations(surrogate, X, part, _ROWS)
    left, sizes, right = np.linalg.svd(table, full_matrices=False)
    rest = table - sizes[0] * np.outer(left[:, 0], right[0])
    return float(np.median(np.abs(rest))) / surrogate.spread


def part_values(surrogate: Surrogate, X: Array, split: Split) -> tuple[Array, Array]:
    """Return rows of the part's inputs and its values there.

    A sum's part is known up to a constant, a product's up to a factor.

    Returns
    -------
    X : array of shape (rows, part)
    values : array of shape (rows,)
    """
    rows = evenly(len(X), _PART_ROWS)
    table = _combinations(surrogate, X, split.part, _PART_ROWS)
    inputs = X[rows][:, list(split.part)]
    if not split.product:
        return inputs, table.mean(1)
    if surrogate.logarithm:
        mean = table.mean(1)
        return inputs, np.exp(mean - mean.mean())
    left = np.linalg.svd(table, full_matrices=False)[0]
    values = left[:, 0] * np.sqrt(len(rows))
    return inputs, values * np.sign(np.median(values) or 1.0)
