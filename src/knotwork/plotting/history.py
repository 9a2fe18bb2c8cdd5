"""The course of a fit: losses by step, with the changes of grid and the best step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..training import History
from .style import BLUE, GREY, INK, TEXT, VERMILLION, new_figure, style_axes


def plot_history(history: History | Sequence[History]) -> Figure:
    """Draw training and test loss by step, and the penalty where there was one.

    Parameters
    ----------
    history : History or sequence of History
        One fit, or several fits of one network one after the other, as when its grid is refined
        between them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    histories = [history] if isinstance(history, History) else list(history)
    joined = joined_history(histories)
    penalised = any(value > 0 for value in joined.penalty)
    figure = new_figure(5.4, 4.4 if penalised else 3.4)
    if penalised:
        axes, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        lower.plot(joined.steps, joined.penalty, color=GREY, linewidth=1.5)
        style_axes(lower, x_label="step", y_label="penalty")
        lower.set_ylim(bottom=0)
        axes.tick_params(labelbottom=False)
    else:
        axes = figure.subplots()
    style_axes(axes, x_label="" if penalised else "step", y_label=joined.metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.plot(joined.steps, joined.train_loss, color=BLUE, linewidth=1.8, label="training")
    if joined.test_loss:
        axes.plot(
            joined.steps,
            joined.test_loss,
            color=VERMILLION,
            linewidth=1.8,
            linestyle=(0, (4, 1.5)),
            label="test",
        )
    _mark_best(axes, joined)
    _mark_grids(axes, joined)
    _scale(axes, [*joined.train_loss, *joined.test_loss])
    axes.legend(frameon=False, fontsize=TEXT, labelcolor=INK)
    return figure


def joined_history(histories: Sequence[History]) -> History:
    """Return one history of fits done one after the other, their steps counted on.

    Each fit after the first continues at the step where the one before it ended.  The best step is
    the last fit's.  Test losses are kept if all fits have them.
    """
    if not histories or not all(history.steps for history in histories):
        raise ValueError("history has no recorded steps, so there is nothing to draw.")
    metrics = {history.metric for history in histories}
    if len(metrics) > 1:
        raise ValueError(f"the fits have different losses, {', '.join(sorted(metrics))}.")
    joined = History(metric=histories[0].metric)
    tested = all(history.test_loss for history in histories)
    start = 0
    for history in histories:
        joined.steps += [start + step for step in history.steps]
        joined.train_loss += history.train_loss
        joined.test_loss += history.test_loss if tested else []
        joined.penalty += history.penalty
        joined.grid += history.grid
        joined.best_step = start + history.best_step
        start = joined.steps[-1]
    return joined


def _mark_best(axes: Axes, history: History) -> None:
    if history.best_step not in history.steps:
        return
    entry = len(history.steps) - 1 - history.steps[::-1].index(history.best_step)
    losses = [loss[entry] for loss in (history.train_loss, history.test_loss) if loss]
    axes.plot(
        [history.best_step] * len(losses),
        losses,
        linestyle="",
        marker="o",
        markersize=6,
        markerfacecolor="white",
        markeredgecolor=INK,
        label=f"best, step {history.best_step}",
        zorder=3,
    )


def _mark_grids(axes: Axes, history: History) -> None:
    changes = [
        (step, after)
        for step, (before, after) in zip(history.steps[1:], pairwise(history.grid), strict=False)
        if before != after
    ]
    if not changes:
        return
    for step, grid in [(history.steps[0], history.grid[0]), *changes]:
        axes.axvline(step, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        axes.annotate(
            f" grid {grid}",
            (step, 1.0),
            xycoords=axes.get_xaxis_transform(),
            fontsize=TEXT - 1,
            color=GREY,
            va="bottom",
        )


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Make the axis logarithmic unless a value is negative or none is positive."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) >= 0 and max(finite) > 0:
        axes.set_yscale("log", nonpositive="mask")
