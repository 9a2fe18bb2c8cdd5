"""Why splines: one polynomial through ten points, a cubic spline, and a B-spline fit.

The points are evenly spaced ones of a sine, with a little noise.  That polynomials through many
such points swing towards the ends is due to C. Runge, "Über empirische Funktionen und die
Interpolation zwischen äquidistanten Ordinaten", *Z. Math. Phys.* 46 (1901) 224-243.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .. import splines
from .style import BLUE, GREEN, GREY, INK, TEXT, VERMILLION, Array, new_figure, style_axes

# Fixed numbers in place of random noise, so that the picture never changes.
_NOISE = (0.04, -0.11, 0.08, -0.02, 0.1, -0.07, 0.01, -0.12, 0.06, -0.05)
_FIT_GRID = 3
_CURVE_POINTS = 401


@dataclass(frozen=True)
class InterpolationDrawing:
    """Ten points and three curves for them.

    Attributes
    ----------
    points : array of shape (10, 2)
    x : array of shape (points,)
        Where the curves are evaluated.
    truth : array of shape (points,)
        The function that the points come from, up to noise.
    polynomial : array of shape (points,)
        The polynomial of order 9 through all points.
    interpolant : array of shape (points,)
        The natural cubic spline through all points.
    fit : array of shape (points,)
        The least-squares fit of cubic B-splines on three intervals.
    """

    points: Array
    x: Array
    truth: Array
    polynomial: Array
    interpolant: Array
    fit: Array


def interpolation_drawing() -> InterpolationDrawing:
    """Compute the three curves of `plot_interpolation`.

    Returns
    -------
    InterpolationDrawing
    """
    x = torch.linspace(-1, 1, len(_NOISE), dtype=torch.float64)
    y = torch.sin(torch.pi * x) + torch.tensor(_NOISE, dtype=torch.float64)
    at = torch.linspace(-1, 1, _CURVE_POINTS, dtype=torch.float64)
    polynomial = np.polynomial.Polynomial.fit(x.numpy(), y.numpy(), len(x) - 1)
    return InterpolationDrawing(
        torch.stack([x, y], dim=1).numpy(),
        at.numpy(),
        torch.sin(torch.pi * at).numpy(),
        polynomial(at.numpy()),
        _natural_spline(x, y, at).numpy(),
        _least_squares_spline(x, y, at).numpy(),
    )


def plot_interpolation() -> Figure:
    """Draw a polynomial of order 9 through ten points, a cubic spline, and a B-spline fit.

    The polynomial meets every point and swings between them; the spline through the points keeps
    close; the fit, which has fewer coefficients than there are points, also averages their noise.

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawing = interpolation_drawing()
    figure = new_figure(9.6, 3.2)
    panels = (
        ("Polynomial of order 9", drawing.polynomial, VERMILLION),
        ("Interpolating cubic spline", drawing.interpolant, GREEN),
        ("Least-squares B-spline fit", drawing.fit, BLUE),
    )
    for axes, (title, curve, colour) in zip(
        figure.subplots(1, len(panels), sharey=True), panels, strict=True
    ):
        axes.plot(drawing.x, drawing.truth, color=GREY, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.plot(drawing.x, curve, color=colour, linewidth=2.0)
        axes.plot(*drawing.points.T, linestyle="", marker="o", markersize=4.5, color=INK)
        style_axes(axes, title, "$x$")
    figure.axes[0].annotate(
        "truth", (0.5, 1.0), (0.5, 1.25), fontsize=TEXT, color=GREY, va="center"
    )
    return figure


def _natural_spline(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """Return the cubic spline through (x, y), its second derivative 0 at both ends, at `at`."""
    knots = splines.extend_knots(x[None], 3)
    ends = x[[0, -1], None]
    conditions = torch.cat(
        [splines.basis(x[:, None], knots, 3)[:, 0], splines.basis(ends, knots, 3, 2)[:, 0]]
    )
    values = torch.cat([y, torch.zeros_like(y[:2])])
    return splines.basis(at[:, None], knots, 3)[:, 0] @ torch.linalg.solve(conditions, values)


def _least_squares_spline(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """Return the least-squares cubic spline on evenly spaced knots at `at`."""
    knots = splines.extend_knots(splines.uniform_breaks(x[:1], x[-1:], _FIT_GRID), 3)
    design = splines.basis(x[:, None], knots, 3)[:, 0]
    coefficients = torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
    return splines.basis(at[:, None], knots, 3)[:, 0] @ coefficients
