"""The B-splines themselves, and a curve as their weighted sum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import splines
from .._checks import check_integer
from ..layers import MAX_ORDER
from .style import CYCLE, INK, PALE, Array, new_figure, style_axes

_POINTS_PER_INTERVAL = 60


@dataclass(frozen=True)
class BasisDrawing:
    """B-splines of one order on evenly spaced knots; the grid covers 0 to 1.

    Attributes
    ----------
    knots : array of shape (grid + 2 k + 1,)
        The extended knots.
    x : array of shape (points,)
        From the first to the last extended knot.
    bases : array of shape (grid + k, points)
        The B-splines, each with its whole support.
    weights : array of shape (grid + k,)
        The coefficients of the curve.
    """

    knots: Array
    x: Array
    bases: Array
    weights: Array

    @property
    def total(self) -> Array:
        """The weighted sum at `x`; a spline only where the grid is, from 0 to 1."""
        return self.weights @ self.bases


def basis_drawing(grid: int = 5, k: int = 3) -> BasisDrawing:
    """Compute the B-splines of order `k` on `grid` intervals, and weights for a smooth curve.

    Parameters
    ----------
    grid : int
        Intervals; there are ``grid + k`` B-splines.
    k : int
        Their order, 1 to 5.

    Returns
    -------
    BasisDrawing
    """
    grid = check_integer(grid, "grid", low=1)
    k = check_integer(k, "k", low=1, high=MAX_ORDER)
    breaks = torch.linspace(0, 1, grid + 1, dtype=torch.float64)[None]
    knots = splines.extend_knots(breaks, k)
    points = _POINTS_PER_INTERVAL * (grid + 2 * k) + 1
    x = torch.linspace(float(knots[0, 0]), float(knots[0, -1]), points, dtype=torch.float64)
    # On knots extended once more the same B-splines are seen beyond the ends of the grid.
    further = splines.extend_knots(knots, k)
    bases = splines.basis(x[:, None], further, k)[:, 0, k:-k]
    abscissae = splines.greville(knots, k)[0]
    weights = 0.55 + 0.45 * torch.sin(5.5 * abscissae + 0.4)
    return BasisDrawing(knots[0].numpy(), x.numpy(), bases.T.numpy(), weights.numpy())


def plot_basis(grid: int = 5, k: int = 3) -> Figure:
    """Draw the B-splines of order `k` on `grid` intervals, and a weighted sum of them.

    Parameters
    ----------
    grid : int
        Intervals; there are ``grid + k`` B-splines.
    k : int
        Their order, 1 to 5.

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawing = basis_drawing(grid, k)
    figure = new_figure(6.4, 4.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _draw_bases(upper, drawing, drawing.bases)
    style_axes(upper, f"{grid + k} B-splines of order {k} on {grid} intervals", y_label="$B_g(x)$")
    upper.tick_params(labelbottom=False)
    _draw_bases(lower, drawing, drawing.weights[:, None] * drawing.bases)
    inside = (drawing.x >= 0) & (drawing.x <= 1)
    lower.plot(drawing.x[inside], drawing.total[inside], color=INK, linewidth=2.4)
    style_axes(lower, "A spline: their weighted sum", "$x$", "$c_g B_g(x)$")
    lower.set_xlim(drawing.x[0], drawing.x[-1])
    return figure


def _draw_bases(axes: Axes, drawing: BasisDrawing, curves: Array) -> None:
    length = _POINTS_PER_INTERVAL * (len(drawing.knots) - len(curves)) + 1
    axes.axvspan(0, 1, color=PALE, zorder=0)
    axes.set_xticks([0, 1])
    axes.set_xticks(drawing.knots, minor=True)
    for index, curve in enumerate(curves):
        first = index * _POINTS_PER_INTERVAL
        support = slice(first, first + length)
        axes.plot(
            drawing.x[support], curve[support], color=CYCLE[index % len(CYCLE)], linewidth=1.6
        )
