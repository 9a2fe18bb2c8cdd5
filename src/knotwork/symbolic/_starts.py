"""Where to start the search for the inner constants of a symbolic edge.

In this module x runs from -1 to 1. For every function there is one grid of inner constants
``(a, b)``, over those that are free only, and the values of ``f(a*x + b)`` at fixed nodes. The grid
depends on the function alone and is kept, so that judging all of it for many edges is a handful of
matrix products: an edge's samples are first gathered at the nodes.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from knotwork.functions import SymbolicFunction

MARGIN = 1e-8
"""The least distance of ``a*x + b`` from the ends of the function's domain."""

_NODE_COUNT = 128
# Nodes crowd at the ends, where functions with a pole or a root just outside are steep.
_NODES = -torch.cos(torch.linspace(0.0, math.pi, _NODE_COUNT, dtype=torch.float64))


def interval_of(function: SymbolicFunction, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends of the domain's interval that holds all ``a*x + b``; nan where none does.

    Parameters
    ----------
    function
        The function.
    a, b
        Inner constants, of any one shape.

    Returns
    -------
    low, high
        Of the same shape.
    """
    low, high = torch.full_like(a, math.nan), torch.full_like(a, math.nan)
    for left, right in function.domain:
        inside = (b - a.abs() > left + MARGIN) & (b + a.abs() < right - MARGIN)
        low, high = torch.where(inside, left, low), torch.where(inside, right, high)
    return low, high


def gather_at_nodes(x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Share the samples among the nodes beside them.

    Parameters
    ----------
    x, y, weights
        Samples, shape (edges, samples).

    Returns
    -------
    weights, products
        Sums of the weights and of weights times y at the nodes, shape (edges, nodes).
    """
    position = torch.acos(-x) * ((_NODE_COUNT - 1) / math.pi)
    left = position.floor().clamp(0, _NODE_COUNT - 2)
    share = weights * (position - left)
    left = left.long()
    sums: list[Tensor] = []
    for factor in (torch.ones_like(y), y):
        total = torch.zeros(len(x), _NODE_COUNT, dtype=x.dtype)
        total.scatter_add_(1, left, (weights - share) * factor)
        sums.append(total.scatter_add_(1, left + 1, share * factor))
    return sums[0], sums[1]


def best_starts(
    function: SymbolicFunction, weights: Tensor, products: Tensor, count: int, fastest: float
) -> tuple[Tensor, Tensor]:
    """Return the most promising inner constants of one function for every edge.

    Parameters
    ----------
    function
        The function.
    weights, products
        What `gather_at_nodes` gives, for y of mean 0.
    count
        How many to return, each from another group of the grid.
    fastest
        A bound on the size of ``a`` for functions that oscillate.

    Returns
    -------
    a, b
        Shape (edges, count), best first. Where there are fewer than `count`, the last one repeats.
    """
    a, b, values, oscillates = _grid(function)
    groups, members = a.shape
    means = weights @ values.T
    variances = (weights @ values.square().T - means.square()).clamp_min(1e-9)
    explained = (products @ values.T).square() / variances
    if oscillates:
        explained = torch.where(a.abs().flatten() <= fastest, explained, 0.0)
    quality, member = explained.view(-1, groups, members).max(dim=2)
    found = min(count, groups)
    group = quality.topk(found, dim=1).indices
    chosen = group * members + member.gather(1, group)
    chosen = torch.cat([chosen, chosen[:, -1:].expand(-1, count - found)], dim=1)
    return a.flatten()[chosen], b.flatten()[chosen]


@lru_cache(maxsize=256)
def _grid(function: SymbolicFunction) -> tuple[Tensor, Tensor, Tensor, bool]:
    """Return a function's inner constants, its values there, and whether it oscillates.

    The constants have shape (groups, members), groups being regions of the grid of which only the
    best member is worth a start. The values have shape (groups * members, nodes), each row with
    mean 0 and variance 1; rows that are constant, not finite or outside the domain are 0.
    """
    oscillates = function.free_a and function.free_b and _oscillates(function)
    if function.symmetry == "linear":
        a, b = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    elif not function.free_b:
        a = _mirrored(_powers(0.02, 100.0, 36)).view(-1, 3)
        b = torch.zeros_like(a)
    elif not function.free_a:
        a, b = _shifts(function)
    elif oscillates:
        a, b = _waves(function)
    else:
        a, b = _scales_and_shifts(function)
    low, _ = interval_of(function, a, b)
    with torch.no_grad():
        values = function.torch(a.flatten()[:, None] * _NODES + b.flatten()[:, None])
    values = values - values.mean(1, keepdim=True)
    spread = values.square().mean(1, keepdim=True).sqrt()
    usable = ~low.flatten()[:, None].isnan() & spread.isfinite() & (spread > 1e-14)
    return a, b, torch.where(usable, values / spread, 0.0), oscillates


def _powers(first: float, last: float, count: int) -> Tensor:
    return torch.logspace(math.log10(first), math.log10(last), count, dtype=torch.float64)


def _mirrored(values: Tensor) -> Tensor:
    return torch.cat([-values.flip(0), values])


def _oscillates(function: SymbolicFunction) -> bool:
    if function.period is not None:
        return True
    slopes = function.derivative(torch.linspace(-40.0, 40.0, 1001, dtype=torch.float64)).sign()
    return int((slopes[1:] * slopes[:-1] < 0).sum()) > 5


def _shifts(function: SymbolicFunction) -> tuple[Tensor, Tensor]:
    """Where only ``b`` is free: places inside the data where the domain allows it, and outside."""
    shifts = [torch.linspace(-0.975, 0.975, 40, dtype=torch.float64)]
    for low, high in function.domain:
        gaps = 1 + _powers(1e-7, 1e3, 40)
        shifts.append((0.0 if math.isinf(low) else low) + gaps)
        shifts.append((0.0 if math.isinf(high) else high) - gaps)
    b = torch.cat(shifts)
    a = torch.ones_like(b)
    if function.parity == "none":
        a, b = torch.cat([a, -a]), torch.cat([b, b])
    return a.view(-1, 4), b.view(-1, 4)


def _waves(function: SymbolicFunction) -> tuple[Tensor, Tensor]:
    """Frequencies up to about 12 periods over the data, and phases or, without period, places."""
    unit = (function.period or 2 * math.pi) / (2 * math.pi)
    slow, fast = _powers(0.05, 0.5, 5), torch.linspace(0.75, 38.25, 51, dtype=torch.float64)
    a = unit * torch.cat([slow, fast])[:, None]
    if function.parity == "none":
        a = torch.cat([-a, a])
    if function.period is None:
        b = -a * torch.linspace(-1.5, 1.5, 25, dtype=torch.float64)
    else:
        turn = function.period / (2 if function.antiperiodic else 1)
        b = torch.arange(0.0, turn, turn / 6, dtype=torch.float64)
    return torch.broadcast_tensors(a, b)[0].contiguous(), (a * 0 + b).contiguous()


def _scales_and_shifts(function: SymbolicFunction) -> tuple[Tensor, Tensor]:
    """Where both are free: many scales, and for each 35 shifts that suit the domain's interval."""
    scales: list[Tensor] = []
    shifts: list[Tensor] = []
    for low, high in function.domain:
        if math.isinf(low) and math.isinf(high):
            a = _powers(0.05, 100.0, 18)[:, None]
            far = torch.tensor([2.0, 2.5, 3.0, 4.0, 6.0], dtype=torch.float64)
            places = torch.linspace(-1.5, 1.5, 25, dtype=torch.float64)
            b = -a * torch.cat([_mirrored(far), places])
        elif math.isinf(low) or math.isinf(high):
            a = _powers(1e-3, 1e2, 24)[:, None]
            gaps = a + _powers(1e-6, 1e2, 35)
            b = low + gaps if math.isinf(high) else high - gaps
        else:
            # Where the first and the last argument lie, as fractions of the interval.
            near = _powers(1e-5, 0.3, 16)
            ends = torch.cat([near, torch.linspace(0.4, 0.6, 3, dtype=torch.float64), 1 - near])
            first, last = low + (high - low) * ends[:, None], low + (high - low) * ends
            b, a = (first + last) / 2, (last - first) / 2
            a = torch.where(a > 0, a, math.inf)
        scales.append(a.expand_as(b))
        shifts.append(b)
    a, b = torch.cat(scales), torch.cat(shifts)
    if function.parity == "none":
        a, b = torch.cat([a, -a]), torch.cat([b, b])
    return a, b
