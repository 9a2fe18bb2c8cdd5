"""Whether what a formula leaves is noise or can still be predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import KDTree

from .clock import Clock
from .problem import Problem
from .surrogate import fit_surrogate
from .tape import Tape
from .weighted import Rows, by_roots, whitened

__all__ = ["correlation_test", "predictable_share", "smooth_share"]

Array = NDArray[np.float64]

# Each of three tests; together they cast doubt on one of some hundred right formulas.
_SIGNIFICANT = 0.002
_NEIGHBOURS = 6
# With so much predicted by smooth terms no network needs asking.
_PLENTY = 0.1


def correlation_test(predicted: Array, y: Array, weights: Array | None = None) -> float:
    """Return the one-sided p-value of a rank correlation, 1 where it cannot be taken.

    With weights it is that of deviations from the mean times the roots of weights.
    """
    if len(y) < 4 or not np.isfinite(predicted).all() or np.ptp(predicted) == 0 or np.ptp(y) == 0:
        return 1.0
    pair = whitened(predicted, weights), whitened(y, weights)
    result: Any = stats.spearmanr(*pair, alternative="greater")
    return float(result.pvalue)


def predictable_share(problem: Problem, expression: object, clock: Clock) -> float:
    """Return the share of a formula's residuals that a model predicts on held-out rows.

    Tried are smooth terms, the nearest rows, and a network. A share that does not differ
    significantly from 0 counts as 0.

    Raises
    ------
    OutOfTime
        If the clock runs out while the network is fitted.
    """
    share = smooth_share(problem, expression)
    rest, held = _residuals(problem, expression)
    share = max(share, _neighbours_share(rest, held))
    if share > _PLENTY or not _telling(held.y) or len(rest.y) < 100:
        return share
    networks = fit_surrogate(*rest, starts=1, clock=clock, logarithms=False)
    return max(share, *(_share(network.predictions(held.X), held) for network in networks))


def smooth_share(problem: Problem, expression: object) -> float:
    """Return the share that cubics in each input and products of pairs predict."""
    rest, held = _residuals(problem, expression)
    train_terms, held_terms = _smooth_terms(problem.X, problem.X, problem.X_held)
    if not _telling(held.y) or len(rest.y) < 3 * train_terms.shape[1]:
        return 0.0
    system, target = by_roots(train_terms, rest.weights), by_roots(rest.y, rest.weights)
    solution = np.linalg.lstsq(system, target, rcond=None)[0]
    return _share(held_terms @ solution, held)


def _neighbours_share(rest: Rows, held: Rows) -> float:
    """Return the share that the mean over the nearest rows predicts: of steps and corners too."""
    if not _telling(held.y) or len(rest.y) < 10 * _NEIGHBOURS:
        return 0.0
    scale = rest.X.std(0)
    scale[scale == 0] = 1.0
    _, nearest = KDTree(rest.X / scale).query(held.X / scale, k=_NEIGHBOURS)
    weights = None if rest.weights is None else rest.weights[nearest]
    return _share(np.average(rest.y[nearest], axis=1, weights=weights), held)


def _residuals(problem: Problem, expression: object) -> tuple[Rows, Rows]:
    """Return the rows to fit to and those held out with what a formula leaves for targets."""
    tape = Tape(expression, problem.symbols)  # pyright: ignore[reportArgumentType]
    rest, held = (
        rows._replace(y=rows.y - tape.values(rows.X)) for rows in (problem.rows, problem.held)
    )
    return rest, held


def _telling(held: Array) -> bool:
    return bool(np.isfinite(held).all()) and len(held) >= 10 and float(np.std(held)) > 0


def _share(predicted: Array, held: Rows) -> float:
    if correlation_test(predicted, held.y, held.weights) > _SIGNIFICANT:
        return 0.0
    pair = whitened(predicted, held.weights), whitened(held.y, held.weights)
    return max(0.0, float(np.corrcoef(*pair)[0, 1])) ** 2


def _smooth_terms(X: Array, *tables: Array) -> list[Array]:
    """Return cubic terms of every column and products of pairs, in columns scaled by those of X."""
    low, high = X.min(0), X.max(0)
    reach = np.where(high > low, high - low, 1.0)
    found: list[Array] = []
    for table in tables:
        z = np.clip(2 * (table - low) / reach - 1, -1.5, 1.5)
        columns = [np.ones(len(z))]
        columns += [z[:, k] ** p for k in range(z.shape[1]) for p in (1, 2, 3)]
        columns += [z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i)]
        found.append(np.column_stack(columns))
    return found
