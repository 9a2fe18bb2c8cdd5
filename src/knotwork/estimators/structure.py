"""Networks to begin with: which sizes are tried, and where their functions start."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..knots import MARGIN, extend_knots, greville, uniform_breaks
from ..network import KAN
from ..training.evidence import MOST_SECOND_ORDER_PARAMETERS

Array = NDArray[np.float64]

_GRID = 6
_ROWS_AN_INTERVAL = 8
# Coefficients of a sum of functions, beyond which grids become coarser.
_MOST_COEFFICIENTS = 3000
# Hidden nodes of the networks among which the evidence chooses; none is a sum of functions.
_LADDER = (0, 2, 4, 8)
# With fewer rows than this no hidden node is tried.
_FEWEST_ROWS = 50
# Knots lie halfway between evenly spaced and quantiles.
_EVEN_SHARE = 0.5
# Hidden nodes are on the scale of a standard normal.
_HIDDEN_RANGE = 3.0
_HIDDEN_BIAS = 0.5
_HIDDEN_SLOPE = 0.3


def grid_for(inputs: int, outputs: int, k: int, rows: int) -> int:
    """Return how many intervals grids have: several rows to each, and not too many in all."""
    most = min(_GRID, rows // _ROWS_AN_INTERVAL, _MOST_COEFFICIENTS // (inputs * outputs) - k)
    return max(1, most)


def hidden_sizes(inputs: int, outputs: int, grid: int, k: int, rows: int) -> list[tuple[int, ...]]:
    """Return the hidden layers to try, the empty one first."""
    sizes: list[tuple[int, ...]] = [()]
    for nodes in _LADDER[1:]:
        edges = nodes * (inputs + outputs)
        if rows >= _FEWEST_ROWS and edges * (grid + k) <= MOST_SECOND_ORDER_PARAMETERS:
            sizes.append((nodes,))
    return sizes


@torch.no_grad()
def start(
    X: Array, weights: Array, hidden: Sequence[int], outputs: int, grid: int, k: int, seed: int
) -> KAN:
    """Return a network on the data's knots: random planes first, then straight lines.

    Parameters
    ----------
    X : array of shape (rows, inputs)
        Standardised.
    weights : array of shape (rows,)
    hidden : sequence of int
        Nodes of the hidden layers.
    outputs, grid, k, seed : int
    """
    inputs = X.shape[1]
    model = KAN([inputs, *hidden, outputs], grid=grid, k=k, residual=None, seed=seed)
    model.fresh = False
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    for index in range(model.depth):
        layer = model.layer(index)
        if index == 0:
            layer.knots = extend_knots(_breaks(X, weights, grid), k)
        else:
            end = torch.full((layer.in_features,), _HIDDEN_RANGE, dtype=torch.float64)
            layer.knots = extend_knots(uniform_breaks(-end, end, grid), k)
        slopes = normal(layer.in_features, layer.out_features) / math.sqrt(layer.in_features)
        if index == model.depth - 1:
            slopes *= _HIDDEN_SLOPE if hidden else 0.0
        else:
            layer.bias.copy_(_HIDDEN_BIAS * normal(layer.out_features))
        layer.coefficients.copy_(greville(layer.knots, k)[..., None] * slopes[:, None])
    return model


def _breaks(X: Array, weights: Array, grid: int) -> Tensor:
    """Return breakpoints between weighted quantiles and even ones: (inputs, grid + 1)."""
    share, found = np.linspace(0, 1, grid + 1), np.empty((X.shape[1], grid + 1))
    for column, breaks in zip(X.T, found, strict=True):
        order = np.argsort(column, kind="stable")
        middle = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
        low, high = column[order[0]], column[order[-1]]
        if low == high:
            low, high = low - 1, high + 1
        margin = MARGIN * (high - low)
        even = low - margin + share * (high - low + 2 * margin)
        quantiles = np.interp(share, middle, column[order])
        quantiles[0], quantiles[-1] = even[0], even[-1]
        breaks[:] = _EVEN_SHARE * even + (1 - _EVEN_SHARE) * quantiles
    return torch.from_numpy(found)
