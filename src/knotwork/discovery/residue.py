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

__all__ = ["correlation_test", "predictable_share", "smooth_share"]

Array = NDArray[np.float64]

# Each of three tests; together they cast doubt on one of some hundred right formulas.
_SIGNIFICANT = 0.002
_NEIGHBOURS = 6
# With so much predicted by smooth terms no network needs asking.
_PLENTY = 0.1


def correlation_test(predicted: Array, y: Array) -> float:
    """Return the one-sided p-value of a rank correlation, 1 where it cannot be taken."""
    if len(y) < 4 or not np.isfinite(predicted).all() or np.ptp(predicted) == 0 or np.ptp(y) == 0:
        return 1.0
    result: Any = stats.spearmanr(predicted, y, alternative="greater")
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
    share = max(share, _neighbours_share(problem.X, rest, problem.X_held, held))
    if share > _PLENTY or not _telling(held) or len(rest) < 100:
        return share
    networks = fit_surrogate(problem.X, rest, starts=1, clock=clock, logarithms=False)
    return max(share, *(_share(network.predictions(problem.X_held), held) for network in networks))


def smooth_share(problem: Problem, expression: object) -> float:
    """Return the share that cubics in each input and products of pairs predict."""
    rest, held = _residuals(problem, expression)
    train_terms, held_terms = _smooth_terms(problem.X, problem.X, problem.X_held)
    if not _telling(held) or len(rest) < 3 * train_terms.shape[1]:
        return 0.0
    solution = np.linalg.lstsq(train_terms, rest, rcond=None)[0]
    return _share(held_terms @ solution, held)


def _neighbours_share(X: Array, rest: Array, X_held: Array, held: Array) -> float:
    """Return the share that the mean over the nearest rows predicts: of steps and corners too."""
    if not _telling(held) or len(rest) < 10 * _NEIGHBOURS:
        return 0.0
    scale = X.std(0)
    scale[scale == 0] = 1.0
    _, nearest = KDTree(X / scale).query(X_held / scale, k=_NEIGHBOURS)
    return _share(rest[nearest].mean(axis=1), held)


def _residuals(problem: Problem, expression: object) -> tuple[Array, Array]:
    tape = Tape(expression, problem.symbols)  # pyright: ignore[reportArgumentType]
    return problem.y - tape.values(problem.X), problem.y_held - tape.values(problem.X_held)


def _telling(held: Array) -> bool:
    return bool(np.isfinite(held).all()) and len(held) >= 10 and float(np.std(held)) > 0


def _share(predicted: Array, held: Array) -> float:
    if correlation_test(predicted, held) > _SIGNIFICANT:
        return 0.0
    return max(0.0, float(np.corrcoef(predicted, held)[0, 1])) ** 2


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
