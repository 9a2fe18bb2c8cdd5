"""One edge: its function, its knots, and where its data lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..edges import Edge
from .density import histogram
from .labels import function_form
from .network_drawing import input_name, rows_or_recent
from .style import BLUE, GREY, INK, TEXT, VERMILLION, Array, differ, new_figure, style_axes

_CURVE_POINTS = 401
# How far beyond the data the function is shown, as a share of the data's range.
_BEYOND = 0.15


@dataclass(frozen=True)
class EdgeDrawing:
    """An edge and its data.

    Attributes
    ----------
    x, y : arrays of shape (points,)
        The function over its data's range and somewhat beyond.
    low, high : float
        The data's range.
    knots : array
        Ends of the spline's intervals; empty for a symbolic edge.
    bins, density : arrays of shape (bins + 1,) and (bins,)
        Histogram of the data.
    title, input_name : str
    symbolic : bool
    """

    x: Array
    y: Array
    low: float
    high: float
    knots: Array
    bins: Array
    density: Array
    title: str
    input_name: str
    symbolic: bool


def edge_drawing(edge: Edge, X: Tensor | None = None) -> EdgeDrawing:
    """Gather what the picture of an edge shows.

    Parameters
    ----------
    edge : Edge
    X : Tensor of shape (rows, inputs of the network), optional
        What the network was last fitted to if None.

    Returns
    -------
    EdgeDrawing
    """
    return drawing_over(
        edge,
        edge.inputs(rows_or_recent(edge.model, X)),
        input_name(edge.model, edge.i) if edge.l == 0 else f"node {edge.i} of layer {edge.l}",
    )


@torch.no_grad()
def drawing_over(edge: Edge, inputs: Tensor, name: str) -> EdgeDrawing:
    """Gather what the picture of an edge shows, given what reaches it and the name of that.

    Parameters
    ----------
    edge : Edge
    inputs : Tensor of shape (rows,)
    name : str
    """
    data = inputs.double().cpu().numpy()
    low, high = float(data.min()), float(data.max())
    layer = edge.model.layer(edge.l)
    start, end = _shown_range(edge, low, high)
    even = torch.linspace(start, end, _CURVE_POINTS, dtype=inputs.dtype, device=inputs.device)
    x = torch.cat([even, torch.stack([inputs.min(), inputs.max()])]).sort().values
    bins, density = histogram(data, (low, high) if differ(low, high) else (start, end))
    breaks = layer.knots[edge.i, layer.k : -layer.k].double().cpu().numpy()
    return EdgeDrawing(
        x.double().cpu().numpy(),
        edge.values(x).double().cpu().numpy(),
        low,
        high,
        breaks if edge.kind == "spline" else breaks[:0],
        bins,
        density,
        f"Edge ({edge.l}, {edge.i}, {edge.j}): {_form(edge)}",
        name,
        edge.function is not None,
    )


def plot_edge(edge: Edge, X: Tensor | None = None) -> Figure:
    """Draw an edge's function with its knots, above the density of its data.

    The line is solid where there is data and dashed where the function is extrapolated from it.

    Parameters
    ----------
    edge : Edge
        As ``model[l, i, j]``.
    X : Tensor of shape (rows, inputs of the network), optional
        What the network was last fitted to if None.

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawing = edge_drawing(edge, X)
    figure = new_figure(4.8, 3.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _draw_function(upper, drawing)
    lower.stairs(drawing.density, drawing.bins, fill=True, color=GREY, alpha=0.45)
    style_axes(lower, x_label=drawing.input_name, y_label="density")
    lower.set_yticks([])
    lower.spines["left"].set_visible(False)
    lower.set_xlim(drawing.x[0], drawing.x[-1])
    return figure


def _draw_function(axes: Axes, drawing: EdgeDrawing) -> None:
    colour = VERMILLION if drawing.symbolic else BLUE
    inside = (drawing.x >= drawing.low) & (drawing.x <= drawing.high)
    between = (drawing.x > drawing.low) & (drawing.x < drawing.high)
    beyond = np.where(between, np.nan, drawing.y)
    axes.plot(
        drawing.x,
        beyond,
        color=colour,
        linewidth=1.2,
        linestyle=(0, (3, 2)),
        label="beyond the data",
    )
    axes.plot(drawing.x[inside], drawing.y[inside], color=colour, linewidth=2.2)
    if not differ(drawing.low, drawing.high):
        value = np.interp(drawing.low, drawing.x, drawing.y)
        axes.plot(drawing.low, value, color=colour, marker="o", markersize=6)
    if len(drawing.knots):
        axes.plot(
            drawing.knots,
            np.zeros_like(drawing.knots),
            linestyle="",
            marker="|",
            markersize=9,
            color=INK,
            label="knots",
            transform=axes.get_xaxis_transform(),
        )
    _limit(axes, drawing, inside)
    style_axes(axes, drawing.title, y_label="output")
    axes.tick_params(labelbottom=False, length=0, axis="x")
    axes.legend(frameon=False, fontsize=TEXT, labelcolor=INK)


def _limit(axes: Axes, drawing: EdgeDrawing, inside: NDArray[np.bool_]) -> None:
    """Keep what lies beyond the data from dwarfing what lies within."""
    y = drawing.y[inside & np.isfinite(drawing.y)]
    if len(y) == 0 or not differ(float(y.min()), float(y.max())):
        return
    low, high = float(y.min()), float(y.max())
    shown = np.clip(drawing.y[np.isfinite(drawing.y)], low - (high - low), high + (high - low))
    axes.set_ylim(shown.min() - 0.06 * np.ptp(shown), shown.max() + 0.06 * np.ptp(shown))


def _shown_range(edge: Edge, low: float, high: float) -> tuple[float, float]:
    """Return the ends of the picture: beyond the data, but not where the edge has no value."""
    first, last = edge.knot_range
    varies = differ(low, high)
    beyond = _BEYOND * (high - low) if varies else max((last - first) / 2, 1e-6 * abs(low))
    if edge.kind == "spline" and edge.model.layer(edge.l).extrapolation == "error":
        return max(low - beyond, first), min(high + beyond, last)
    return low - beyond, high + beyond


def _form(edge: Edge) -> str:
    """Return what is on the edge: its kind, or its function with its constants."""
    if edge.function is None or edge.constants is None:
        return edge.kind
    return function_form(edge.function.name, *edge.constants)
