"""Getting a table ready for a search: columns checked and scaled, rows put in order and divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..data.accept import row_weights
from ..data.matrices import read_matrix
from .formula import Scaling
from .weighted import Rows, relative_weights

__all__ = ["FEWEST_ROWS", "Prepared", "prepare", "read_columns"]

Array = NDArray[np.float64]

FEWEST_ROWS = 6
_HELD_OUT = 0.2
_MOST_HELD_OUT = 5_000
# Columns whose typical size is beyond this are scaled by a power of ten.
_EXTREME = 1e6
# The largest number of a scaled column: its square and sums of such must not overflow.
_LARGEST = 1e100
# So many rows are sorted in a moment.
_SORTED = 20_000
_SMALLEST = float(np.finfo(np.float64).tiny)


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
    weights: Array | None = None
    weights_held: Array | None = None

    @property
    def train(self) -> Rows:
        """The rows to fit to."""
        return Rows(self.X, self.y, self.weights)

    @property
    def held(self) -> Rows:
        """The rows held out."""
        return Rows(self.X_held, self.y_held, self.weights_held)

    @property
    def every(self) -> Rows:
        """All rows, those held out last."""
        return self.train.followed_by(self.held)


def read_columns(
    X: Any, y: Any, names: Sequence[str] | None, weights: Any = None
) -> tuple[Array, Array, Array | None, list[str]]:
    """Read and check inputs, targets and weights; leave out rows of weight 0.

    Returns
    -------
    X : array of shape (rows, inputs)
    y : array of shape (rows, targets)
    weights : array of shape (rows,) or None
        Above 0, with a mean of 1; None if all are equal.
    names : list of str
        Those given, those of a frame's columns, or x_1, x_2 and so on.

    Raises
    ------
    TypeError, ValueError
        If values are not finite real numbers (other than in rows of weight 0), weights are
        negative or all 0, shapes do not match, there are too few different rows, names do not
        match the columns, a target or every input is constant, or a column holds denormal numbers
        only.
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
    places, relative, counting = np.arange(len(X_values)), None, "rows"
    if weights is not None:
        given = row_weights(read_matrix(weights, "weights"), inputs).numpy()
        places, counting = np.flatnonzero(given), "rows with a weight above 0"
        relative = relative_weights(given[places])
        X_values, y_values = X_values[places], y_values[places]
    if len(places) < FEWEST_ROWS:
        raise ValueError(
            f"a search needs at least {FEWEST_ROWS} {counting}; got {len(places)}. Add rows."
        )
    for values, argument in ((X_values, "X"), (y_values, "y")):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            row, column = bad[0]
            raise ValueError(
                f"{argument} must be finite; row {places[row]}, column {column} is "
                f"{values[row, column]}. Leave out or fill in such rows."
            )
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
    _check_variety(X_values, y_values, chosen)
    return X_values, y_values, relative, chosen


def _check_variety(X: Array, y: Array, names: Sequence[str]) -> None:
    """Raise ValueError if the values leave nothing to search for."""
    flat = np.flatnonzero(np.ptp(y, axis=0) == 0)
    if len(flat):
        raise ValueError(f"y is constant (column {flat[0]}): there is nothing to explain.")
    if not np.ptp(X, axis=0).any():
        raise ValueError("every input is constant: nothing can explain why y varies.")
    different = _different_rows(X)
    if different < FEWEST_ROWS:
        raise ValueError(
            f"a search needs at least {FEWEST_ROWS} different rows of inputs; of {len(X)} rows "
            f"only {different} differ. Add rows."
        )
    places = [f"y (column {k})" for k in range(y.shape[1])]
    for values, what in ((X, [f"column {name!r}" for name in names]), (y, places)):
        for k, largest in enumerate(np.abs(values).max(0).tolist()):
            if 0 < largest < _SMALLEST:
                raise ValueError(
                    f"{what[k]} holds denormal numbers only (the largest is {largest:g}), which "
                    "have lost digits: multiply it by a power of ten where it comes from."
                )


def _different_rows(X: Array) -> int:
    """Count the different rows of a table; only so far as the fewest needed."""
    found: list[Array] = []
    left = np.ones(len(X), dtype=bool)
    while len(found) < FEWEST_ROWS and left.any():
        row = X[int(left.argmax())]
        found.append(row)
        left &= (row != X).any(1)
    return len(found)


def prepare(
    X: Array, y: Array, names: Sequence[str], seed: int, weights: Array | None = None
) -> Prepared:
    """Scale, order and divide the rows of one target.

    Parameters
    ----------
    X, y : arrays of shape (rows, inputs) and (rows,)
    names : sequence of str
    seed : int
        Chooses which rows are held out. Rows are sorted first, so that the choice goes with their
        values and not with the order in which they came.
    weights : array of shape (rows,), optional
        Of the rows. Which ones are held out does not depend on them.
    """
    scaling = Scaling(np.array([_unit(X[:, k]) for k in range(X.shape[1])]), _unit(y))
    inputs, targets = X / scaling.inputs, y / scaling.target
    order = _ordered(inputs, targets, weights)
    inputs, targets = inputs[order], targets[order]
    shuffled = _shuffled(inputs, targets, np.random.default_rng([seed, 20_261_124]))
    count = min(max(2, round(_HELD_OUT * len(y))), _MOST_HELD_OUT)
    held, train = shuffled[:count], shuffled[count:]
    symbols = tuple(
        sympy.Symbol(name, positive=True)
        if inputs[:, k].min() > 0
        else sympy.Symbol(name, real=True)
        for k, name in enumerate(names)
    )
    constant = tuple(np.flatnonzero(np.ptp(inputs, axis=0) == 0).tolist())
    rows = Rows(inputs, targets, None if weights is None else weights[order])
    first, second = rows.take(train), rows.take(held)
    return Prepared(
        first.X,
        first.y,
        second.X,
        second.y,
        scaling,
        symbols,
        constant,
        first.weights,
        second.weights,
    )


def _ordered(X: Array, y: Array, weights: Array | None) -> NDArray[np.intp]:
    """Return an order that goes with the rows' values: by size, of many by a hash of their bits."""
    if weights is not None:
        # Equal rows of different weights come in the order of these.
        light = np.argsort(weights, kind="stable")
        return light[_ordered(X[light], y[light], None)]
    if len(y) <= _SORTED:
        return np.lexsort((y, *X.T[::-1]))
    mixed = np.zeros(len(y), dtype=np.uint64)
    for column in (*X.T, y):
        # The finaliser of SplitMix64 (Steele, Lea and Flood, 2014). 0.0 + x makes -0 a 0.
        mixed += (0.0 + column).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return np.argsort(mixed, kind="stable")


def _shuffled(X: Array, y: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return sorted rows in a random order that leaves equal ones together.

    Else a row held out would be no test where the same row is among those to fit to.
    """
    fresh = np.concatenate([[True], (X[1:] != X[:-1]).any(1) | (y[1:] != y[:-1])])
    places = rng.permutation(int(fresh.sum()))
    # Without equal rows this is the permutation itself.
    rank = np.empty_like(places)
    rank[places] = np.arange(len(places))
    return np.argsort(rank[np.cumsum(fresh) - 1], kind="stable")


def _unit(values: Array) -> float:
    """Return 1, or a power of ten near the typical size of an extreme column."""
    sizes = np.abs(values[values != 0])
    if len(sizes) == 0:
        return 1.0
    # A few numbers many decades above the typical one decide, else their squares overflow.
    size = max(float(np.median(sizes)), float(sizes.max()) / _LARGEST)
    if 1 / _EXTREME <= size <= _EXTREME:
        return 1.0
    # A denormal number has no reciprocal: go no further than the smallest normal one.
    return float(10.0 ** max(-300, round(np.log10(size))))
