r"""B-splines as pure functions: local bases, evaluation, derivatives, re-fitting.

Every input has its own knot vector.  A *grid* of ``G`` intervals between the breakpoints
:math:`s_0 < \dots < s_G` carries splines of order `k` (degree `k`, so 3 is cubic) on the extended
knots :math:`t_0 < \dots < t_{G+2k}`, where :math:`t_k = s_0` and :math:`t_{k+G} = s_G`; there are
``G + k`` basis functions.  At any point only ``k + 1`` of them differ from zero, and only those are
computed, by the Cox-de Boor recurrence.  It is plain tensor arithmetic, so autograd differentiates
it as often as a physics loss wants.

References
----------
C. de Boor, *A Practical Guide to Splines*, revised edition, Springer 2001, chapters IX to XI.
L. Ramshaw, "Blossoms are polar forms", *Computer Aided Geometric Design* 6 (1989) 323-358.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import pad

from .knots import adaptive_breaks as adaptive_breaks
from .knots import domain as domain
from .knots import extend_knots as extend_knots
from .knots import greville as greville
from .knots import is_uniform as is_uniform
from .knots import uniform_breaks as uniform_breaks

Extrapolation = Literal["linear", "constant", "continue", "zero", "error"]
EXTRAPOLATIONS: tuple[str, ...] = get_args(Extrapolation)

# Weight of the points spread evenly over a re-fit's range beside the data's own points: enough to
# determine the coefficients where there is no data, too little to matter where there is.
_EVEN_POINT_WEIGHT = 1e-3
# Splines that no row holds back can be huge between the rows; beyond this many times their size at
# the rows, even points count the less the larger they are there.
_LARGE = 10


class LocalBasis(NamedTuple):
    """The basis functions that do not vanish at each point.

    Attributes
    ----------
    values : Tensor of shape (rows, inputs, k + 1)
        Their values (or derivatives).
    start : Tensor of shape (rows, inputs), int64
        Index of the first of them.
    """

    values: Tensor
    start: Tensor


def local_bases(
    x: Tensor,
    knots: Tensor,
    k: int,
    derivatives: tuple[int, ...] = (0,),
    extrapolation: Extrapolation = "linear",
    uniform: bool = False,
) -> tuple[LocalBasis, ...]:
    """Compute the ``k + 1`` basis functions that do not vanish at each point, or derivatives.

    Parameters
    ----------
    x : Tensor of shape (rows, inputs)
    knots : Tensor of shape (inputs, grid + 2 k + 1)
        Extended knots, see `extend_knots`.
    k : int
        Order of the splines, at least 1.
    derivatives : tuple of int
        Which derivatives to return; 0 means the values.
    extrapolation : str
        What holds outside the knots: "linear" continues value and slope, "constant" the value,
        "continue" the end polynomials, "zero" gives 0 and "error" raises.
    uniform : bool
        Promise that every input's knots are evenly spaced (see `is_uniform`): then a closed form
        takes the recurrence's place, several times faster.

    Returns
    -------
    tuple of LocalBasis
        One for each entry of `derivatives`, all with the same `start`.

    Raises
    ------
    ValueError
        If `extrapolation` is "error" and a point lies outside the knots.
    """
    low, high = domain(knots, k)
    inside = (x >= low) & (x <= high)
    if extrapolation == "error":
        check_inside(x, knots, k)
    clamped = x.clamp(low, high)
    point = x if extrapolation == "continue" else clamped
    bases = _CardinalBases if uniform else _RecurrentBases
    at_point = bases(point, clamped.detach(), knots, k)

    def at(derivative: int) -> Tensor:
        values = at_point.derivative(derivative)
        if extrapolation in ("continue", "error"):
            return values
        if extrapolation == "zero":
            return values * inside[..., None]
        if extrapolation == "constant":
            return values if derivative == 0 else values * inside[..., None]
        if derivative == 0:
            return values + (x - clamped)[..., None] * at_point.derivative(1)
        return values if derivative == 1 else values * inside[..., None]

    return tuple(LocalBasis(at(derivative), at_point.start) for derivative in derivatives)


def check_inside(x: Tensor, knots: Tensor, k: int) -> None:
    """Raise ValueError if a point of x, shape (rows, inputs), lies outside its input's knots."""
    low, high = domain(knots, k)
    outside = (x < low) | (x > high)
    if bool(outside.any()):
        column = int(outside.any(dim=0).nonzero()[0])
        raise ValueError(
            f"X lies outside the knots in column {column}, whose range is "
            f"{low[column]:.6g} to {high[column]:.6g}, and extrapolation is 'error': drop those "
            "rows, call update_grid(X), or choose extrapolation='linear'."
        )


def _first_basis(x: Tensor, knots: Tensor, k: int) -> Tensor:
    """Find the index of the first basis function that does not vanish at `x`, inside the knots."""
    breaks = knots[:, k:-k].contiguous()
    span = torch.searchsorted(breaks, x.T.contiguous(), right=True).T - 1
    return span.clamp(0, breaks.shape[1] - 2)


class _RecurrentBases:
    """The Cox-de Boor recurrence at given points, its rungs kept for the derivatives.

    `inside` holds the points moved into the knots, which decide the interval.
    """

    def __init__(self, x: Tensor, inside: Tensor, knots: Tensor, k: int) -> None:
        self._x = x[..., None]
        self._k = k
        self.start = start = _first_basis(inside, knots, k)
        offsets = torch.arange(1, 2 * k + 1, device=x.device)
        inputs = torch.arange(knots.shape[0], device=x.device)
        # The 2k knots around each point's interval, which is (knots[k - 1], knots[k]) of these.
        self._knots = knots[inputs[:, None], start[..., None] + offsets]
        self._rungs = [torch.ones_like(self._x)]

    def _ends(self, order: int) -> tuple[Tensor, Tensor]:
        """Return both ends of the supports of the bases one order below `order`."""
        k = self._k
        return self._knots[..., k - order : k], self._knots[..., k : k + order]

    def _rung(self, order: int) -> Tensor:
        while len(self._rungs) <= order:
            left, right = self._ends(len(self._rungs))
            ratio = self._rungs[-1] / (right - left)
            rising = pad(ratio * (self._x - left), (1, 0))
            self._rungs.append(rising + pad(ratio * (right - self._x), (0, 1)))
        return self._rungs[order]

    def derivative(self, count: int) -> Tensor:
        """Return the `count`-th derivative of the order-k bases: shape (rows, inputs, k + 1)."""
        k = self._k
        if count > k:
            return torch.zeros_like(self._rung(k))
        values = self._rung(k - count)
        for order in range(k - count + 1, k + 1):
            left, right = self._ends(order)
            ratio = values / (right - left)
            values = order * (pad(ratio, (1, 0)) - pad(ratio, (0, 1)))
        return values


class _CardinalBases:
    """The same on evenly spaced knots, where all pieces are shifts of the same polynomials."""

    def __init__(self, x: Tensor, inside: Tensor, knots: Tensor, k: int) -> None:
        low, high = domain(knots, k)
        grid = knots.shape[1] - 2 * k - 1
        self._k = k
        self._width = (high - low) / grid
        self.start = ((inside - low) / self._width).long().clamp(0, grid - 1)
        position = (x - low) / self._width - self.start
        powers = [torch.ones_like(position), position]
        while len(powers) <= k:
            powers.append(powers[-1] * position)
        self._powers = torch.stack(powers[: k + 1], dim=-1)

    def derivative(self, count: int) -> Tensor:
        """Return the `count`-th derivative of the order-k bases: shape (rows, inputs, k + 1)."""
        pieces = self._powers.new_tensor(_cardinal_pieces(self._k, count))
        values = self._powers @ pieces
        return values if count == 0 else values / self._width[:, None] ** count


@cache
def _cardinal_pieces(k: int, derivative: int) -> list[list[float]]:
    """Return the polynomial pieces of the uniform B-spline of order k on one interval.

    Row `p` holds the coefficients of the power `p` of the position in the interval, 0 to 1, and
    column `r` belongs to the r-th of the k + 1 bases that do not vanish there.
    """
    pieces = [[Fraction(1)]]
    for order in range(1, k + 1):
        # pieces[r] is a polynomial; each passes on a rising and a falling share of itself.
        higher = [[Fraction(0)] * (order + 1) for _ in range(order + 1)]
        for r, piece in enumerate(pieces):
            for power, value in enumerate(piece):
                share = value / order
                higher[r][power] += (r + 1) * share
                higher[r][power + 1] -= share
                higher[r + 1][power] += (order - r - 1) * share
                higher[r + 1][power + 1] += share
        pieces = higher
    for _ in range(derivative):
        pieces = [
            [*(power * value for power, value in enumerate(piece) if power), Fraction(0)]
            for piece in pieces
        ]
    return [[float(piece[power]) for piece in pieces] for power in range(k + 1)]


def dense(local: LocalBasis, count: int) -> Tensor:
    """Spread local values over all `count` basis functions: shape (rows, inputs, count)."""
    values, start = local
    index = start[..., None] + torch.arange(values.shape[-1], device=values.device)
    return values.new_zeros(*start.shape, count).scatter(-1, index, values)


def basis(
    x: Tensor,
    knots: Tensor,
    k: int,
    derivative: int = 0,
    extrapolation: Extrapolation = "linear",
    uniform: bool = False,
) -> Tensor:
    """Return all basis functions at each point: shape (rows, inputs, grid + k).

    Parameters are those of `local_bases`.

    Examples
    --------
    >>> knots = extend_knots(torch.tensor([[0.0, 1.0, 2.0]]), 1)
    >>> basis(torch.tensor([[0.25]]), knots, 1)
    tensor([[[0.7500, 0.2500, 0.0000]]])
    """
    (local,) = local_bases(x, knots, k, (derivative,), extrapolation, uniform)
    return dense(local, knots.shape[1] - k - 1)


def evaluate(
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    k: int,
    derivative: int = 0,
    extrapolation: Extrapolation = "linear",
) -> Tensor:
    """Evaluate every edge's spline, or a derivative of it.

    Parameters
    ----------
    x : Tensor of shape (rows, inputs)
    knots : Tensor of shape (inputs, grid + 2 k + 1)
    coefficients : Tensor of shape (inputs, grid + k, outputs)
    k, derivative, extrapolation
        See `local_bases`.

    Returns
    -------
    Tensor of shape (rows, inputs, outputs)
    """
    return torch.einsum("nif,ifo->nio", basis(x, knots, k, derivative, extrapolation), coefficients)


def refit(
    knots: Tensor,
    coefficients: Tensor,
    new_knots: Tensor,
    k: int,
    points: Tensor | None = None,
    extrapolation: Extrapolation = "linear",
) -> Tensor:
    """Express splines on new knots, changing the functions as little as possible.

    Where the new breakpoints contain all old ones and the range is the same, this is knot
    insertion and the functions do not change at all.  Otherwise it is a least-squares fit to the
    old functions (extrapolated where the new range is wider) at the data's points and, with a
    small weight, at points spread evenly over every new interval, so that it is well posed however
    few or repeated the data, and however unequal the intervals.

    Parameters
    ----------
    knots : Tensor of shape (inputs, grid + 2 k + 1)
    coefficients : Tensor of shape (inputs, grid + k, outputs)
    new_knots : Tensor of shape (inputs, new grid + 2 k + 1)
    k : int
    points : Tensor of shape (rows, inputs), optional
        Where the functions matter.
    extrapolation : str
        How the old splines continue outside their knots ("error" and "zero" count as "linear").

    Returns
    -------
    Tensor of shape (inputs, new grid + k, outputs)
    """
    if _nested(knots, new_knots, k):
        return insert_knots(knots, coefficients, new_knots, k)
    policy: Extrapolation = "linear" if extrapolation in ("error", "zero") else extrapolation
    even = _within_intervals(new_knots[:, k:-k], k + 2).T
    where = even if points is None else torch.cat([points, even])
    target = evaluate(where, knots, coefficients, k, 0, policy)
    design = basis(where, new_knots, k, 0, policy)
    rows = len(where) - len(even)
    if rows:
        root = _even_weight(target[:rows], target[rows:]).mul(rows / len(even)).sqrt()[:, None]
        target[rows:] *= root
        design[rows:] *= root
    if not bool(target.isfinite().all() and design.isfinite().all()):
        raise FloatingPointError(
            "re-fitting splines on new knots met values that are not finite: check the data, and "
            "the coefficients, for huge values."
        )
    # The even points give full rank; LAPACK's rank-revealing solver is not reproducible to the bit.
    fit = torch.linalg.lstsq(design.transpose(0, 1), target.transpose(0, 1), driver="gels")
    return fit.solution.contiguous()


def _even_weight(at_rows: Tensor, at_even: Tensor) -> Tensor:
    """Return how much even points count beside the rows, shape (inputs,).

    Both arguments hold the splines' values, shape (points, inputs, outputs).
    """
    size, even_size = (values.square().mean(dim=(0, 2)) for values in (at_rows, at_even))
    share = (_LARGE**2 * size / even_size).nan_to_num(1.0)
    # Below this they would no longer determine anything.
    least = torch.finfo(share.dtype).eps ** 0.75 / _EVEN_POINT_WEIGHT
    return _EVEN_POINT_WEIGHT * share.clamp(min(least, 1.0), 1.0)


def _within_intervals(breaks: Tensor, count: int) -> Tensor:
    """Return `count` points evenly over every interval, and the last break.

    Shape (inputs, count * intervals + 1), for breaks of shape (inputs, intervals + 1).
    """
    share = torch.arange(count, dtype=breaks.dtype, device=breaks.device) / count
    inner = breaks[:, :-1, None] + breaks.diff(dim=1)[..., None] * share
    return torch.cat([inner.flatten(1), breaks[:, -1:]], dim=1)


def _nested(knots: Tensor, new_knots: Tensor, k: int) -> bool:
    """Tell whether the new range is the old one and every old breakpoint is among the new."""
    old, new = knots[:, k:-k], new_knots[:, k:-k]
    if new.shape[1] < old.shape[1]:
        return False
    slack = 1e-10 if knots.dtype == torch.float64 else 1e-5
    scale = (old[:, -1:] - old[:, :1]) * slack
    gap = (old[:, :, None] - new[:, None, :]).abs().amin(dim=2)
    same_ends = (old[:, [0, -1]] - new[:, [0, -1]]).abs()
    return bool((gap <= scale).all()) and bool((same_ends <= scale).all())


def insert_knots(knots: Tensor, coefficients: Tensor, new_knots: Tensor, k: int) -> Tensor:
    r"""Insert knots without changing the functions.

    The coefficient of the new basis function `j` is the blossom of the polynomial piece that holds
    on one of its intervals, at the knots :math:`t'_{j+1}, \dots, t'_{j+k}` (Ramshaw 1989): de
    Boor's evaluation with a different argument at each level.

    Parameters
    ----------
    knots : Tensor of shape (inputs, grid + 2 k + 1)
    coefficients : Tensor of shape (inputs, grid + k, outputs)
    new_knots : Tensor of shape (inputs, new grid + 2 k + 1)
        Its breakpoints must contain the old ones, with the same ends.
    k : int

    Returns
    -------
    Tensor of shape (inputs, new grid + k, outputs)
    """
    inputs, count = new_knots.shape[0], new_knots.shape[1] - k - 1
    device = knots.device
    new_grid = count - k
    # An interval inside the range for every new basis function, and the old interval around it.
    interval = (torch.arange(count, device=device) - k // 2).clamp(0, new_grid - 1)
    middle = (new_knots[:, interval + k] + new_knots[:, interval + k + 1]) / 2
    start = _first_basis(middle.T, knots, k).T
    rows = torch.arange(inputs, device=device)[:, None, None]
    local = coefficients[rows, start[..., None] + torch.arange(k + 1, device=device)]
    around = knots[rows, start[..., None] + torch.arange(1, 2 * k + 1, device=device)]
    for level in range(1, k + 1):
        argument = new_knots[:, level : level + count, None]
        left, right = around[..., level - 1 : k], around[..., k : 2 * k - level + 1]
        share = ((argument - left) / (right - left))[..., None]
        local = local[:, :, :-1] * (1 - share) + local[:, :, 1:] * share
    return local[:, :, 0]


def difference_matrix(knots: Tensor, k: int, order: int = 2) -> Tensor:
    """Return the matrix of `order`-th derivatives of a spline, as divided differences.

    Applied to coefficients it gives the coefficients, in the basis of order ``k - order``, of the
    spline's derivative with every input's range scaled to 1.

    Returns
    -------
    Tensor of shape (inputs, grid + k - order, grid + k)
    """
    low, high = domain(knots, k)
    scaled = knots / (high - low)[:, None]
    count = knots.shape[1] - k - 1
    matrix = torch.eye(count, dtype=knots.dtype, device=knots.device).expand(len(knots), -1, -1)
    for step in range(order):
        degree = k - step
        first = step + 1
        gap = scaled[:, first + degree : -first] - scaled[:, first : -first - degree]
        matrix = degree * (matrix[:, 1:] - matrix[:, :-1]) / gap[..., None]
    return matrix
