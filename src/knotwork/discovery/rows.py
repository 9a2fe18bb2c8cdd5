"""Getting a table ready for a search: columns checked and scaled, rows put in order and divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..data.matrices import read_matrix
from .formula import Scaling

__all__ = ["FEWEST_ROWS", "Prepared", "prepare", "read_columns"]

Array = NDArray[np.float64]

FEWEST_ROWS = 6
_HELD_OUT = 0.2
_MOST_HELD_OUT = 5_000
# Columns whose typical size is beyond this are scaled by a power of ten.
_EXTREME = 1e6


@dataclass(frozen=True)
class Prepared:
    """Scaled rows in an order that does not depend on how they came, some of them held out."""

    X: Array
    y: Array
    X_held: Array
    y_held: Array
    scaling: Scaling
    symbols: tuple[sympy.Symbol, ...]
    constant: tuple[int, ...]


def read_columns(X: Any, y: Any, names: Sequence[str] | None) -> tuple[Array, Array, list[str]]:
    """Read and check inputs and targets.

    Returns
    -------
    X : array of shape (rows, inputs)
    y : array of shape (rows, targets)
    names : list of str
        Those given, those of a frame's columns, or x_1, x_2 and so on.

    Raises
    ------
    TypeError, ValueError
        If values are not finite real numbers, shapes do not match, there are too few rows, names
        do not match the columns, or a target is constant.
    """
    inputs, targets = read_matrix(X, "X"), read_matrix(y, "y")
    X_values = inputs.values.double().numpy()
    y_values = targets.values.double().numpy()
    if X_values.ndim == 1:
        X_values = X_values[:, None]
    if X_values.ndim != 2 or X_values.shape[1] == 0:
        raise ValueError(
            f"X must have shape (rows, inputs), at least one input; got {X_values.shape}."
        )
    if y_values.ndim == 1:
        y_values = y_values[:, None]
    if y_values.ndim != 2 or y_values.shape[1] == 0:
        raise ValueError(f"y must have shape (rows,) or (rows, targets); got {y_values.shape}.")
    if len(X_values) != len(y_values):
        raise ValueError(
            f"X and y must have equally many rows; got {len(X_values)} and {len(y_values)}."
        )
    if len(X_values) < FEWEST_ROWS:
        raise ValueError(
            f"a search needs at least {FEWEST_ROWS} rows; got {len(X_values)}. Add rows."
        )
    for values, argument in ((X_values, "X"), (y_values, "y")):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            raise ValueError(
                f"{argument} must be finite; row {row}, column {column} is {values[row, column]}. "
                "Leave out or fill in such rows."
            )
    flat = np.flatnonzero(np.ptp(y_values, axis=0) == 0)
    if len(flat):
        raise ValueError(f"y is constant (column {flat[0]}): there is nothing to explain.")
    chosen = list(names) if names is not None else list(inputs.names or ())
    if not chosen:
        chosen = [f"x_{k + 1}" for k in range(X_values.shape[1])]
    chosen = [str(name) for name in chosen]
    if len(chosen) != X_values.shape[1]:
        raise ValueError(
            f"names must have one name for each of {X_values.shape[1]} columns; got {len(chosen)}."
        )
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"names must differ; got {chosen}.")
    return X_values, y_values, chosen


def prepare(X: Array, y: Array, names: Sequence[str], seed: int) -> Prepared:
    """Scale, order and divide the rows of one target.

    Parameters
    ----------
    X, y : arrays of shape (rows, inputs) and (rows,)
    names : sequence of str
    seed : int
        Chooses which rows are held out. Rows are sorted first, so that the choice goes with their
        values and not with the order in which they came.
    """
    scaling = Scaling(np.array([_unit(X[:, k]) for k in range(X.shape[1])]), _unit(y))
    inputs, targets = X / scaling.inputs, y / scaling.target
    order = np.lexsort((targets, *inputs.T[::-1]))
    inputs, targets = inputs[order], targets[order]
    rng = np.random.default_rng([seed, 20_261_124])
    shuffled = rng.permutation(len(y))
    count = min(max(2, round(_HELD_OUT * len(y))), _MOST_HELD_OUT)
    held, train = shuffled[:count], shuffled[count:]
    symbols = tuple(
        sympy.Symbol(name, positive=True)
        if inputs[:, k].min() > 0
        else sympy.Symbol(name, real=True)
        for k, name in enumerate(names)
    )
    constant = tuple(np.flatnonzero(np.ptp(inputs, axis=0) == 0).tolist())
    return Prepared(
        inputs[train], targets[train], inputs[held], targets[held], scaling, symbols, constant
    )


def _unit(values: Array) -> float:
    """Return 1, or a power of ten near the typical size of an extreme column."""
    size = float(np.median(np.abs(values[values != 0]))) if np.any(values) else 1.0
    if 1 / _EXTREME <= size <= _EXTREME:
        return 1.0
    # A denormal number has no reciprocal: go no further than the smallest normal one.
    return float(10.0 ** max(-300, round(np.log10(size))))
