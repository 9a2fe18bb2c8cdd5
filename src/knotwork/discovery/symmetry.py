"""Symmetries of a surrogate, and the smaller problems that they lead to.

If y obeys ``y(.., t^a_i x_i, ..) = t^b y(x)`` for all t, the elasticities ``x_i dlog|y|/dx_i`` obey
the linear relation ``sum_i a_i u_i = b``. All such scaling laws are found at once as linear
relations between the columns of a matrix, one row a sample: dimensional analysis in which the data
tells the dimensions. The same with derivatives ``dy/dx_i`` gives translations, as of a function of
``x_1 - x_2``. Every relation takes one variable away (Buckingham's theorem).

Relations that hold for the surrogate within its error are proposals: whoever uses them checks on
the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy
from numpy.typing import NDArray

from .surrogate import Surrogate

__all__ = ["Reduction", "additive_splits", "pair_sums", "scalings", "translations"]

Array = NDArray[np.float64]

_NICE = sorted(
    {Fraction(p, q) for q in (1, 2, 3) for p in range(-6 * q, 6 * q + 1)},
    key=lambda f: (f.denominator, abs(f)),
)
_ROUNDING = 0.12


@dataclass(frozen=True)
class Reduction:
    """A way to write the target with fewer variables: ``y = prefactor * F(features) + shift``.

    Attributes
    ----------
    features : tuple of sympy.Expr
        In the symbols of the problem.
    prefactor : sympy.Expr
    shift : sympy.Expr
    """

    features: tuple[sympy.Expr, ...]
    prefactor: sympy.Expr = sympy.S.One
    shift: sympy.Expr = sympy.S.Zero


def _nice(value: float, tolerance: float = _ROUNDING) -> Fraction | None:
    """Return the plainest fraction near a value."""
    for fraction in _NICE:
        if abs(float(fraction) - value) <= tolerance / fraction.denominator:
            return fraction
    return None


def _relations(
    columns: Array, free: Array, first: list[int], tolerance: float
) -> tuple[list[int], dict[int, Array]]:
    """Express columns by few of them and by `free`: choose the few greedily.

    Returns the chosen columns (pivots) and, for each other one, its coefficients: those of `free`
    first, then those of the pivots.
    """
    count = columns.shape[1]
    pivots = list(first)
    while True:
        basis = np.column_stack([free, *(columns[:, k] for k in pivots)])
        others = [j for j in range(count) if j not in pivots]
        if not others:
            return pivots, {}
        coefficients = np.linalg.lstsq(basis, columns[:, others], rcond=None)[0]
        rest = columns[:, others] - basis @ coefficients
        # Medians: a surrogate is worst at a few corners.
        misses = np.sqrt(np.median(rest**2, axis=0)) / 0.67
        sizes = np.sqrt(np.mean(columns[:, others] ** 2, axis=0))
        worst = int(np.argmax(misses / np.maximum(sizes, 0.02)))
        if misses[worst] <= tolerance * max(sizes[worst], 0.02):
            refined = {}
            for place, j in enumerate(others):
                weight = 1 / (1 + (rest[:, place] / max(2 * misses[place], 1e-12)) ** 2)
                solution = np.linalg.lstsq(
                    basis * weight[:, None], columns[:, j] * weight, rcond=None
                )[0]
                refined[j] = solution
            return pivots, refined
        pivots.append(others[worst])


def scalings(
    symbols: tuple[sympy.Symbol, ...], surrogate: Surrogate, X: Array, tolerance: float
) -> Reduction | None:
    """Return the reduction by all scaling laws, ``y = prod x_j^b_j F(x_k prod x_j^a_jk)``.

    Parameters
    ----------
    symbols
        Names of the columns of X.
    surrogate : Surrogate
    X : array of shape (rows, inputs)
    tolerance : float
        By which share of its size a relation may miss.

    Returns
    -------
    Reduction or None
        None if there is no scaling law.
    """
    values, gradients = surrogate.values_and_gradients(X)
    elasticities = X * gradients
    free = np.ones(len(X)) if surrogate.logarithm else values
    # Rows near a zero of y say little and would be blown up by scaling them to length 1.
    floor = 0.0 if surrogate.logarithm else 20 * surrogate.error * surrogate.spread
    lengths = np.sqrt(free**2 + (elasticities**2).sum(1) + floor**2)
    columns, free = elasticities / lengths[:, None], free / lengths
    signs = [j for j in range(X.shape[1]) if not (np.all(X[:, j] > 0) or np.all(X[:, j] < 0))]
    first: list[int] = []
    while True:
        pivots, relations = _relations(columns, free[:, None], first, tolerance)
        bad: list[int] = []
        powers: dict[int, list[Fraction]] = {}
        for j, coefficients in relations.items():
            rounded = [_nice(float(c)) for c in coefficients]
            if any(r is None for r in rounded) or (
                j in signs and any(r.denominator != 1 or r < 0 for r in rounded if r is not None)
            ):
                bad.append(j)
            else:
                powers[j] = [r for r in rounded if r is not None]
        if not bad:
            break
        first = [*first, bad[0]]
        if len(first) >= X.shape[1]:
            return None
    if not powers:
        return None
    prefactor = sympy.Integer(1)
    features: dict[int, sympy.Expr] = {k: symbols[k] for k in pivots}
    for j, rounded in powers.items():
        prefactor *= symbols[j] ** _rational(rounded[0])
        for k, power in zip(pivots, rounded[1:], strict=True):
            features[k] *= symbols[j] ** _rational(power)
    return Reduction(tuple(features[k] for k in sorted(pivots)), prefactor)


def translations(
    symbols: tuple[sympy.Symbol, ...], surrogate: Surrogate, X: Array, tolerance: float
) -> Reduction | None:
    """Return the reduction by translations, ``y = sum b_j x_j + F(x_k + sum a_jk x_j)``.

    Of a logarithm, the sum turns into the exponential factor ``exp(sum b_j x_j)``.
    """
    _, gradients = surrogate.values_and_gradients(X)
    size = float(np.sqrt(np.mean(gradients**2))) or 1.0
    floor = 20 * surrogate.error * surrogate.spread / float(np.mean(X.std(0)))
    lengths = np.sqrt((gradients**2).sum(1) + floor**2 + (0.1 * size) ** 2)
    columns = gradients / lengths[:, None]
    free = (1.0 / lengths)[:, None]
    first: list[int] = []
    while True:
        pivots, relations = _relations(columns, free * size, first, tolerance)
        bad: list[int] = []
        kept: dict[int, tuple[float, list[Fraction]]] = {}
        for j, coefficients in relations.items():
            rounded = [_nice(float(c)) for c in coefficients[1:]]
            if any(r is None for r in rounded):
                bad.append(j)
            else:
                kept[j] = (float(coefficients[0]) * size, [r for r in rounded if r is not None])
        if not bad:
            break
        first = [*first, bad[0]]
        if len(first) >= X.shape[1]:
            return None
    if not kept:
        return None
    shift = sympy.Integer(0)
    features: dict[int, sympy.Expr] = {k: symbols[k] for k in pivots}
    for j, (slope, rounded) in kept.items():
        if abs(slope) * X[:, j].std() > 3 * surrogate.error * surrogate.spread:
            shift += sympy.Float(slope, 17) * symbols[j]
        for k, factor in zip(pivots, rounded, strict=True):
            features[k] += _rational(factor) * symbols[j]
    parts = tuple(features[k] for k in sorted(pivots))
    if surrogate.logarithm:
        return Reduction(parts, prefactor=sympy.exp(shift))
    return Reduction(parts, shift=shift)


def pair_sums(
    symbols: tuple[sympy.Symbol, ...], surrogate: Surrogate, X: Array, tolerance: float
) -> Reduction | None:
    """Return the reduction to a sum of powers of two variables, as in F(x^2 + c y^2, ...).

    The ratio of two derivatives does not depend on what the sum goes through: here it is
    ``c x^a / y^b``. The pair whose ratio follows such a law best is taken.
    """
    _, gradients = surrogate.values_and_gradients(X)
    spread = X.std(0)
    best: tuple[float, Reduction] | None = None
    sizes = np.sqrt(np.median((gradients * spread) ** 2, axis=0))
    for i in range(X.shape[1]):
        for j in range(i):
            gi, gj = gradients[:, i] * spread[i], gradients[:, j] * spread[j]
            sure = (np.abs(gi) > 0.1 * sizes[i]) & (np.abs(gj) > 0.1 * sizes[j])
            sure &= (X[:, i] != 0) & (X[:, j] != 0)
            if sure.sum() < 30:
                continue
            u, v = X[sure, i], X[sure, j]
            ratio = gradients[sure, i] / gradients[sure, j]
            basis = np.column_stack([np.log(np.abs(u)), np.log(np.abs(v)), np.ones(len(u))])
            solution = np.linalg.lstsq(basis, np.log(np.abs(ratio)), rcond=None)[0]
            rest = np.log(np.abs(ratio)) - basis @ solution
            weight = 1 / (1 + (rest / max(2 * float(np.median(np.abs(rest))), 1e-12)) ** 2)
            solution = np.linalg.lstsq(
                basis * weight[:, None], np.log(np.abs(ratio)) * weight, rcond=None
            )[0]
            miss = float(np.median(np.abs(np.log(np.abs(ratio)) - basis @ solution)))
            a, b = _nice(float(solution[0]), 0.15), _nice(-float(solution[1]), 0.15)
            if a is None or b is None or miss > tolerance or a == -1 or b == -1:
                continue
            if max(a.denominator, b.denominator) > 2 or (best is not None and miss >= best[0]):
                continue
            odd = np.sign(ratio) * np.sign(u) ** (int(a) % 2) * np.sign(v) ** (int(b) % 2)
            sign = float(np.sign(np.median(odd)))
            if np.mean(odd == sign) < 0.95:
                continue
            factor = sign * float(np.exp(solution[2])) * float((b + 1) / (a + 1))
            nearest = _nice(factor, 0.1)
            coefficient = _rational(nearest) if nearest else sympy.Float(factor, 17)
            total = symbols[j] ** _rational(b + 1) + coefficient * symbols[i] ** _rational(a + 1)
            others = [s for k, s in enumerate(symbols) if k not in (i, j)]
            best = (miss, Reduction((total, *others)))
    return best[1] if best else None


def additive_splits(
    surrogate: Surrogate, X: Array, rng: np.random.Generator, tolerance: float
) -> list[tuple[float, tuple[int, ...]]]:
    """List the sets of inputs whose part can be added to that of all others, best first.

    Of random pairs of rows the coordinates of a set are swapped: for a sum,
    ``f(a, b) + f(a', b') = f(a, b') + f(a', b)``. A surrogate of log|y| so tests for products.

    Returns
    -------
    list of (float, tuple of int)
        The median defect relative to the spread, and the smaller set of the two.
    """
    n = X.shape[1]
    if n < 2 or n > 9:
        return []
    pairs = rng.integers(0, len(X), (2, 400))
    first, second = X[pairs[0]], X[pairs[1]]
    direct = surrogate.values(first) + surrogate.values(second)
    found: list[tuple[float, tuple[int, ...]]] = []
    for mask in range(1, 2 ** (n - 1)):
        chosen = [k for k in range(n) if mask >> k & 1]
        swapped, other = first.copy(), second.copy()
        swapped[:, chosen], other[:, chosen] = second[:, chosen], first[:, chosen]
        defect = direct - surrogate.values(swapped) - surrogate.values(other)
        size = float(np.median(np.abs(defect))) / surrogate.spread
        if size < tolerance:
            rest = [k for k in range(n) if k not in chosen]
            part = chosen if len(chosen) <= len(rest) else rest
            found.append((size, tuple(part)))
    return sorted(found, key=lambda entry: (len(entry[1]), entry[0]))


def _rational(fraction: Fraction) -> sympy.Expr:
    return sympy.Integer(fraction.numerator) / fraction.denominator
