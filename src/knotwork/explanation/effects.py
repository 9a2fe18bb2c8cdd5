r"""How every output depends on every input: the shape of the dependence, and its direction.

In a network of one layer without products the dependence on an input is the function on its edge,
exactly. In every other network it depends on the other inputs as well, and its shape is that of
the accumulated local effects,

.. math:: g_i(z) = \int^z \mathrm{E}\Bigl[\frac{\partial f}{\partial x_i}
          \Bigm| x_i = u\Bigr] du,

estimated by differences across intervals with about as many rows each, at the rows within. Unlike
averages over all values of the other inputs they ask the network for nothing far from the data.
D. W. Apley, J. Zhu, "Visualizing the effects of predictor variables in black box supervised
learning models", Journal of the Royal Statistical Society B 82 (2020) 1059-1086.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..layers import ABSENT
from ..network import KAN
from ..sparsity import attribution
from ..statistics import LayerStatistics
from .contributions import is_additive, slopes, some_rows
from .rows import numbers

Array = NDArray[np.float64]
Direction = Literal["increasing", "decreasing", "no effect", "neither"]

_CURVE_POINTS = 201
# Differences across intervals are taken at no more rows than this; intervals, and rows in each.
_MOST_ROWS = 2_000
_FEWEST_INTERVALS, _MOST_INTERVALS, _ROWS_AN_INTERVAL = 4, 40, 5


@dataclass(frozen=True)
class Effect:
    """How an output depends on an input over the data.

    Attributes
    ----------
    x, y : arrays of shape (points,)
        The shape of the dependence; the mean of `y` over the data is 0.  Exact where the network
        is a sum of functions of single inputs, accumulated local effects elsewhere.
    direction : {"increasing", "decreasing", "no effect", "neither"}
        See `explain` for what counts as which.
    reason : str
        Why there is no effect, or where the output rises; empty for the monotonic ones.
    rising : float
        Share of the rows at which the output rises with the input.
    importance : float
        Of the input for this output; see `knotwork.sparsity.attribute`.
    """

    x: Array
    y: Array
    direction: Direction
    reason: str
    rising: float
    importance: float

    def at(self, values: Array) -> Array:
        """Return the shape's height at values of the input; constant beyond the data."""
        return np.interp(values, self.x, self.y)

    def __str__(self) -> str:
        return f"{self.direction} ({self.reason})" if self.reason else self.direction


@torch.no_grad()
def effects(
    model: KAN,
    X: Tensor,
    outputs: Tensor,
    statistics: Sequence[LayerStatistics],
    threshold: float,
    tolerance: float,
) -> list[list[Effect]]:
    """Return for every input its effect on every output.

    Parameters
    ----------
    model : KAN
    X : Tensor of shape (rows, inputs)
    outputs : Tensor of shape (rows, outputs)
        What the network makes of X.
    statistics : sequence of LayerStatistics
        Of the network over X.
    threshold, tolerance : float
        See `explain`.
    """
    shapes = _functions(model, X, statistics) if is_additive(model) else _local_effects(model, X)
    at_rows = slopes(model, X)
    reached = _reached(model)
    scores = [attribution(model, statistics, o).inputs for o in range(model.output_count)]
    spread = outputs.std(dim=0, correction=0)
    reach = X.amax(dim=0) - X.amin(dim=0)
    found: list[list[Effect]] = []
    for i, (x, y, between) in enumerate(shapes):
        row: list[Effect] = []
        for o in range(model.output_count):
            slope = torch.cat([at_rows[:, i, o], between[:, o]])
            slope = slope[~slope.isnan()]
            rising = float((at_rows[:, i, o] > 0).double().mean())
            importance = float(scores[o][i])
            reason = ""
            if not bool(reached[i, o]):
                reason = "no path of edges leads there"
            elif float(reach[i]) == 0:
                reason = "the same in all rows"
            elif importance < threshold:
                reason = f"importance below {threshold:g}"
            elif bool((slope.abs() * reach[i] <= threshold * spread[o]).all()):
                reason = f"nowhere more than {threshold:g} of the spread"
            direction: Direction = "no effect" if reason else _direction(slope, tolerance)
            if direction == "neither":
                reason = _both_ways(rising)
            row.append(Effect(x, y[:, o], direction, reason, rising, importance))
        found.append(row)
    return found


def _direction(slope: Tensor, tolerance: float) -> Direction:
    """Tell whether slopes have one sign, those near 0 aside."""
    finite = slope[slope.isfinite()]
    limit = tolerance * float(finite.square().mean().sqrt()) if len(finite) else 0.0
    up, down = bool((slope > limit).any()), bool((slope < -limit).any())
    if up == down:
        return "neither"
    return "increasing" if up else "decreasing"


def _both_ways(rising: float) -> str:
    """Say at which share of the rows an effect that is not monotonic rises."""
    if rising == 1:
        return "rises at all rows, falls between some"
    return f"rises at {rising:.1%} of rows" if rising else "falls at all rows, rises between some"


def _reached(model: KAN) -> Tensor:
    """Tell which outputs the paths from every input lead to: bool, shape (inputs, outputs)."""
    reached = torch.eye(model.input_count, device=model.device)
    for index, nodes in enumerate(model.nodes):
        sums = reached @ (model.layer(index).kind != ABSENT).to(reached)
        reached = torch.stack(
            [sums[:, list(nodes.members(node))].sum(dim=1) for node in range(nodes.count)], dim=1
        )
        reached = (reached > 0).to(reached)
    return reached > 0


Shape = tuple[Array, Array, Tensor]
"""Points, heights of shape (points, outputs), and slopes between the rows, (any, outputs)."""


def _functions(model: KAN, X: Tensor, statistics: Sequence[LayerStatistics]) -> list[Shape]:
    """Return the functions on the edges of a single layer."""
    low, high = X.amin(dim=0), X.amax(dim=0)
    share = torch.linspace(0, 1, _CURVE_POINTS, dtype=X.dtype, device=X.device)[:, None]
    x = low * (1 - share) + high * share
    y = model.layer(0).edge_values(x) - statistics[0].edge_mean
    # In a sum all inputs can move at once.
    between = slopes(model, x)
    return [(numbers(x[:, i]), numbers(y[:, i]), between[:, i]) for i in range(X.shape[1])]


def _local_effects(model: KAN, X: Tensor) -> list[Shape]:
    """Return the accumulated local effects of every input."""
    rows = some_rows(X, _MOST_ROWS)
    return [_local_effect(model, X, rows, i) for i in range(model.input_count)]


def _local_effect(model: KAN, X: Tensor, rows: Tensor, i: int) -> Shape:
    values = rows[:, i].contiguous()
    count = min(_MOST_INTERVALS, max(_FEWEST_INTERVALS, len(rows) // _ROWS_AN_INTERVAL))
    ranks = torch.linspace(0, len(rows) - 1, count + 1, device=rows.device).round().long()
    # The ends of the data, and values of rows between: no interval is empty.
    ends = values.sort().values[ranks]
    ends[0], ends[-1] = X[:, i].min(), X[:, i].max()
    ends = ends.unique()
    if len(ends) == 1:
        return (
            numbers(ends),
            np.zeros((1, model.output_count)),
            ends.new_zeros(1, model.output_count),
        )
    interval = torch.searchsorted(ends, values).clamp(1, len(ends) - 1)
    below, above = rows.clone(), rows.clone()
    below[:, i], above[:, i] = ends[interval - 1], ends[interval]
    rise = model(above) - model(below)
    # A function need not be defined at an end of an interval for the values of every row there.
    defined = rise.isfinite()
    total = rise.new_zeros(len(ends), model.output_count).index_add(
        0, interval, torch.where(defined, rise, 0)
    )
    among = torch.zeros_like(total).index_add(0, interval, defined.to(rise))
    steps = torch.where(among > 0, total / among.clamp(min=1), torch.nan)
    steps[0] = 0
    y = numbers(steps.cumsum(dim=0))
    x = numbers(ends)
    column = numbers(X[:, i])
    y = y - np.stack([np.interp(column, x, heights).mean() for heights in y.T])
    between = torch.cat([slopes(model, below)[:, i], slopes(model, above)[:, i]])
    return x, y, between
