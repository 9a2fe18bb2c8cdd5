"""Knot vectors: evenly spaced or following the data's quantiles, one for every input.

A *grid* of ``G`` intervals has the breakpoints s_0 < ... < s_G; splines of order `k` live on the
*extended* knots, which go on by `k` more intervals at either end.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Quantile knots of repeated values coincide; this share of the uniform grid keeps them apart.
_LEAST_UNIFORM_SHARE = 0.02
# Knots reach this share of the data's range beyond it, so that a point just outside stays on them.
MARGIN = 0.025


def extend_knots(breaks: Tensor, k: int) -> Tensor:
    """Add `k` knots beyond either end of the breakpoints, spaced as the end intervals are.

    Parameters
    ----------
    breaks : Tensor of shape (inputs, grid + 1), increasing along the last axis
    k : int
        Order of the splines.

    Returns
    -------
    Tensor of shape (inputs, grid + 1 + 2 k)
    """
    steps = torch.arange(1, k + 1, dtype=breaks.dtype, device=breaks.device)
    below = breaks[:, :1] - steps.flip(0) * (breaks[:, 1:2] - breaks[:, :1])
    above = breaks[:, -1:] + steps * (breaks[:, -1:] - breaks[:, -2:-1])
    return torch.cat([below, breaks, above], dim=1)


def uniform_breaks(low: Tensor, high: Tensor, grid: int) -> Tensor:
    """Return ``grid + 1`` evenly spaced breakpoints from `low` to `high`, both of shape (inputs,).

    Examples
    --------
    >>> uniform_breaks(torch.tensor([0.0]), torch.tensor([1.0]), 4)
    tensor([[0.0000, 0.2500, 0.5000, 0.7500, 1.0000]])
    """
    share = torch.linspace(0, 1, grid + 1, dtype=low.dtype, device=low.device)
    # Weighted this way both ends come out exactly, whatever their sizes.
    return low[:, None] * (1 - share) + high[:, None] * share


def adaptive_breaks(x: Tensor, low: Tensor, high: Tensor, grid: int, grid_eps: float) -> Tensor:
    """Blend evenly spaced breakpoints with the quantiles of the data.

    Parameters
    ----------
    x : Tensor of shape (rows, inputs)
        Data whose quantiles are taken; at least one row.
    low, high : Tensors of shape (inputs,)
        Ends of the range, which the data should lie within.
    grid : int
        Number of intervals.
    grid_eps : float
        1 gives even spacing, 0 equal counts of data in every interval.  A small share of the even
        grid always stays, so that repeated values cannot make two knots coincide.

    Returns
    -------
    Tensor of shape (inputs, grid + 1), strictly increasing
    """
    even = uniform_breaks(low, high, grid)
    if grid_eps >= 1:
        return even
    share = max(grid_eps, _LEAST_UNIFORM_SHARE)
    levels = torch.linspace(0, 1, grid + 1, dtype=x.dtype, device=x.device)
    ranked = x.sort(dim=0).values
    position = levels * (len(x) - 1)
    below = position.floor().long()
    above = position.ceil().long()
    fraction = (position - below)[:, None]
    quantiles = (ranked[below] * (1 - fraction) + ranked[above] * fraction).T
    quantiles = quantiles.clamp(low[:, None], high[:, None])
    quantiles = torch.cat([low[:, None], quantiles[:, 1:-1], high[:, None]], dim=1)
    return share * even + (1 - share) * quantiles


def domain(knots: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the two ends, each of shape (inputs,), between which the splines are defined."""
    return knots[:, k], knots[:, -k - 1]


def greville(knots: Tensor, k: int) -> Tensor:
    """Return the Greville abscissae, the coefficients of the identity: shape (inputs, grid + k)."""
    return knots[:, 1:-1].unfold(1, k, 1).mean(dim=2)


def is_uniform(knots: Tensor) -> bool:
    """Tell whether every input's knots are evenly spaced, to rounding."""
    steps = knots.diff(dim=1)
    size = knots.abs().amax(dim=1, keepdim=True) + steps.amax(dim=1, keepdim=True)
    slack = 8 * torch.finfo(knots.dtype).eps * size
    return bool(((steps - steps.mean(dim=1, keepdim=True)).abs() <= slack).all())


def is_batched(knots: Tensor) -> bool:
    """Tell whether ``torch.func.vmap`` goes over several knots at once, so none can be read."""
    functorch: Any = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]
    return bool(functorch.is_batchedtensor(knots))


def moved_range(x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends that knots should have for data `x`, given those they have now.

    Parameters
    ----------
    x : Tensor of shape (rows, inputs)
    low, high : Tensors of shape (inputs,)

    Returns
    -------
    tuple of two Tensors of shape (inputs,)
        The data's range with a margin on both sides; for an input that does not vary, the present
        width, around the data if it lies outside.
    """
    least, most = x.amin(dim=0), x.amax(dim=0)
    spread, still = most - least, ~varies(x)
    margin = MARGIN * spread
    covered = (least >= low) & (most <= high)
    half = (high - low) / 2
    shift = torch.where(covered, torch.zeros_like(least), (least + most) / 2 - (low + high) / 2)
    centre = (low + high) / 2 + shift
    return (
        torch.where(still, centre - half, least - margin),
        torch.where(still, centre + half, most + margin),
    )


def varies(x: Tensor) -> Tensor:
    """Tell which inputs of x, shape (rows, inputs), vary by more than rounding: (inputs,)."""
    least, most = x.amin(dim=0), x.amax(dim=0)
    size = torch.maximum(least.abs(), most.abs()).clamp(min=torch.finfo(x.dtype).tiny)
    return most - least > 1e3 * torch.finfo(x.dtype).eps * size
