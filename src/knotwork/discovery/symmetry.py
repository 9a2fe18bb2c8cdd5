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

import itertools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy
from numpy.typing import NDArray

from .surrogate import Surrogate

__all__ = ["Reduction", "pair_sums", "scalings", "translations", "without_idle"]

Array = NDArray[np.float64]

_NICE = sorted(
    {Fraction(p, q) for q in (1, 2, 3) for p in range(-6 * q, 6 * q + 1)},
    key=lambda f: (f.denominator, abs(f)),
)
_ROUNDING = 0.12
# A relation has no more terms than this.
_MOST_FACTORS = 3


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


@dataclass(frozen=True)
class _Relation:
    """A column as a combination of the free one and of few others: ``u_j = b + sum_k a_k u_k``."""

    free: float
    factors: dict[int, Fraction]


def _relations(
    columns: Array,
    free: Array,
    tolerance: float,
    *,
    nice_free: bool,
    whole: frozenset[int] = frozenset(),
) -> tuple[list[int], dict[int, _Relation]]:
    """Express as many columns as possible by few others (pivots), with plain coefficients.

    Parameters
    ----------
    columns : array of shape (rows, columns)
    free : array of shape (rows,)
    tolerance : float
        By which share of its size a column may miss; columns near zero count as 0.3 large.
    nice_free : bool
        Whether the free column's coefficient must be a plain fraction too.
    whole : frozenset of int
        Columns whose coefficients must be whole numbers, not negative.
    """
    count = columns.shape[1]
    # Gradients of columns over hundreds of decades can overflow.
    usable = np.isfinite(columns).all(1) & np.isfinite(free)
    if usable.sum() < 0.5 * len(free):
        return list(range(count)), {}
    columns, free = columns[usable], free[usable]
    sizes = np.maximum(np.sqrt(np.mean(columns**2, axis=0)), 0.3)
    pivots: list[int] = []
    while True:
        relations: dict[int, _Relation] = {}
        misses: dict[int, float] = {}
        for j in range(count):
            if j not in pivots:
                relation, misses[j] = _relation(
                    columns, free, j, pivots, tolerance * sizes[j], nice_free, j in whole
                )
                if relation is not None:
                    relations[j] = relation
        left = [j for j in misses if j not in relations]
        if not left:
            return sorted(pivots), relations
        pivots.append(max(left, key=lambda j: misses[j] / sizes[j]))


def _relation(
    columns: Array,
    free: Array,
    j: int,
    pivots: list[int],
    allowed: float,
    nice_free: bool,
    whole: bool,
) -> tuple[_Relation | None, float]:
    """Find the sparsest relation for a column that holds; also return the least miss."""
    target, least = columns[:, j], np.inf
    for size in range(min(len(pivots), _MOST_FACTORS) + 1):
        best: tuple[float, _Relation] | None = None
        for chosen in itertools.combinations(pivots, size):
            basis = np.column_stack([free, *(columns[:, k] for k in chosen)])
            solution = _robust_solution(basis, target)
            least = min(least, _typical(target - basis @ solution))
            factors = [_nice(float(value)) for value in solution[1:]]
            first = _nice(float(solution[0])) if nice_free else Fraction(0)
            if first is None or any(f is None or f == 0 for f in factors):
                continue
            parts = [f for f in (first, *factors) if f is not None]
            if whole and any(f.denominator != 1 or f < 0 for f in parts):
                continue
            plain = np.array([float(f) for f in parts])
            if not nice_free:
                plain[0] = float(solution[0])
            miss = _typical(target - basis @ plain)
            if miss <= allowed and (best is None or miss < best[0]):
                relation = _Relation(float(plain[0]), dict(zip(chosen, parts[1:], strict=True)))
                best = (miss, relation)
        if best is not None:
            return best[1], least
    return None, least


def _robust_solution(basis: Array, target: Array) -> Array:
    """Solve least squares, then once more with bad rows weighed down: surrogates have corners."""
    solution = np.linalg.lstsq(basis, target, rcond=None)[0]
    rest = target - basis @ solution
    weight = 1 / (1 + (rest / max(3 * _typical(rest), 1e-12)) ** 2)
    solution = np.linalg.lstsq(basis * weight[:, None], target * weight, rcond=None)[0]
    return np.asarray(solution, dtype=np.float64)


def _typical(rest: Array) -> float:
    return float(np.median(np.abs(rest))) / 0.67


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
    one_signed = (X > 0).all(0) | (X < 0).all(0)
    pivots, relations = _relations(
        elasticities / lengths[:, None],
        free / lengths,
        tolerance,
        nice_free=True,
        whole=frozenset(np.flatnonzero(~one_signed).tolist()),
    )
    if not relations:
        return None
    prefactor = sympy.S.One
    features: dict[int, sympy.Expr] = {k: symbols[k] for k in pivots}
    for j, relation in relations.items():
        first = _nice(relation.free)
        prefactor *= symbols[j] ** _rational(first or Fraction(0))
        for k, factor in relation.factors.items():
            features[k] *= symbols[j] ** _rational(factor)
    return Reduction(tuple(features[k] for k in pivots), prefactor)


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
    pivots, relations = _relations(
        gradients / lengths[:, None], size / lengths, tolerance, nice_free=False
    )
    if not relations:
        return None
    shift = sympy.S.Zero
    features: dict[int, sympy.Expr] = {k: symbols[k] for k in pivots}
    for j, relation in relations.items():
        slope = relation.free * size
        if abs(slope) * X[:, j].std() > 3 * surrogate.error * surrogate.spread:
            shift += sympy.Float(slope, 17) * symbols[j]
        for k, factor in relation.factors.items():
            features[k] += _rational(factor) * symbols[j]
    parts = tuple(features[k] for k in pivots)
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
            sure &= np.isfinite(gi) & np.isfinite(gj) & (gi != 0) & (gj != 0)
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


def without_idle(
    symbols: tuple[sympy.Symbol, ...], surrogate: Surrogate, X: Array, share: float
) -> Reduction | None:
    """Return the reduction to the inputs that matter, None if all do.

    Parameters
    ----------
    share : float
        An input is left out if moving it by its spread changes the surrogate by less than this
        share of what the most important one does.
    """
    _, gradients = surrogate.values_and_gradients(X)
    effects = np.sqrt(np.mean((gradients * X.std(0)) ** 2, axis=0))
    kept = [k for k, effect in enumerate(effects) if effect > share * effects.max()]
    if len(kept) == len(symbols):
        return None
    return Reduction(tuple(symbols[k] for k in kept))


def _rational(fraction: Fraction) -> sympy.Expr:
    return sympy.Integer(fraction.numerator) / fraction.denominator
