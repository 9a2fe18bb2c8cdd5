"""The pictures of an explanation: small panels of inputs and edges, a prediction's waterfall."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..plotting import plot_network
from ..plotting.labels import drawable, function_label, text_width
from ..plotting.style import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    INK,
    PALE,
    TEXT,
    TITLE,
    VERMILLION,
    Array,
    differ,
    new_figure,
    style_axes,
)
from .effects import Direction
from .result import EdgeExplanation, Explanation, InputExplanation
from .row import RowExplanation

MOST_PANELS = 24
_MOST_BARS = 12
_MOST_DRAWN_EDGES = 60
_LEGEND_COLUMNS = 5
_COLUMNS, _WIDTH, _HEIGHT = 4, 2.5, 2.2
# Share of a card's width that is left of its panel, and inches of it that are the ticks'.
_LEFT, _TICK = 0.18, 0.12
# Share of a panel's height that the density at its foot takes.
_FOOT = 0.15
_MARKS: dict[Direction, tuple[str, str]] = {
    "increasing": ("increasing ↗", GREEN),
    "decreasing": ("decreasing ↘", VERMILLION),
    "no effect": ("no effect", GREY),
    "neither": ("", GREY),
}
_STYLES = ("-", "--", ":")


def plot_inputs(explanation: Explanation) -> Figure:
    """Draw every input's effect, most important first, all to one scale; see `Explanation.plot`."""
    draws = [partial(draw_input, explanation, found) for found in explanation.ranked()]
    figure = _panels(draws, "inputs")
    if len(explanation.output_names) > 1:
        _draw_legend(figure, explanation, "outside lower center")
    else:
        words = f"change of {explanation.output_labels[0]}"
        if text_width(words, TEXT) > 0.9 * figure.get_figheight():
            words = "change of the output"
        figure.supylabel(words, fontsize=TEXT, color=INK)
    return figure


def plot_edges(explanation: Explanation) -> Figure:
    """Draw every edge's function over its data, the most important first."""
    most = explanation.most_importance
    draws = [partial(draw_edge, edge, most) for edge in explanation.ranked_edges()]
    return _panels(draws, "edges")


def input_figure(explanation: Explanation, found: InputExplanation) -> Figure:
    """Draw one input's effect."""
    figure, axes = _card(foot=0.11)
    draw_input(explanation, found, axes)
    _fit_ticks(axes)
    return figure


def edge_figure(explanation: Explanation, edge: EdgeExplanation) -> Figure:
    """Draw one edge's function over its data."""
    figure, axes = _card(foot=0.2)
    draw_edge(edge, explanation.most_importance, axes)
    _fit_ticks(axes)
    return figure


def _card(foot: float) -> tuple[Figure, Axes]:
    """Return a figure of a single panel, where all such figures have theirs."""
    figure = Figure(figsize=(_WIDTH + 0.7, _HEIGHT + 0.3), facecolor="white")
    return figure, figure.add_axes((_LEFT, foot, 0.78, 0.83 - foot))


def _fit_ticks(axes: Axes) -> None:
    """Make the numbers beside a card's panel small enough for what room there is."""
    room = _LEFT * (_WIDTH + 0.7) - _TICK
    widest = max((text_width(tick.get_text(), TEXT) for tick in axes.get_yticklabels()), default=0)
    if widest > room:
        axes.tick_params(axis="y", labelsize=TEXT * room / widest)


def plot_network_of(explanation: Explanation, row: RowExplanation | None) -> Figure:
    """Draw the network, without its least important edges where there are very many."""
    scores = sorted((edge.importance for edge in explanation.edges), reverse=True)
    inputs = [found.label for found in explanation.inputs]
    outputs = list(explanation.output_labels)
    values = None
    if row is not None:
        values = explanation.X.new_tensor(row.inputs)
        inputs = [_equal(*pair) for pair in zip(inputs, row.inputs, strict=True)]
        outputs = [_equal(*pair) for pair in zip(outputs, row.outputs, strict=True)]
    return plot_network(
        explanation.model,
        explanation.X,
        input_names=inputs,
        output_names=outputs,
        threshold=scores[_MOST_DRAWN_EDGES - 1] if len(scores) > _MOST_DRAWN_EDGES else 0.0,
        row=values,
    )


def _equal(label: str, value: float) -> str:
    return f"{label} = {value:.4g}".replace("= -", "= −")


def _panels(draws: Sequence[Callable[[Axes], None]], what: str) -> Figure:
    """Draw panels side by side, 24 of them at the most."""
    shown = draws[:MOST_PANELS]
    columns = min(_COLUMNS, max(1, len(shown)))
    lines = max(1, math.ceil(len(shown) / columns))
    figure = new_figure(columns * _WIDTH + 0.4, lines * _HEIGHT + 0.3)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=0.08, h_pad=0.08)
    for place, draw in enumerate(shown):
        draw(figure.add_subplot(lines, columns, place + 1))
    if len(draws) > len(shown):
        heading = f"The {len(shown)} of {len(draws)} {what} that matter most"
        figure.suptitle(heading, fontsize=TITLE, color=INK)
    return figure


def legend_figure(explanation: Explanation) -> Figure:
    """Draw nothing but which line is which output."""
    names = len(explanation.output_names)
    figure = new_figure(6.4, 0.1 + 0.2 * math.ceil(names / _LEGEND_COLUMNS))
    _draw_legend(figure, explanation, "center")
    return figure


def _draw_legend(figure: Figure, explanation: Explanation, place: Any) -> None:
    labels = explanation.output_labels
    lines = [Line2D([], [], linewidth=1.8, **_line(output)) for output in range(len(labels))]
    figure.legend(
        lines,
        labels,
        loc=place,
        ncols=min(len(labels), _LEGEND_COLUMNS),
        frameon=False,
        fontsize=TEXT,
        labelcolor=INK,
    )


def _line(output: int) -> dict[str, Any]:
    """Return colour and style of an output's lines."""
    turn, place = divmod(output, len(CYCLE))
    return {"color": CYCLE[place], "linestyle": _STYLES[turn % len(_STYLES)]}


def draw_input(explanation: Explanation, found: InputExplanation, axes: Axes) -> None:
    """Draw the shape of an input's effect on all outputs, and the density of its values."""
    style_axes(axes, y_label="")
    low, high = _heights(explanation)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=1)
    for output, effect in enumerate(found.effects):
        colour = _line(output)["color"]
        if not explanation.exact:
            rows, parts = explanation.dots
            axes.plot(
                rows[:, found.index],
                parts[:, found.index, output],
                linestyle="",
                marker="o",
                markersize=2.2,
                markeredgewidth=0,
                color=colour,
                alpha=0.4,
                zorder=2,
            )
        if len(effect.x) > 1 and differ(effect.x[0], effect.x[-1]):
            axes.plot(effect.x, effect.y, linewidth=1.9, zorder=3, **_line(output))
        else:
            axes.plot(effect.x[:1], effect.y[:1], marker="o", markersize=5, color=colour)
    _density(axes, found.bins, found.density)
    axes.set_ylim(low - (_FOOT + 0.06) * (high - low) / (1 - _FOOT), high)
    axes.set_xlim(found.bins[0], found.bins[-1])
    directions: set[Direction] = {effect.direction for effect in found.effects}
    mark = _MARKS[directions.pop()] if len(directions) == 1 else ("", GREY)
    _head(axes, found.label, mark, found.importance, explanation.most_importance)


def _heights(explanation: Explanation) -> tuple[float, float]:
    """Return the ends of the vertical axis that all inputs share."""
    heights = [effect.y for found in explanation.inputs for effect in found.effects]
    if not explanation.exact:
        heights.append(explanation.dots[1].ravel())
    joined = np.concatenate(heights)
    joined = joined[np.isfinite(joined)]
    low, high = (float(joined.min()), float(joined.max())) if len(joined) else (0.0, 0.0)
    if not differ(low, high):
        low, high = low - 1, high + 1
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def draw_edge(found: EdgeExplanation, most: float, axes: Axes) -> None:
    """Draw an edge's function over its data, and the density of that."""
    drawing = found.drawing
    style_axes(axes)
    colour = VERMILLION if drawing.symbolic else BLUE
    inside = (drawing.x >= drawing.low) & (drawing.x <= drawing.high)
    x, y = drawing.x[inside], drawing.y[inside]
    single = not differ(drawing.low, drawing.high)
    axes.plot(
        x[:1] if single else x,
        y[:1] if single else y,
        color=colour,
        linewidth=1.9,
        marker="o" if single else "",
        markersize=5,
    )
    _density(axes, drawing.bins, drawing.density)
    _leave_foot(axes, y)
    axes.set_xlim(drawing.bins[0], drawing.bins[-1])
    function = found.edge.function
    mark = ("", GREY) if function is None else (function_label(function.name), VERMILLION)
    edge = found.edge
    _head(axes, f"({edge.l}, {edge.i}, {edge.j})", mark, found.importance, most)
    ends = f"{found.label} → {drawable(found.target)}"
    axes.set_xlabel(ends, fontsize=_size_within(_WIDTH, ends), color=INK)


def _size_within(width: float, text: str) -> float:
    """Return the size that `text` fits into `width` inches at, within what can be read."""
    return min(1.0, max(0.6, width / max(text_width(text, TEXT), 1e-9))) * TEXT


def _leave_foot(axes: Axes, values: Array) -> None:
    """Keep the foot of a panel free of its curve."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return
    low, high = float(finite.min()), float(finite.max())
    if not differ(low, high):
        low, high = low - 1, high + 1
    room = (high - low) / (1 - _FOOT)
    axes.set_ylim(low - (_FOOT + 0.06) * room, high + 0.06 * room)


def _density(axes: Axes, bins: Array, density: Array) -> None:
    """Draw a histogram at the foot of a panel."""
    share = _FOOT * density / density.max()
    axes.stairs(
        share, bins, fill=True, color=GREY, alpha=0.35, transform=axes.get_xaxis_transform()
    )


def _head(axes: Axes, name: str, mark: tuple[str, str], importance: float, most: float) -> None:
    """Write a panel's heading, and below it its importance as a bar, whole for `most`."""
    words, colour = mark
    axes.set_title(name, fontsize=TITLE, color=INK, loc="left", pad=13)
    size = _size_within(_WIDTH - 0.7 - text_width(name, TITLE), words)
    axes.set_title(words, fontsize=size, color=colour, loc="right", pad=13)
    share = float(np.nan_to_num(importance)) / most
    for width, fill in ((1.0, PALE), (share, INK)):
        axes.add_patch(
            Rectangle(
                (0, 1.035),
                0.84 * width,
                0.035,
                facecolor=fill,
                linewidth=0,
                transform=axes.transAxes,
                clip_on=False,
            )
        )
    axes.text(
        1.0,
        1.052,
        f"{importance:.2f}",
        fontsize=TEXT - 1.5,
        color=INK,
        ha="right",
        va="center",
        transform=axes.transAxes,
    )
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    _move_scale(axes)


def _move_scale(axes: Axes) -> None:
    """Write what the numbers at the side are multiplied by into the panel: above it is the bar."""
    axes.yaxis.get_offset_text().set_visible(False)
    # Known once the numbers are.
    axes.get_yticklabels()
    axes.text(
        0.02,
        0.97,
        axes.yaxis.get_major_formatter().get_offset(),
        fontsize=TEXT - 1.5,
        color=GREY,
        ha="left",
        va="top",
        transform=axes.transAxes,
    )


def plot_row(explanation: Explanation, row: RowExplanation, output: int) -> Figure:
    """Draw a waterfall from the mean prediction to the row's, the largest contributions first.

    Raises
    ------
    ValueError
        If contributions are not finite.
    """
    parts = row.contributions[:, output]
    if not np.isfinite(parts).all():
        raise ValueError(
            f"{row.title} has no contributions for {row.output_names[output]}: lines between rows "
            "leave the domain of a function in the network. Its edges can be read all the same."
        )
    ranked = row.ranked(output)
    shown = ranked if len(ranked) <= _MOST_BARS else ranked[: _MOST_BARS - 1]
    labels = [_equal(explanation.inputs[i].label, row.inputs[i]) for i in shown]
    steps = [float(parts[i]) for i in shown]
    if len(shown) < len(ranked):
        labels.append(f"{len(ranked) - len(shown)} others")
        steps.append(float(sum(parts[i] for i in ranked[len(shown) :])))
    remainder = row.notable_remainder(output)
    if remainder is not None:
        labels.append("remainder")
        steps.append(remainder)
    longest = max((text_width(label, TEXT) for label in labels), default=0.0)
    figure = new_figure(4.4 + longest, 1.3 + 0.34 * len(steps))
    axes = figure.add_subplot()
    _waterfall(axes, float(row.base[output]), steps)
    axes.set_yticks(range(len(labels)), labels)
    prediction = _equal(explanation.output_labels[output], float(row.outputs[output]))
    style_axes(axes, f"{row.title}: {prediction}")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.invert_yaxis()
    return figure


def _waterfall(axes: Axes, base: float, steps: Sequence[float]) -> None:
    ends = base + np.cumsum([0.0, *steps])
    low, high = float(ends.min()), float(ends.max())
    span = (high - low) or abs(base) or 1.0
    axes.set_xlim(low - 0.22 * span, high + 0.22 * span)
    for place, step in enumerate(steps):
        start, end = float(ends[place]), float(ends[place + 1])
        colour = BLUE if step >= 0 else VERMILLION
        axes.barh(place, end - start, left=start, height=0.62, color=colour, zorder=2)
        side = 1 if step >= 0 else -1
        axes.annotate(
            f"{step:+.3g}".replace("-", "−"),
            (end, place),
            xytext=(4 * side, 0),
            textcoords="offset points",
            fontsize=TEXT - 0.5,
            color=colour,
            ha="left" if side > 0 else "right",
            va="center",
            bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
        )
        axes.plot([end, end], [place, place + 1], color=GREY, linewidth=0.7, zorder=1)
    axes.axvline(base, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    axes.annotate(
        f"mean {base:.4g}".replace("-", "−"),
        (base, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, -2),
        textcoords="offset points",
        fontsize=TEXT - 1,
        color=GREY,
        ha="left",
        va="top",
    )
    axes.set_ylim(-1.1, len(steps) - 0.4)
