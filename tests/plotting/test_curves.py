"""Pictures of a formula beyond its data: poles, undefined parts, and what is said of them."""

import numpy as np
import pytest

from knotwork.plotting.curves import Curve, broken, draw_curve, limits, what_happens
from knotwork.plotting.front import plot_front

GRID = np.linspace(0, 4, 801)


def curve(function, rivals=(), target=(0.0, 2.0)):
    with np.errstate(all="ignore"):
        values = function(GRID)
        others = tuple(rival(GRID) for rival in rivals)
    return Curve("$x", GRID, values, others, 1.0, 3.0, target)


def test_a_pole_is_a_gap():
    pole = curve(lambda x: 1 / (x - 3.501))
    bottom, top = limits(pole)
    drawn = broken(pole.values, bottom, top)
    assert np.isnan(drawn).sum() == 1
    assert abs(GRID[np.isnan(drawn)][0] - 3.501) < 0.006
    assert top < 5
    assert bottom > -3


def test_what_happens_beyond_is_said():
    assert what_happens([curve(lambda x: x)]) == []
    assert what_happens([curve(lambda x: np.log(x - 0.6))]) == ["undefined for $x below 0.6"]
    (text,) = what_happens([curve(lambda x: np.exp(np.maximum(x - 3, 0) * 5))])
    assert text.startswith("more than 10 times the target's range away for $x above 3.6")
    (text,) = what_happens([curve(lambda x: np.sqrt(np.abs(x - 2) - 0.1))])
    assert text == "undefined for $x near 2, within the data's range,"


def front(errors, curves=()):
    sizes = list(range(3, 3 + len(errors)))
    y = np.linspace(0, 2, 30)
    return plot_front(sizes, errors, errors, "$a_{ * b", len(errors) - 1, y, y, curves)


def test_nearly_flat_points_do_not_span_decades():
    axes = front([1.0, 0.97, 0.95]).axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "linear"
    assert high / low < 1.2
    axes = front([1.0, 1e-3, 1e-9]).axes[0]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert low < 1e-9
    assert high > 1


@pytest.mark.parametrize("errors", [[1.0, 0.97, 0.95], [1.0, 1e-3, 1e-9], [0.5]])
def test_labels_are_off_the_markers(errors, tmp_path):
    curves = [
        curve(lambda x: 1 / (x - 3.501), [lambda x: 0.5 * x]),
        curve(lambda x: np.log(x - 0.6)),
        curve(lambda x: np.exp(3 * x)),
        curve(lambda x: np.sqrt(3.5 - x)),
    ]
    figure = front(errors, curves)
    figure.savefig(tmp_path / "front.png")
    axes = figure.axes[-2]
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y1 < axes.get_window_extent().y0
    assert len(figure.axes) == 6


def test_a_curve_without_values_is_drawn():
    axes = front([0.5]).axes[0]
    draw_curve(axes, curve(lambda x: np.full_like(x, np.nan)))
