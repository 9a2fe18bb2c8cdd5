"""Where data lies along an axis."""

from __future__ import annotations

import numpy as np

from .style import Array

_FEWEST_BINS, _MOST_BINS = 10, 60


def histogram(data: Array, span: tuple[float, float]) -> tuple[Array, Array]:
    """Return the ends of bins over a span, and the density of the data in them.

    An odd number of bins, more of them for more rows, so that a single value has a bin around it.
    """
    count = 1 | min(_MOST_BINS, max(_FEWEST_BINS, int(len(data) ** 0.5)))
    density, bins = np.histogram(data, count, span, density=True)
    return bins, density
