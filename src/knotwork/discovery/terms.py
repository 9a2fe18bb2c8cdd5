"""Sums of few products of simple functions, by forward selection with a beam.

The dictionary holds the products, over all inputs, of one simple function each (1, a power, log,
exp, sin, cos). Orthogonal least squares picks terms one after the other, the one that lowers the
error most given those already in; a beam of supports goes on, since with inputs as alike as x and
x^2 the best single term is often not part of the right sum (Chen, Billings and Luo, 1989, for the
selection; a beam in place of its greedy choice). With columns multiplied by the target in the
dictionary as well, quotients of such sums come out of the same linear problem.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = ["Term", "Terms", "select_terms"]

Array = NDArray[np.float64]

_ROWS = 400
_MOST_TERMS = 60
_MOST_COLUMNS = 12_000
_HALF = sympy.Rational(1, 2)


@dataclass(frozen=True)
class Term:
    """A column of the dictionary: a product of functions of the features, and perhaps of y."""

    factor: sympy.Expr
    in_denominator: bool


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
    """

    expression: sympy.Expr
    rmse: float
    size: int


def _functions(
    symbol: sympy.Symbol, x: Array, rich: int, allowed: frozenset[str] | None
) -> list[tuple[sympy.Expr, Array, float]]:
    """List simple functions of one feature with their values and costs; 1 comes first."""
    found: list[tuple[sympy.Expr, Array, float]] = [(sympy.Integer(1), np.ones_like(x), 0.0)]
    positive, apart = bool((x > 0).all()), bool((x > 0).all() or (x < 0).all())
    powers = {0: [1, 2], 1: [1, 2], 2: [1, 2, 3, 4], 3: [1, 2, 3, 4, 5, 6, 8, 9, 10, 12]}[rich]
    for p in powers:
        found.append((symbol**p, x**p, 1.0 + 0.5 * abs(p - 1)))
    if apart and rich > 0:
        for p in powers:
            found.append((symbol**-p, x ** float(-p), 1.5 + 0.5 * abs(p - 1)))
    if positive and rich > 1:
        for p in (1, -1, 3, -3):
            found.append((symbol ** (p * _HALF), x ** (p / 2), 2.0 + 0.5 * (abs(p) - 1)))

    def usable(name: str) -> bool:
        # A cosine is a sine with another phase.
        return allowed is None or name in allowed or (name == "cos" and "sin" in allowed)

    small = rich > 0 and float(np.abs(x).max()) < 30
    for name, form, values in (
        ("sin", sympy.sin, np.sin),
        ("cos", sympy.cos, np.cos),
        ("exp", sympy.exp, np.exp),
    ):
        if small and usable(name):
            found.append((form(symbol), values(x), 2.0))
            if name == "exp" and rich > 1:
                found.append((sympy.exp(-symbol), np.exp(-x), 2.0))
            if name == "exp" and rich > 2:
                found.append((sympy.exp(-2 * symbol), np.exp(-2 * x), 3.0))
                found.append((sympy.exp(2 * symbol), np.exp(2 * x), 3.0))
            # cos^2 is 1 - sin^2, so one of them is enough.
            if name == "sin" and rich > 1:
                found.append((form(symbol) ** 2, values(x) ** 2, 3.0))
    if positive and rich > 1 and usable("log"):
        found.append((sympy.log(symbol), np.log(x), 2.0))
    return found


def _dictionary(
    symbols: Sequence[sympy.Symbol],
    X: Array,
    y: Array,
    rich: int,
    quotients: bool,
    allowed: frozenset[str] | None,
) -> tuple[list[Term], Array, Array]:
    lists = [_functions(s, X[:, i], rich, allowed) for i, s in enumerate(symbols)]
    while int(np.prod([len(entries) for entries in lists])) > 20 * _MOST_COLUMNS:
        lists = [entries[:-1] for entries in lists]
    terms: list[Term] = []
    columns: list[Array] = []
    costs: list[float] = []
    for parts in itertools.product(*lists):
        cost = sum(part[2] for part in parts)
        if cost > 9:
            continue
        column = np.prod([part[1] for part in parts], axis=0)
        if not np.isfinite(column).all() or not np.any(column):
            continue
        factor = sympy.Mul(*[part[0] for part in parts])
        terms.append(Term(factor, False))
        columns.append(column)
        costs.append(cost)
        if quotients and factor != 1 and cost <= 3.0:
            terms.append(Term(factor, True))
            columns.append(column * y)
            costs.append(cost + 1.0)
        if len(terms) > _MOST_COLUMNS:
            break
    return terms, np.array(columns).T, np.array(costs)


def select_terms(
    symbols: Sequence[sympy.Symbol],
    X: Array,
    y: Array,
    *,
    most: int = 5,
    beam: int = 60,
    rich: int = 2,
    quotients: bool = False,
    floor: float = 1e-11,
    allowed: frozenset[str] | None = None,
) -> list[Terms]:
    """Return the best sums of up to `most` terms, one or two of every size, small sizes first.

    Parameters
    ----------
    symbols
        Names of the features.
    X, y : arrays of shape (rows, features) and (rows,)
    most : int
        The most terms.
    beam : int
        Supports kept at each size.
    rich : int
        0 for polynomials; 1 for low powers and sin, cos, exp; up to 3, with powers up to 12,
        half powers and log too.
    quotients : bool
        Whether to look for quotients of sums too.
    floor : float
        A relative error at which nothing is left to explain.
    allowed : set of str, optional
        Names of the functions that may be used; None for all.
    """
    rows = np.linspace(0, len(y) - 1, min(len(y), _ROWS)).astype(int)
    terms, full, costs = _dictionary(symbols, X, y, rich, quotients, allowed)
    size = float(np.sqrt(np.mean(y**2))) or 1.0
    matrix = full[rows]
    norms = np.linalg.norm(matrix, axis=0)
    matrix = matrix / norms
    target = y[rows] / (np.linalg.norm(y[rows]) or 1.0)
    results: list[Terms] = []
    supports = [_Support.empty(matrix, target)]
    penalty = 1.0 + 0.02 * costs
    for _ in range(min(most, len(rows) // 4)):
        supports = _extended(supports, matrix, penalty, beam)
        for support in supports[:2]:
            found = _fitted(terms, full, y, size, support.chosen)
            if found is not None:
                results.append(found)
        if not supports or (results and min(r.rmse for r in results) < floor):
            return results
    # Go on greedily until nothing is left to explain, then leave out what is not needed: among
    # inputs so alike the terms picked first are often the wrong ones.
    support = supports[0]
    while len(support.chosen) < min(_MOST_TERMS, len(rows) // 4):
        if np.linalg.norm(support.residual) < floor:
            kept = _eliminated(matrix, target, support.chosen, floor)
            if len(kept) <= 2 * most:
                found = _fitted(terms, full, y, size, kept)
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


def _fitted(
    terms: list[Term], full: Array, y: Array, size: float, key: tuple[int, ...]
) -> Terms | None:
    """Fit the sum over all rows and write it as an expression."""
    part = full[:, list(key)]
    scale = np.linalg.norm(part, axis=0)
    coefficients = np.linalg.lstsq(part / scale, y, rcond=None)[0] / scale
    rmse = float(np.sqrt(np.mean((part @ coefficients - y) ** 2))) / size
    effects = np.abs(coefficients) * scale
    if not np.isfinite(coefficients).all() or not (effects > 1e-9 * effects.max()).all():
        return None
    if all(terms[j].in_denominator for j in key):
        return None
    numerator, denominator = sympy.Integer(0), sympy.Integer(1)
    for j, coefficient in zip(key, coefficients.tolist(), strict=True):
        if terms[j].in_denominator:
            denominator = denominator - sympy.Float(coefficient, 17) * terms[j].factor
        else:
            numerator = numerator + sympy.Float(coefficient, 17) * terms[j].factor
    if numerator == 0:
        return None
    return Terms(numerator / denominator, rmse, len(key))
