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
    fitted_errors: Sequence[float],
    label: str,
    chosen: int,
    targets: Array,
    predictions: Array,
) -> Figure:
    """Draw the front, and how well the chosen formula predicts rows held out.

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
    """
    figure = new_figure(9.0, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
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
    left.scatter([x], [y], s=64, color=VERMILLION, zorder=4, label="held out, chosen formula")
    left.legend(fontsize=TEXT - 1, frameon=False, loc="upper right")
    right_half = x > 0.5 * max(complexities)
    left.annotate(
        label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…",
        (x, y),
        xytext=(4 if right_half else -4, -10),
        textcoords="offset points",
        fontsize=TEXT - 1,
        color=INK,
        ha="right" if right_half else "left",
        va="top",
        parse_math=False,
    )
    left.set_yscale("log")
    both = np.concatenate([held, fitted])
    left.set_ylim(float(both.min()) / 5, float(both.max()) * 10)
    left.set_xlim(0, max(complexities) * 1.1)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))

    style_axes(right, "Chosen formula, rows held out", "target", "prediction")
    rows = np.linspace(0, len(targets) - 1, min(len(targets), _POINTS)).astype(int)
    ends = [float(targets.min()), float(targets.max())]
    right.plot(ends, ends, color=GREY, linewidth=1.0)
    right.scatter(targets[rows], predictions[rows], s=8, color=BLUE, alpha=0.5, linewidths=0)
    return figure
