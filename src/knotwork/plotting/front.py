"""A front of formulas: error against complexity, and predictions against targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import BLUE, GREY, INK, TEXT, VERMILLION, Array, new_figure, style_axes

_LONGEST = 44
_POINTS = 1_000
# Errors are drawn down to here, as a share of the target's spread.
_LEAST = 1e-16


def plot_front(
    complexities: Sequence[int],
    errors: Sequence[float],
    labels: Sequence[str],
    chosen: int,
    targets: Array,
    predictions: Array,
) -> Figure:
    """Draw the front, and how well the chosen formula predicts rows held out.

    Parameters
    ----------
    complexities, errors, labels
        For each formula; errors relative to the target's standard deviation.
    chosen : int
        Which formula is the default choice.
    targets, predictions : arrays of shape (rows,)
        Of the chosen formula, on rows held out.
    """
    figure = new_figure(9.0, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    style_axes(left, "Front", "complexity", "held-out error / spread of the target")
    shown = np.maximum(np.asarray(errors, dtype=float), _LEAST)
    left.plot(complexities, shown, color=GREY, linewidth=1.0, zorder=1)
    for place, (x, y, label) in enumerate(zip(complexities, shown, labels, strict=True)):
        colour = VERMILLION if place == chosen else BLUE
        left.scatter([x], [y], s=36, color=colour, zorder=2)
        text = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
        if place == chosen or len(labels) <= 6:
            left.annotate(
                text,
                (x, y),
                xytext=(6, 6),
                textcoords="offset points",
                fontsize=TEXT - 1,
                color=INK if place == chosen else GREY,
                parse_math=False,
            )
    left.set_yscale("log")
    low, high = float(shown.min()), float(shown.max())
    left.set_ylim(low / 5, high * 10)
    left.set_xlim(0, max(complexities) * 1.7)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))

    style_axes(right, "Chosen formula, rows held out", "target", "prediction")
    rows = np.linspace(0, len(targets) - 1, min(len(targets), _POINTS)).astype(int)
    ends = [float(targets.min()), float(targets.max())]
    right.plot(ends, ends, color=GREY, linewidth=1.0)
    right.scatter(targets[rows], predictions[rows], s=8, color=BLUE, alpha=0.5, linewidths=0)
    return figure
