"""What all pictures share: colours, sizes, bare figures and axes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]

# From the palette of M. Okabe and K. Ito (2008), which colour-blind readers can tell apart.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
CYCLE = (BLUE, "#E69F00", GREEN, VERMILLION, "#CC79A7", "#56B4E9")
INK = "#222222"
GREY = "#767676"
PALE = "#F0F0F0"

# Font sizes, in points.
TEXT = 9.0
TITLE = 10.5


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure, in inches, that lays its axes out with tight margins."""
    return Figure(figsize=(width, height), facecolor="white", layout="constrained")


def style_axes(axes: Axes, title: str = "", x_label: str = "", y_label: str = "") -> None:
    """Give axes their labels and leave only the two spines that carry ticks."""
    axes.set_facecolor("white")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=TEXT, labelcolor=INK)
    axes.set_title(title, fontsize=TITLE, color=INK, loc="left")
    axes.set_xlabel(x_label, fontsize=TEXT, color=INK)
    axes.set_ylabel(y_label, fontsize=TEXT, color=INK)


def differ(low: float, high: float) -> bool:
    """Tell whether a range is wider than rounding errors make it."""
    return high - low > 1e-9 * max(abs(low), abs(high))
