"""A front of formulas: error against complexity, and predictions against targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .curves import Curve, draw_curve
from .style import BLUE, GREY, INK, TEXT, TITLE, VERMILLION, Array, new_figure, style_axes

_LONGEST = 44
_POINTS = 1_000
# Errors are drawn down to here, as a share of the target's spread.
_LEAST = 1e-16
# Nearer to each other than this they are not spread over a logarithmic axis.
_DECADE = 10.0
_CURVES = "Chosen formula along its inputs, the others at their medians; grey: the data's range"


def plot_front(
    complexities: Sequence[int],
    errors: Sequence[float],
    fitted_errors: Sequence[float],
    label: str,
    chosen: int,
    targets: Array,
    predictions: Array,
    curves: Sequence[Curve] = (),
    target: str = "value",
) -> Figure:
    """Draw the front, how well the chosen formula predicts rows held out, and what it does beyond.

    Parameters
    ----------
    complexities, errors, fitted_errors
        For each formula; errors over rows held out and over rows it was fitted to, relative to the
        target's standard deviation.
    label : str
        The chosen formula.
    chosen : int
        Which formula is the default choice.
    targets, predictions : arrays of shape (rows,)
        Of the chosen formula, on rows held out.
    curves : sequence of Curve
        Of the chosen formula and its rivals, along inputs that matter.
    target : str
        What the formula is of.
    """
    figure = new_figure(9.0, 7.0 if curves else 4.2)
    upper: Any = figure
    if curves:
        parts: Any = figure.subfigures(2, 1, height_ratios=(4.2, 2.8))
        upper, lower = parts
        lower.suptitle(_CURVES, fontsize=TITLE, color=INK, x=0.01, ha="left")
        below = lower.subplots(1, len(curves), squeeze=False, sharey=False)[0]
        for place, (axes, curve) in enumerate(zip(below, curves, strict=True)):
            draw_curve(axes, curve, target if place == 0 else "")
    left, right = upper.subplots(1, 2, width_ratios=(1.4, 1))
    style_axes(left, "Front", "complexity", "error / spread of the target")
    held = np.maximum(np.asarray(errors, dtype=float), _LEAST)
    fitted = np.maximum(np.asarray(fitted_errors, dtype=float), _LEAST)
    # A dot far above its circle is a formula that has learned its rows by heart.
    left.plot(complexities, held, color=GREY, linewidth=1.0, zorder=1)
    left.scatter(
        complexities,
        fitted,
        s=36,
        facecolors="none",
        edgecolors=GREY,
        zorder=2,
        label="rows fitted",
    )
    left.scatter(complexities, held, s=36, color=BLUE, zorder=3, label="rows held out")
    x, y = complexities[chosen], float(held[chosen])
    short = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
    left.scatter([x], [y], s=64, color=VERMILLION, zorder=4, label=f"chosen: {short}")
    # Below the axes, where no marker is.
    legend = left.legend(
        fontsize=TEXT - 1,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0.0, -0.16),
        borderaxespad=0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    both = np.concatenate([held, fitted])
    low, high = float(both.min()), float(both.max())
    if high / low > _DECADE:
        left.set_yscale("log")
        margin = (high / low) ** 0.08
        left.set_ylim(low / margin, high * margin)
    else:
        margin = max(0.1 * (high - low), 0.02 * high)
        left.set_ylim(low - margin, high + margin)
    left.set_xlim(0, max(complexities) * 1.1)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))

    style_axes(right, "Chosen formula, rows held out", "target", "prediction")
    rows = np.linspace(0, len(targets) - 1, min(len(targets), _POINTS)).astype(int)
    ends = [float(targets.min()), float(targets.max())]
    right.plot(ends, ends, color=GREY, linewidth=1.0)
    right.scatter(targets[rows], predictions[rows], s=8, color=BLUE, alpha=0.5, linewidths=0)
    return figure
