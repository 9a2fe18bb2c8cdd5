"""Which of many columns have anything to do with the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .sampling import evenly
from .weighted import by_roots

__all__ = ["screened"]

Array = NDArray[np.float64]

# With so few columns networks tell by themselves.
_FEW = 9
_MOST = 9
_LEVEL = 1e-3
_KNOTS = 5


def screened(
    X: Array,
    y: Array,
    left_out: Sequence[int],
    needed: Sequence[int] = (),
    weights: Array | None = None,
) -> list[int]:
    """List the columns worth searching: all that may be if they are few, else those that show.

    A column shows if smooth functions of it explain a part of y, of its rank, or of the size of
    its deviations (a factor that multiplies something of mean zero shows there only), beyond
    chance (F tests, Bonferroni). Columns are picked one after the other, y being freed of those
    already in, so that a weak column is not hidden by strong ones.

    Parameters
    ----------
    X, y : arrays of shape (rows, columns) and (rows,)
    left_out : sequence of int
        Columns that do not vary, or that the user rules out.
    needed : sequence of int
        Columns to keep in any case.
    weights : array of shape (rows,), optional
        Of the rows.
    """
    candidates = [k for k in range(X.shape[1]) if k not in set(left_out)]
    if len(candidates) <= _FEW:
        return candidates
    rows = evenly(len(y), 4000)
    y = y[rows]
    weights = None if weights is None else weights[rows]
    ranks = stats.rankdata(y) / len(y)
    features = {k: _smooth(X[rows, k]) for k in candidates}
    chosen = list(needed)
    threshold = _LEVEL / (3 * len(candidates))
    while len(chosen) < _MOST:
        known = np.column_stack(
            [np.ones(len(y)), *(features[k] for k in chosen), *_products(features, chosen)]
        )
        targets = [_without(known, y, weights), _without(known, ranks, weights)]
        targets.append(_without(known, np.abs(targets[1]), weights))
        tests = {
            k: min(_f_test(features[k], target, known.shape[1], weights) for target in targets)
            for k in candidates
            if k not in chosen
        }
        if not tests:
            break
        best = min(tests, key=lambda k: tests[k])
        if tests[best] > threshold:
            break
        chosen.append(best)
    return sorted(chosen) or candidates[:_MOST]


def _smooth(x: Array) -> Array:
    """Return a few smooth functions of a column: cubic in its rank, which no outlier can bend."""
    z = 2 * stats.rankdata(x) / len(x) - 1
    return np.column_stack([z, z**2, z**3, np.sin(np.pi * z), np.cos(np.pi * z)][:_KNOTS])


def _products(features: dict[int, Array], chosen: list[int]) -> list[Array]:
    return [
        features[i][:, [0]] * features[j][:, :3]
        for place, i in enumerate(chosen)
        for j in chosen[:place]
    ]


def _without(known: Array, target: Array, weights: Array | None) -> Array:
    system, right = by_roots(known, weights), by_roots(target, weights)
    return target - known @ np.linalg.lstsq(system, right, rcond=None)[0]


def _f_test(features: Array, target: Array, used: int, weights: Array | None) -> float:
    """Return the p-value that the features explain nothing of the target."""
    centred = features - np.average(features, axis=0, weights=weights)
    whole = by_roots(target, weights)
    total = float(whole @ whole)
    rest = by_roots(_without(centred, target, weights), weights)
    left = float(rest @ rest)
    degrees = len(target) - used - centred.shape[1]
    if degrees < 2 or total <= 0:
        return 1.0
    ratio = ((total - left) / centred.shape[1]) / max(left / degrees, 1e-300)
    return float(stats.f.sf(ratio, centred.shape[1], degrees))
