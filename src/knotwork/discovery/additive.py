"""Formulas that are sums of one-variable functions once the target is transformed.

This is the network [n, 1] behind an outer function. Its splines follow from one linear least
squares problem; each is then given the functions that describe it best.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import sympy
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from ..functions import SymbolicFunction
from ..symbolic.edge_fit import FEWEST_SAMPLES, fit_edges
from .sampling import evenly
from .transforms import Transform, usable_transforms
from .univariate import edge_expression
from .weighted import Rows, by_roots, mean_of, median_of

__all__ = ["additive_candidates", "likeliest_first", "spline_basis"]

Array = NDArray[np.float64]

_DEGREE = 3
_INTERVALS = 8
_ROWS_A_COEFFICIENT = 4
_RIDGE = 1e-9
_SAMPLES = 200
_TRANSFORMS = 3
_FUNCTIONS = 3
_COMBINATIONS = 8
# A component with a smaller share of the spread than this is left out.
_NEGLIGIBLE = 1e-3


def additive_candidates(
    symbols: Sequence[sympy.Symbol],
    rows: Rows,
    functions: Sequence[SymbolicFunction],
    hopeless: float,
) -> Iterator[sympy.Expr]:
    """Yield formulas ``T^-1(sum_i c_i f_i(a_i x_i + b_i) + d)``, the most promising first.

    Parameters
    ----------
    symbols
        Names of the columns.
    rows : Rows
    functions : sequence of SymbolicFunction
    hopeless : float
        A transform whose additive fit misses more of the target than this is not followed.
    """
    X, y, weights = rows
    if len(y) < FEWEST_SAMPLES:
        return
    allowed = frozenset(function.name for function in functions)
    held = np.arange(len(y)) % 5 == 4
    held[-1] |= not held.any()
    intervals = int(
        np.clip((~held).sum() / (_ROWS_A_COEFFICIENT * X.shape[1]) - _DEGREE, 1, _INTERVALS)
    )
    design = np.column_stack([spline_basis(X[:, k], intervals) for k in range(X.shape[1])])
    train, judge = rows.take(~held), rows.take(held)
    typical = median_of(np.abs(y - median_of(y, weights)), weights) or 1.0
    fits: list[tuple[float, Transform, Any]] = []
    for transform in usable_transforms(y, allowed):
        target = transform.apply(y)
        centre = mean_of(target, weights)
        matrix = by_roots(design[~held], train.weights)
        right = by_roots(target[~held] - centre, train.weights)
        ridge = _RIDGE * np.sqrt((matrix**2).sum())
        solution = np.linalg.lstsq(
            np.vstack([matrix, ridge * np.eye(matrix.shape[1])]),
            np.concatenate([right, np.zeros(matrix.shape[1])]),
            rcond=None,
        )[0]
        values = transform.numeric(design[held] @ solution + centre, y)
        # Medians: a root near zero turns a small error into one that is not a number.
        miss = np.nan_to_num(np.abs(values - judge.y), nan=np.inf)
        error = median_of(miss, judge.weights) / typical
        if error < hopeless:
            fits.append((error, transform, solution))
    fits.sort(key=lambda entry: entry[0])
    for _, transform, solution in fits[:_TRANSFORMS]:
        yield from _snapped(symbols, X, y, functions, transform, solution, intervals)


def spline_basis(x: Array, intervals: int) -> Array:
    """Return the B-splines of a column at its rows, shape (rows, intervals + degree)."""
    breaks = np.unique(np.quantile(x, np.linspace(0, 1, intervals + 1)))
    knots = np.concatenate([[breaks[0]] * _DEGREE, breaks, [breaks[-1]] * _DEGREE])
    return BSpline.design_matrix(x, knots, _DEGREE).toarray()


def likeliest_first(counts: Sequence[int]) -> list[tuple[int, ...]]:
    """List all combinations of ranks, of so many choices for each part, the lowest ranks first."""
    return sorted(itertools.product(*map(range, counts)), key=lambda ranks: (sum(ranks), ranks))


def _snapped(
    symbols: Sequence[sympy.Symbol],
    X: Array,
    y: Array,
    functions: Sequence[SymbolicFunction],
    transform: Transform,
    solution: Array,
    intervals: int,
) -> Iterator[sympy.Expr]:
    """Yield sums in which every component is replaced by one of its best functions."""
    count, place = X.shape[1], 0
    inputs, outputs, kept = [], [], []
    total = float(np.std(transform.apply(y)))
    for k in range(count):
        basis = spline_basis(X[:, k], intervals)
        component = basis @ solution[place : place + basis.shape[1]]
        place += basis.shape[1]
        if np.std(component) > _NEGLIGIBLE * total:
            order = np.argsort(X[:, k], kind="stable")
            rows = order[evenly(len(y), _SAMPLES)]
            inputs.append(X[rows, k])
            outputs.append(component[rows])
            kept.append(k)
    if not kept:
        return
    rankings = fit_edges(torch.tensor(np.array(inputs)), torch.tensor(np.array(outputs)), functions)
    choices = [ranking[:_FUNCTIONS] for ranking in rankings]
    if not all(choices):
        return
    for ranks in likeliest_first([len(choice) for choice in choices])[:_COMBINATIONS]:
        total_expression = sum(
            (
                edge_expression(choice[rank], symbols[k])
                for k, choice, rank in zip(kept, choices, ranks, strict=True)
            ),
            sympy.Integer(0),
        )
        yield transform.invert(total_expression, y)
