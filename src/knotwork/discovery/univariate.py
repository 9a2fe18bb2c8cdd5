"""Formulas of one variable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy
import torch
from numpy.typing import NDArray

from ..functions import SymbolicFunction
from ..symbolic.edge_fit import FEWEST_SAMPLES, EdgeFit, fit_edges
from .sampling import evenly
from .transforms import Transform, usable_transforms
from .weighted import root_mean_square, spread_of

__all__ = ["edge_expression", "univariate_candidates"]

Array = NDArray[np.float64]

_SAMPLES = 256
_POWERS = (0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 4.0, -4.0)


def edge_expression(fit: EdgeFit, argument: sympy.Expr) -> sympy.Expr:
    """Return ``c*f(a*x + b) + d`` of an expression, constants that are not free left out."""
    function = fit.function
    inner = argument
    if fit.a != 1.0:
        inner = sympy.Float(fit.a, 17) * inner if abs(fit.a) != 1.0 else -inner
    if function.free_b and fit.b != 0.0:
        inner = inner + sympy.Float(fit.b, 17)
    return sympy.Float(fit.c, 17) * function.sympy(inner) + sympy.Float(fit.d, 17)


def univariate_candidates(
    symbol: sympy.Expr,
    x: Array,
    y: Array,
    functions: Sequence[SymbolicFunction],
    *,
    kept: int = 6,
    powers: bool = True,
    weights: Array | None = None,
) -> list[tuple[float, sympy.Expr]]:
    """Return formulas of one variable with their errors, the most promising first.

    Tried is ``T(y x^q) = c f(a x + b) + d`` for all functions f, the transforms T that the
    targets allow and a few exponents q.

    Parameters
    ----------
    symbol : sympy.Expr
        What x is called.
    x, y : arrays of shape (rows,)
    functions : sequence of SymbolicFunction
    kept : int
        How many to return.
    powers : bool
        Whether to try exponents other than 0.
    weights : array of shape (rows,), optional
        Of the rows, for every transform the same.

    Returns
    -------
    list of (float, sympy.Expr)
        Errors are relative to the standard deviation of `y`. Of fewer than 5 rows there are none.
    """
    if len(x) < FEWEST_SAMPLES:
        return []
    allowed = frozenset(function.name for function in functions)
    order = np.argsort(x, kind="stable")
    rows = order[evenly(len(x), _SAMPLES)]
    x, y = x[rows], y[rows]
    weights = None if weights is None else weights[rows]
    spread = spread_of(y, weights) or 1.0
    positive = bool((x > 0).all())
    settings: list[tuple[float, Transform, Array]] = []
    targets: list[Array] = []
    for q in _POWERS if powers else (0.0,):
        if q != 0 and not (positive or (q > 0 and q == int(q) and np.abs(x).min() > 0)):
            continue
        scaled = y * x**q
        for transform in usable_transforms(scaled, allowed, rare=True):
            if q != 0 and transform.name not in ("y", "1/y", "log", "1/y^2", "y^2"):
                continue
            settings.append((q, transform, scaled))
            targets.append(transform.apply(scaled))
    fits = fit_edges(
        torch.tensor(np.array([x] * len(targets))),
        torch.tensor(np.array(targets)),
        functions,
        None if weights is None else torch.tensor(np.array([weights] * len(targets))),
    )
    found: list[tuple[float, float, EdgeFit, Transform, Array, float]] = []
    for (q, transform, scaled), ranking in zip(settings, fits, strict=True):
        for fit in ranking[:4]:
            values = transform.numeric(fit(torch.tensor(x)).numpy(), scaled) / x**q
            error = root_mean_square(values - y, weights) / spread
            if not np.isfinite(error):
                continue
            cost = fit.function.cost + fit.function.free_a + fit.function.free_b
            cost += (0 if transform.name == "y" else 1.5) + (0 if q == 0 else 1.0 + 0.5 * abs(q))
            worth = np.log(max(error, 1e-9)) + 0.15 * cost
            found.append((float(worth), error, fit, transform, scaled, q))
    found.sort(key=lambda entry: entry[0])
    # Writing a formula takes SymPy far longer than judging its values: only those kept are.
    return [
        (
            error,
            transform.invert(edge_expression(fit, symbol), scaled)
            * symbol ** -sympy.Rational(int(2 * q), 2),
        )
        for _, error, fit, transform, scaled, q in found[:kept]
    ]
