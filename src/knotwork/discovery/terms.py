"""Sums of few products of simple functions, by forward selection with a beam.

Orthogonal least squares picks terms of a dictionary one after the other, the one that lowers the
error most given those already in; a beam of supports goes on, since with inputs as alike as x and
x^2 the best single term is often not part of the right sum (Chen, Billings and Luo, 1989, for the
selection; a beam in place of its greedy choice).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from .dictionary import Dictionary
from .sampling import evenly

__all__ = ["Terms", "select_terms"]

Array = NDArray[np.float64]

_ROWS = 400
_MOST_TERMS = 60
# What is left of a target by the right sum, and shares of the largest coefficient below which
# others are left out, in turn.
_EXACT = 1e-10
_SHARES = (1e-3, 1e-2, 1e-4, 5e-2)


@dataclass(frozen=True)
class Terms:
    """A sum of terms, or a quotient of two sums, fitted to a target.

    Attributes
    ----------
    expression : sympy.Expr
        In the symbols given.
    rmse : float
        Of the linear problem, relative to the target's root mean square.
    size : int
        Number of terms.
    values : array of shape (rows,)
        Of the expression.
    """

    expression: sympy.Expr
    rmse: float
    size: int
    values: Array


def select_terms(
    dictionary: Dictionary,
    y: Array,
    *,
    most: int = 5,
    beam: int = 60,
    floor: float = 1e-11,
    exhaust: bool = True,
) -> list[Terms]:
    """Return the best sums of up to `most` terms, one or two of every size, small sizes first.

    Parameters
    ----------
    dictionary : Dictionary
    y : array of shape (rows,)
        The target, of the dictionary's rows.
    most : int
        The most terms.
    beam : int
        Supports kept at each size.
    floor : float
        A relative error at which nothing is left to explain.
    exhaust : bool
        Whether to go on, past `most`, for sums that leave nothing.
    """
    rows = evenly(len(y), _ROWS)
    costs = dictionary.costs
    size = float(np.sqrt(np.mean(y**2))) or 1.0
    matrix = dictionary.values[rows]
    # A column may vanish on these rows.
    norms = np.linalg.norm(matrix, axis=0)
    matrix = matrix / np.where(norms > 0, norms, 1.0)
    target = y[rows] / (np.linalg.norm(y[rows]) or 1.0)
    results: list[Terms] = []
    # A quotient can be written with any factor above and below, so that small ones come first.
    quotients = bool(dictionary.below.any())
    if exhaust and dictionary.telling and not quotients:
        found = _fitted(dictionary, y, size, _thresholded(dictionary, y, 2 * most))
        if found is not None:
            return [found]
    supports = [_Support.empty(matrix, target)]
    penalty = 1.0 + 0.02 * costs
    for _ in range(min(most, len(rows) // 4)):
        supports = _extended(supports, matrix, penalty, beam)
        for support in supports[:2]:
            found = _fitted(dictionary, y, size, support.chosen)
            if found is not None:
                results.append(found)
        if not supports or (results and min(r.rmse for r in results) < floor):
            return results
    if not exhaust:
        return results
    if dictionary.telling and quotients:
        found = _fitted(dictionary, y, size, _thresholded(dictionary, y, 2 * most))
        return results if found is None else [*results, found]
    # Go on greedily until nothing is left to explain, then leave out what is not needed: among
    # inputs so alike the terms picked first are often the wrong ones.
    support = supports[0]
    while len(support.chosen) < min(_MOST_TERMS, len(rows) // 4):
        if np.linalg.norm(support.residual) < floor:
            kept = _eliminated(matrix, target, support.chosen, floor)
            if len(kept) <= 2 * most:
                found = _fitted(dictionary, y, size, kept)
                if found is not None:
                    results.append(found)
            break
        following = _extended([support], matrix, np.ones_like(penalty), 1)
        if not following:
            break
        support = following[0]
    return results


@dataclass(frozen=True)
class _Support:
    """Chosen columns, an orthonormal basis of them, and what they leave.

    `left` is the squared length of each column of the dictionary outside their span.
    """

    chosen: tuple[int, ...]
    basis: Array
    residual: Array
    left: Array

    @classmethod
    def empty(cls, matrix: Array, target: Array) -> _Support:
        return cls((), np.zeros((len(target), 0)), target, np.ones(matrix.shape[1]))

    def with_column(self, matrix: Array, j: int) -> _Support | None:
        column = matrix[:, j]
        for _ in range(2):  # twice is enough (Kahan and Parlett)
            column = column - self.basis @ (self.basis.T @ column)
        length = float(np.linalg.norm(column))
        if length < 1e-10:
            return None
        column = column / length
        return _Support(
            tuple(sorted((*self.chosen, j))),
            np.column_stack([self.basis, column]),
            self.residual - column * (column @ self.residual),
            np.maximum(self.left - (column @ matrix) ** 2, 0.0),
        )


def _extended(supports: list[_Support], matrix: Array, penalty: Array, beam: int) -> list[_Support]:
    """Return the best supports with one column more."""
    proposals: dict[tuple[int, ...], tuple[float, int, int]] = {}
    gains = np.array([support.residual for support in supports]) @ matrix
    for place, support in enumerate(supports):
        usable = support.left > 1e-13
        gain = np.where(usable, gains[place] ** 2 / np.where(usable, support.left, 1.0), 0.0)
        rss = np.maximum(float(support.residual @ support.residual) - gain, 0.0) * penalty
        rss[~usable] = np.inf
        rss[list(support.chosen)] = np.inf
        count = min(beam, len(rss))
        for j in np.argpartition(rss, count - 1)[:count].tolist():
            key = tuple(sorted((*support.chosen, j)))
            worth = float(rss[j])
            if np.isfinite(worth) and (key not in proposals or worth < proposals[key][0]):
                proposals[key] = (worth, place, j)
    ranked = sorted(proposals.items(), key=lambda entry: (entry[1][0], entry[0]))[:beam]
    following = [supports[place].with_column(matrix, j) for _, (_, place, j) in ranked]
    return sorted(
        (support for support in following if support is not None),
        key=lambda support: float(support.residual @ support.residual),
    )


def _thresholded(dictionary: Dictionary, y: Array, most: int) -> tuple[int, ...]:
    """Return the columns of an exact sum of up to `most` terms, none if none is found.

    Of all columns together least squares gives those of the sum their coefficients and others
    next to none; leaving out the small and solving again, in turn, tells them apart (Brunton,
    Proctor and Kutz, PNAS 2016) even where columns are as good as dependent.
    """
    norms = np.linalg.norm(dictionary.values, axis=0)
    matrix, size = dictionary.values / norms, float(np.linalg.norm(y)) or 1.0
    first = np.linalg.lstsq(matrix, y, rcond=1e-14)[0]
    for share in _SHARES:
        kept, coefficients = np.arange(matrix.shape[1]), first
        while True:
            large = np.abs(coefficients) > share * np.abs(coefficients).max()
            if large.all():
                break
            kept = kept[large]
            coefficients = np.linalg.lstsq(matrix[:, kept], y, rcond=None)[0]
        rest = np.linalg.norm(matrix[:, kept] @ coefficients - y) / size
        if len(kept) <= most and rest < _EXACT:
            return tuple(kept.tolist())
    return ()


def _eliminated(
    matrix: Array, target: Array, chosen: tuple[int, ...], floor: float
) -> tuple[int, ...]:
    """Drop columns one after the other, the least missed first, while the fit stays exact."""
    kept = list(chosen)
    while len(kept) > 1:
        q, r = np.linalg.qr(matrix[:, kept])
        inverse = np.linalg.pinv(r)
        coefficients = inverse @ (q.T @ target)
        missed = np.abs(coefficients) / np.linalg.norm(inverse, axis=1)
        least = int(np.argmin(missed))
        if missed[least] > 10 * floor:
            break
        del kept[least]
    return tuple(kept)


def _fitted(dictionary: Dictionary, y: Array, size: float, key: tuple[int, ...]) -> Terms | None:
    """Fit the sum over all rows and write it as an expression."""
    if not key:
        return None
    part = dictionary.values[:, list(key)]
    scale = np.linalg.norm(part, axis=0)
    coefficients = np.linalg.lstsq(part / scale, y, rcond=None)[0] / scale
    rmse = float(np.sqrt(np.mean((part @ coefficients - y) ** 2))) / size
    effects = np.abs(coefficients) * scale
    if not np.isfinite(coefficients).all() or not (effects > 1e-9 * effects.max()).all():
        return None
    if dictionary.below[list(key)].all():
        return None
    below = dictionary.below[list(key)]
    # Columns below the line are multiplied by the target: it stands on both sides.
    with np.errstate(all="ignore"):
        above = part[:, ~below] @ coefficients[~below]
        values = above / (1 - (part[:, below] / y[:, None]) @ coefficients[below])
    numerator, denominator = sympy.Integer(0), sympy.Integer(1)
    for j, coefficient in zip(key, coefficients.tolist(), strict=True):
        part_of_it = sympy.Float(coefficient, 17) * dictionary.factor(j)
        if dictionary.below[j]:
            denominator = denominator - part_of_it
        else:
            numerator = numerator + part_of_it
    if numerator == 0:
        return None
    return Terms(numerator / denominator, rmse, len(key), values)
