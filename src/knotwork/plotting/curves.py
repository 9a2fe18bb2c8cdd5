"""A formula along each of its inputs, within the data's range and beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .style import BLUE, GREY, INK, PALE, TEXT, VERMILLION, Array, style_axes

__all__ = ["Curve", "draw_curve"]

# So many of the target's ranges are shown above and below the data.
_SHOWN = 1.0


@dataclass(frozen=True)
class Curve:
    """A formula and its rivals along one input, the others at their medians.

    Attributes
    ----------
    name : str
        Of the input.
    grid : array of shape (points,)
    values : array of shape (points,)
        Of the chosen formula; nan or inf where it is not defined.
    rivals : tuple of such arrays
    low, high : float
        The data's range of the input.
    target : tuple of float
        The data's range of the target.
    """

    name: str
    grid: Array
    values: Array
    rivals: tuple[Array, ...]
    low: float
    high: float
    target: tuple[float, float]


def draw_curve(axes: Axes, curve: Curve, label: str = "") -> None:
    """Draw a formula along one input, the data's range shaded; poles and undefined parts are gaps.

    What goes far beyond the target's range leaves the picture.
    """
    style_axes(axes, "", curve.name, label)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_parse_math(False)
    axes.axvspan(curve.low, curve.high, color=PALE, zorder=0, linewidth=0)
    bottom, top = limits(curve)
    for rival in curve.rivals:
        axes.plot(curve.grid, broken(rival, bottom, top), color=GREY, linewidth=0.8, zorder=2)
    axes.plot(
        curve.grid, broken(curve.values, bottom, top), color=VERMILLION, linewidth=1.8, zorder=3
    )
    gone = ~np.isfinite(curve.values)
    if gone.any():
        # A thick line at the foot says where there is no value.
        foot = np.where(gone, bottom, np.nan)
        axes.plot(curve.grid, foot, color=BLUE, linewidth=4, solid_capstyle="butt", zorder=4)
        first = float(curve.grid[gone].mean())
        late = first > 0.5 * (float(curve.grid[0]) + float(curve.grid[-1]))
        axes.annotate(
            "undefined",
            (float(curve.grid[gone][-1 if late else 0]), bottom),
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=TEXT - 1,
            color=INK,
            ha="right" if late else "left",
        )
    axes.set_ylim(bottom, top)
    axes.set_xlim(float(curve.grid[0]), float(curve.grid[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def limits(curve: Curve) -> tuple[float, float]:
    """Return what part of the vertical axis to show: the curve, but not far beyond the data."""
    low, high = curve.target
    reach = _SHOWN * (high - low)
    finite = curve.values[np.isfinite(curve.values)]
    bottom = max(min(low, float(finite.min(initial=low))), low - reach)
    top = min(max(high, float(finite.max(initial=high))), high + reach)
    margin = 0.05 * (top - bottom)
    return bottom - margin, top + margin


def broken(values: Array, bottom: float, top: float) -> Array:
    """Return values with nan where a line would cross the picture through a pole."""
    span = top - bottom
    drawn = np.where(np.isfinite(values), values, np.nan)
    drawn = np.clip(drawn, bottom - 2 * span, top + 2 * span)
    side = (drawn > top).astype(int) - (drawn < bottom).astype(int)
    drawn[1:][side[1:] * side[:-1] < 0] = np.nan
    return drawn


def what_happens(curves: Sequence[Curve], times: float = 10.0) -> list[str]:
    """Say for each input where the formula is undefined, or explodes.

    Parameters
    ----------
    curves : sequence of Curve
    times : float
        Further from the data than so many times the target's range a value counts as exploded.
    """
    found: list[str] = []
    for curve in curves:
        low, high = curve.target
        middle, reach = 0.5 * (low + high), times * (high - low)
        undefined = ~np.isfinite(curve.values)
        with np.errstate(invalid="ignore"):
            exploded = np.abs(curve.values - middle) > reach
        for where, what in (
            (undefined, "undefined"),
            (exploded & ~undefined, f"more than {times:g} times the target's range away"),
        ):
            places: list[str] = []
            below, above = curve.grid < curve.low, curve.grid > curve.high
            if (where & below).any():
                places.append(f"below {float(curve.grid[where & below].max()):.3g}")
            if (where & ~below & ~above).any():
                inside = curve.grid[where & ~below & ~above]
                places.append(f"near {float(inside.mean()):.3g}, within the data's range,")
            if (where & above).any():
                places.append(f"above {float(curve.grid[where & above].min()):.3g}")
            if places:
                found.append(f"{what} for {curve.name} {' and '.join(places)}")
    return found
