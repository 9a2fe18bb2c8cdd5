"""Sums of simple terms in all inputs but one, whose coefficients are unknown functions of that one.

``y = sum_k g_k(u) h_k(v)``, u one input and v all others: with a dictionary for the h_k and splines
for the g_k everything is linear (varying-coefficient models: Hastie and Tibshirani, JRSS B 1993).
Few h_k are chosen, each with a spline of its own, and the splines are then given functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from ..functions import SymbolicFunction
from .additive import likeliest_first, spline_basis
from .clock import ENDLESS, Clock
from .dictionary import Dictionary
from .sampling import evenly
from .univariate import univariate_candidates
from .weighted import Rows, by_roots, spread_of

__all__ = ["varying_candidates"]

Array = NDArray[np.float64]

_INTERVALS = 8
_ROWS = 400
_MOST_COLUMNS = 160
_MOST_TERMS = 3
_BEAM = 6
# Supports are followed while they leave so little of the target; so many functions are tried for
# each coefficient, in so many combinations.
_WORTHWHILE = 0.03
# What a term more must be worth: a factor of the error.
_A_TERM = 4.0
# Terms that leave so little of the target need no others beside them.
_CLEAR = 1e-3
_FUNCTIONS = 3
_COMBINATIONS = 8
_SUPPORTS = 2


@dataclass(frozen=True)
class _Support:
    """Chosen terms, an orthonormal basis of all that they can give, and what they leave."""

    chosen: tuple[int, ...]
    basis: Array
    rest: Array

    @property
    def left(self) -> float:
        """Root mean square of the rest."""
        return float(np.sqrt(np.mean(self.rest**2)))

    def extended(self, j: int, group: Array) -> _Support:
        """Return the support with the columns of one term more."""
        fresh = group - self.basis @ (self.basis.T @ group)
        # A direction that is not new would be rounding error.
        left, sizes, _ = np.linalg.svd(fresh, full_matrices=False)
        fresh = left[:, sizes > 1e-7 * max(float(sizes[0]), 1e-300)]
        rest = self.rest - fresh @ (fresh.T @ self.rest)
        return _Support(
            tuple(sorted((*self.chosen, j))), np.column_stack([self.basis, fresh]), rest
        )


def varying_candidates(
    symbols: Sequence[sympy.Symbol],
    rows: Rows,
    functions: Sequence[SymbolicFunction],
    worthwhile: float,
    clock: Clock = ENDLESS,
) -> Iterator[sympy.Expr]:
    """Yield formulas ``sum_k g_k(u) h_k(v)`` for every choice of u.

    Parameters
    ----------
    symbols
        Names of the columns, two at the least.
    rows : Rows
    functions : sequence of SymbolicFunction
    worthwhile : float
        Models that leave more of the target's spread than this are not followed; at most 0.03.
    clock : Clock

    Raises
    ------
    OutOfTime
    """
    few = rows.take(evenly(len(rows.y), _ROWS))
    inputs = few.X
    allowed = frozenset(function.name for function in functions)
    for place, symbol in enumerate(symbols):
        others = [k for k in range(len(symbols)) if k != place]
        dictionary = Dictionary.of(
            [symbols[k] for k in others],
            inputs[:, others],
            rich=2 if len(others) < 3 else 1,
            allowed=allowed,
        )
        basis = spline_basis(inputs[:, place], _INTERVALS)
        follow = min(worthwhile, _WORTHWHILE)
        for support in _supports(dictionary, basis, few, follow, clock):
            yield from _snapped(symbol, place, basis, few, dictionary, support, functions)


def _supports(
    dictionary: Dictionary, basis: Array, rows: Rows, worthwhile: float, clock: Clock
) -> list[_Support]:
    """Return the few sets of terms that explain the target best, given how many they are."""
    count = min(dictionary.values.shape[1], _MOST_COLUMNS)
    columns = dictionary.values[:, :count] / np.linalg.norm(dictionary.values[:, :count], axis=0)
    # In units of what is left: errors times the roots of weights.
    spread = (spread_of(rows.y, rows.weights) or 1.0) * np.sqrt(rows.weight / len(rows.y))
    basis, y = by_roots(basis, rows.weights), by_roots(rows.y, rows.weights)
    groups = [np.linalg.qr(basis * columns[:, [j]])[0] for j in range(count)]
    found: list[tuple[float, _Support]] = []
    beam = [_Support((), np.zeros((len(y), 0)), y)]
    for size in range(_MOST_TERMS):
        tried: dict[tuple[int, ...], _Support] = {}
        for support in beam:
            clock.check()
            for j in range(count):
                key = tuple(sorted((*support.chosen, j)))
                if j not in support.chosen and key not in tried:
                    tried[key] = support.extended(j, groups[j])
        ranked = sorted(tried.values(), key=lambda s: (s.left, s.chosen))
        beam = ranked[:_BEAM]
        if size == 0:  # plain terms too, since alone they may look poor beside others
            beam += [tried[j,] for j in range(min(_BEAM, count)) if tried[j,] not in beam]
        found += [
            (support.left * _A_TERM ** len(support.chosen), support)
            for support in beam
            if support.left < worthwhile * spread
        ]
        if found and min(entry[1].left for entry in found) < _CLEAR * spread:
            break
    return [support for _, support in sorted(found, key=lambda entry: entry[0])[:_SUPPORTS]]


def _coefficients(columns: Array, basis: Array, rows: Rows) -> Array:
    """Return the values of the terms' coefficients at the rows, shape (rows, terms)."""
    width, count = basis.shape[1], columns.shape[1]
    matrix = np.hstack([basis * columns[:, [j]] for j in range(count)])
    matrix = by_roots(matrix, rows.weights)
    # A trace of ridge: functions of others can be as good as constant over an interval.
    scale = 1e-9 * np.linalg.norm(matrix, axis=0).max()
    system = np.vstack([matrix, scale * np.eye(matrix.shape[1])])
    target = np.concatenate([by_roots(rows.y, rows.weights), np.zeros(matrix.shape[1])])
    solution = np.linalg.lstsq(system, target, rcond=None)[0]
    return np.column_stack([basis @ solution[k * width : (k + 1) * width] for k in range(count)])


def _snapped(
    symbol: sympy.Symbol,
    place: int,
    basis: Array,
    rows: Rows,
    dictionary: Dictionary,
    support: _Support,
    functions: Sequence[SymbolicFunction],
) -> Iterator[sympy.Expr]:
    """Yield the sum with the best functions for its coefficients."""
    choices: list[list[sympy.Expr]] = []
    coefficients = _coefficients(dictionary.values[:, list(support.chosen)], basis, rows)
    for k, j in enumerate(support.chosen):
        values = coefficients[:, k]
        size = float(np.sqrt(np.mean(values**2)))
        found: list[sympy.Expr] = []
        if float(np.std(values)) < 0.05 * size:
            found.append(sympy.Float(float(np.median(values)), 17))
        else:
            ranked = univariate_candidates(
                symbol, rows.X[:, place], values, functions, kept=_FUNCTIONS, powers=False
            )
            found += [expression for _, expression in ranked]
        if not found:
            return
        choices.append([dictionary.factor(j) * expression for expression in found])
    for ranks in likeliest_first([len(choice) for choice in choices])[:_COMBINATIONS]:
        yield sympy.Add(*[choice[rank] for choice, rank in zip(choices, ranks, strict=True)])
