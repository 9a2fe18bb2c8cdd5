"""The network diagram: every edge's function drawn on it, shaded by importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor

from ..network import KAN
from .labels import function_label, text_width, wrapped
from .network_drawing import DrawnEdge, DrawnNode, NetworkDrawing, network_drawing
from .style import (
    BLUE,
    GREY,
    INK,
    TEXT,
    TITLE,
    VERMILLION,
    Array,
    differ,
)

_MARGIN = 0.2
_LINE_HEIGHT = 1.35 * TITLE / 72
_NODE_SIZE = 12.0
_INPUT_SIZE = 7.0
_NAME_DISTANCE = 0.14
_NAME_GAP = 0.12
# Height of the strip at an inset's top that holds a symbolic function's name.
_NAME_STRIP = 0.18
# Share of an inset that stays free on each side of a curve.
_PADDING = 0.1
_LEAST_WIDTH = 2.0


def plot_network(
    model: KAN,
    X: Tensor | None = None,
    *,
    title: str | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    threshold: float = 0.0,
    row: Tensor | None = None,
) -> Figure:
    """Draw a network with the function of every edge, inputs at the bottom, outputs at the top.

    Each inset shows its edge's function over the range that its data takes, scaled to the inset;
    how much the edge matters is in its shade and the weight of its lines, relative to the most
    important edge of its layer.  Splines are blue; symbolic edges are orange and carry their
    function's name.

    Parameters
    ----------
    model : KAN
    X : Tensor of shape (rows, inputs), optional
        Data that says where the functions matter; what the network was last fitted to if None.
    title : str, optional
    input_names, output_names : sequence of str, optional
        By default those of the data, else $x_1$, $x_2$, ... and $y$.
    threshold : float
        Edges that score lower are left out, see `knotwork.sparsity.attribute`.
    row : Tensor of shape (inputs,), optional
        A dot on every function says where this row lies.

    Returns
    -------
    Figure
        Its size in inches grows with the network; all its lengths and fonts are made for that
        size.

    Examples
    --------
    >>> import torch
    >>> from knotwork.network import KAN
    >>> figure = plot_network(KAN([2, 1]), torch.rand(50, 2, dtype=torch.float64))
    >>> len(figure.axes[0].patches)  # insets
    2
    """
    drawing = network_drawing(
        model,
        X,
        input_names=input_names,
        output_names=output_names,
        threshold=threshold,
        row=row,
    )
    return _side_by_side([_Page.of(drawing, title)])


def plot_networks(
    models: Mapping[str, KAN],
    X: Tensor | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    threshold: float = 0.0,
) -> Figure:
    """Draw networks side by side, as one before and after it is pruned.

    Parameters
    ----------
    models : mapping of str to KAN
        Networks by the titles to draw above them, from left to right.
    X, input_names, output_names, threshold
        As for `plot_network`, of every network.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there are no networks, or one of them cannot be drawn.

    Examples
    --------
    >>> import torch
    >>> from knotwork.network import KAN
    >>> X = torch.rand(50, 2, dtype=torch.float64)
    >>> figure = plot_networks({"wide": KAN([2, 5, 1]), "narrow": KAN([2, 1, 1])}, X)
    >>> [len(axes.patches) for axes in figure.axes]  # insets
    [15, 3]
    """
    if not models:
        raise ValueError("models is empty: give at least one network, as {'trained': model}.")
    return _side_by_side(
        [
            _Page.of(
                network_drawing(
                    model,
                    X,
                    input_names=input_names,
                    output_names=output_names,
                    threshold=threshold,
                ),
                title,
            )
            for title, model in models.items()
        ]
    )


@dataclass(frozen=True)
class _Page:
    """A diagram with its wrapped names and title, and its margins; lengths are in inches."""

    drawing: NetworkDrawing
    names: dict[DrawnNode, str]
    heading: str
    side: float
    below: float
    above: float

    @classmethod
    def of(cls, drawing: NetworkDrawing, title: str | None) -> _Page:
        names = {
            node: wrapped(node.name, TITLE, node.room - _NAME_GAP)
            for node in drawing.nodes
            if node.name
        }
        lines = {
            level: max(name.count("\n") + 1 for node, name in names.items() if node.level == level)
            for level in {node.level for node in names}
        }
        below = _MARGIN + _NAME_DISTANCE + lines[0] * _LINE_HEIGHT
        above = _MARGIN + _NAME_DISTANCE + lines[max(lines)] * _LINE_HEIGHT
        width = max(drawing.width, _LEAST_WIDTH)
        heading = ""
        if title:
            heading = wrapped(title, TITLE, width)
            width = max(width, text_width(max(heading.split("\n"), key=len), TITLE))
            above += (heading.count("\n") + 1) * _LINE_HEIGHT + 0.1
        side = _MARGIN + (width - drawing.width) / 2
        return cls(drawing, names, heading, side, below, above)

    @property
    def width(self) -> float:
        return self.drawing.width + 2 * self.side

    @property
    def height(self) -> float:
        return self.drawing.height + self.below + self.above


def _side_by_side(pages: Sequence[_Page]) -> Figure:
    width = sum(page.width for page in pages)
    height = max(page.height for page in pages)
    figure = Figure(figsize=(width, height), facecolor="white")
    left = 0.0
    for page in pages:
        axes = figure.add_axes((left / width, 0, page.width / width, 1))
        _draw_page(axes, page, height)
        left += page.width
    return figure


def _draw_page(axes: Axes, page: _Page, height: float) -> None:
    """Draw a diagram half-way up a page of this height, with its title at the top."""
    drawing, extra = page.drawing, (height - page.height) / 2
    top = drawing.height + page.above + extra
    axes.set_axis_off()
    axes.set_xlim(-page.side, drawing.width + page.side)
    axes.set_ylim(-page.below - extra, top)
    for edge in drawing.edges:
        _draw_edge(axes, edge)
    _draw_links(axes, drawing.nodes)
    for node in drawing.nodes:
        _draw_node(axes, node, page.names.get(node, ""))
    if page.heading:
        axes.text(
            drawing.width / 2,
            top - _MARGIN,
            page.heading,
            fontsize=TITLE,
            color=INK,
            ha="center",
            va="top",
        )


def _draw_edge(axes: Axes, edge: DrawnEdge) -> None:
    colour = BLUE if edge.function is None else VERMILLION
    key = f"{edge.l}-{edge.i}-{edge.j}"
    for points in edge.route:
        x, y = zip(*points, strict=True)
        axes.add_line(
            Line2D(
                x,
                y,
                color=colour,
                alpha=0.9 * edge.shade,
                linewidth=0.5 + 1.1 * edge.shade,
                solid_joinstyle="round",
                zorder=1,
            )
        )
    box = edge.box
    axes.add_patch(
        Rectangle(
            (box.left, box.bottom),
            box.width,
            box.height,
            facecolor="white",
            edgecolor=_faded(GREY, edge.shade),
            linewidth=0.8,
            zorder=2,
            gid=f"inset-{key}",
        )
    )
    strip = 0.0
    if edge.function is not None:
        strip = _NAME_STRIP
        label = function_label(edge.function)
        room = 0.9 * box.width
        axes.text(
            box.left + box.width / 2,
            box.top - 0.58 * strip,
            label,
            fontsize=TEXT * min(1.0, room / text_width(label, TEXT)),
            color=colour,
            ha="center",
            va="center",
            zorder=4,
        )
    x, y = _in_box(edge, edge.x, edge.y, strip)
    is_point = not differ(edge.x[0], edge.x[-1])
    axes.add_line(
        Line2D(
            x[:1] if is_point else x,
            y[:1] if is_point else y,
            color=colour,
            alpha=edge.shade,
            linewidth=1.6,
            marker="o" if is_point else "",
            markersize=4,
            solid_capstyle="round",
            zorder=3,
            gid=f"curve-{key}",
        )
    )
    if edge.mark is not None:
        x, y = edge.mark
        axes.plot(
            *_in_box(edge, np.array([x]), np.array([y]), strip),
            marker="o",
            markersize=5.5,
            markerfacecolor="white",
            markeredgecolor=_faded(INK, edge.shade),
            markeredgewidth=1.4,
            zorder=4,
            gid=f"mark-{key}",
        )


def _in_box(edge: DrawnEdge, x: Array, y: Array, strip: float) -> tuple[Array, Array]:
    """Scale points to an edge's inset; on a function that does not vary they are half-way up."""
    box = edge.box
    return (
        box.left + box.width * _scaled(x, edge.x),
        box.bottom + (box.height - strip) * _scaled(y, edge.y),
    )


def _scaled(values: Array, curve: Array) -> Array:
    """Bring the range of a curve to that of 0 to 1 less the padding; 0.5 if it does not vary.

    What lies beyond the range is put to its end.
    """
    finite = curve[np.isfinite(curve)]
    if len(finite) == 0:
        return np.full_like(values, np.nan)
    low, high = float(finite.min()), float(finite.max())
    if not differ(low, high):
        return np.full_like(values, 0.5)
    share = ((values - low) / (high - low)).clip(0, 1)
    return _PADDING + (1 - 2 * _PADDING) * share


def _faded(colour: str, shade: float) -> tuple[float, float, float]:
    """Blend a colour towards white; opaque, unlike alpha, so nothing behind it shows."""
    red, green, blue = (1 - shade * (1 - channel) for channel in to_rgb(colour))
    return red, green, blue


def _draw_links(axes: Axes, nodes: Sequence[DrawnNode]) -> None:
    """Draw the lines from the factors to the nodes that multiply them."""
    products = {(node.level, node.index): node for node in nodes if node.kind == "product"}
    for node in nodes:
        if node.product is not None:
            end = products[node.level, node.product].position
            start = node.position
            axes.add_line(
                Line2D(
                    (start.x, end.x),
                    (start.y, end.y),
                    color=_faded(INK, node.shade),
                    linewidth=1.2,
                    zorder=1,
                )
            )


def _draw_node(axes: Axes, node: DrawnNode, name: str) -> None:
    x, y = node.position
    colour = _faded(INK, node.shade)
    is_input = node.kind == "input"
    axes.plot(
        x,
        y,
        marker="o",
        markersize=_INPUT_SIZE if is_input else _NODE_SIZE,
        markerfacecolor=colour if is_input else "white",
        markeredgecolor=colour,
        markeredgewidth=1.1,
        zorder=5,
    )
    if not is_input:
        axes.plot(
            x,
            y,
            marker="x" if node.kind == "product" else "+",
            markersize=0.5 * _NODE_SIZE,
            markeredgecolor=colour,
            markeredgewidth=1.3,
            zorder=6,
        )
    if name:
        away = -_NAME_DISTANCE if is_input else _NAME_DISTANCE
        axes.text(
            x,
            y + away,
            name,
            fontsize=TITLE,
            color=INK,
            ha="center",
            va="top" if is_input else "bottom",
            zorder=6,
        )
