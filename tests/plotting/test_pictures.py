"""All pictures but the network diagram."""

import itertools
import math
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.interpolate import BSpline, CubicSpline

from knotwork import functions
from knotwork.network import KAN
from knotwork.plotting import (
    basis_drawing,
    edge_drawing,
    interpolation_drawing,
    plot_basis,
    plot_edge,
    plot_history,
    plot_interpolation,
    plot_network,
)
from knotwork.training import History


def rows(count: int, n: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, count, dtype=torch.float64, generator=generator) * 2 - 1


def history(**changes) -> History:
    fields = {
        "steps": [0, 1, 2],
        "train_loss": [1.0, 0.1, 0.01],
        "test_loss": [1.1, 0.2, 0.02],
        "penalty": [0.0, 0.0, 0.0],
        "grid": [5, 5, 5],
        "best_step": 2,
    }
    return History(**(fields | changes))


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_nothing_is_written_and_nothing_global_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = dict(mpl.rcParams)
    model = KAN([2, 1])
    figures = [
        plot_network(model, rows(2)),
        plot_edge(model[0, 0, 0], rows(2)),
        plot_history(history()),
        plot_interpolation(),
        plot_basis(),
    ]
    for figure in figures:
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
    assert list(tmp_path.iterdir()) == []
    assert dict(mpl.rcParams) == before


def test_pyplot_is_never_imported():
    code = (
        "import sys, knotwork.plotting as p; p.plot_interpolation();"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestEdge:
    def test_data(self):
        model, x = KAN([2, 3, 1], grid=4), rows(2)
        edge = model[1, 2, 0]
        drawing = edge_drawing(edge, x)
        assert (drawing.low, drawing.high) == edge.range(x)
        assert drawing.x[0] < drawing.low < drawing.high < drawing.x[-1]
        values = edge.values(torch.from_numpy(drawing.x))
        np.testing.assert_allclose(drawing.y, values, atol=1e-14)
        np.testing.assert_allclose(drawing.knots, [-1, -0.5, 0, 0.5, 1])
        assert (drawing.density * np.diff(drawing.bins)).sum() == pytest.approx(1)
        assert drawing.input_name == "node 2 of layer 1"
        assert drawing.title == "Edge (1, 2, 0): spline"

    def test_symbolic_form_is_in_the_title(self):
        model = KAN([2, 1])
        model.layer(0).set_symbolic(1, 0, functions.get("sin"), 3.0, 0.5, 2.0, 0.0)
        figure = plot_edge(model[0, 1, 0], rows(2))
        assert figure.axes[0].get_title(loc="left") == "Edge (0, 1, 0): 2 sin(3 $x$ + 0.5)"
        assert len(edge_drawing(model[0, 1, 0], rows(2)).knots) == 0

    def test_input_names(self):
        model = KAN([2, 1])
        assert edge_drawing(model[0, 1, 0], rows(2)).input_name == "$x_{2}$"
        model.input_names = ("mass", "speed")
        assert plot_edge(model[0, 1, 0], rows(2)).axes[1].get_xlabel() == "speed"

    def test_what_lies_beyond_the_data_does_not_dwarf_it(self):
        model = KAN([1, 1])
        model.layer(0).set_symbolic(0, 0, functions.get("exp"), 100.0, 0.0, 1.0, 0.0)
        x = rows(1)
        low, high = plot_edge(model[0, 0, 0], x).axes[0].get_ylim()
        assert high - low < 4 * math.exp(100 * float(x.max()))

    @pytest.mark.parametrize("value", [0.0, 0.3, 1e12])
    def test_a_constant_input_is_a_point(self, value):
        figure = plot_edge(KAN([1, 1])[0, 0, 0], torch.full((9, 1), value, dtype=torch.float64))
        figure.draw_without_rendering()
        assert "o" in [line.get_marker() for line in figure.axes[0].lines]

    def test_no_value_beyond_the_knots(self):
        model = KAN([1, 1], extrapolation="error")
        drawing = edge_drawing(model[0, 0, 0], rows(1))
        assert drawing.x[0] >= -1
        assert drawing.x[-1] <= 1
        plot_edge(model[0, 0, 0], rows(1)).draw_without_rendering()

    def test_absent_and_symbolic_with_a_pole(self):
        model = KAN([2, 1])
        model.layer(0).remove_edge(0, 0)
        model.layer(0).set_symbolic(1, 0, functions.get("log"), 1.0, 1.0, 1.0, 0.0)
        for i in range(2):
            plot_edge(model[0, i, 0], rows(2)).draw_without_rendering()

    def test_data_is_needed(self):
        with pytest.raises(ValueError, match="has not been fitted"):
            plot_edge(KAN([1, 1])[0, 0, 0])
        with pytest.raises(ValueError, match="X has no rows"):
            plot_edge(KAN([1, 1])[0, 0, 0], rows(1, 0))


class TestHistory:
    def test_losses_and_best_step(self):
        figure = plot_history(history(best_step=1))
        axes = figure.axes[0]
        assert len(figure.axes) == 1
        assert axes.get_yscale() == "log"
        assert axes.get_ylabel() == "RMSE"
        assert labels(figure) == ["training", "test", "best, step 1"]
        train, test, best = axes.lines
        assert list(train.get_ydata()) == [1.0, 0.1, 0.01]
        assert list(test.get_ydata()) == [1.1, 0.2, 0.02]
        assert list(best.get_xydata().ravel()) == [1, 0.1, 1, 0.2]

    def test_without_test_rows(self):
        assert labels(plot_history(history(test_loss=[]))) == ["training", "best, step 2"]

    def test_penalty_has_a_panel(self):
        figure = plot_history(history(penalty=[0.3, 0.2, 0.1]))
        assert [axes.get_ylabel() for axes in figure.axes] == ["RMSE", "penalty"]

    def test_fits_on_finer_grids_follow_one_another(self):
        figure = plot_history([history(), history(grid=[10] * 3), history(grid=[20] * 3)])
        axes = figure.axes[0]
        assert [t.get_text().strip() for t in axes.texts] == ["grid 5", "grid 10", "grid 20"]
        assert [t.xy[0] for t in axes.texts] == [0, 2, 4]
        assert list(axes.lines[0].get_xdata()) == [0, 1, 2, 2, 3, 4, 4, 5, 6]
        assert labels(figure)[-1] == "best, step 6"

    @pytest.mark.parametrize(
        ("losses", "scale"),
        [([1.0, 0.1, 0.0], "log"), ([1.0, math.nan, 0.1], "log"), ([1.0, 0.0, -1.0], "linear")],
    )
    def test_unusual_losses(self, losses, scale):
        figure = plot_history(history(train_loss=losses, test_loss=[math.nan] * 3))
        figure.draw_without_rendering()
        assert figure.axes[0].get_yscale() == scale

    def test_errors(self):
        with pytest.raises(ValueError, match="nothing to draw"):
            plot_history(History())
        with pytest.raises(ValueError, match="nothing to draw"):
            plot_history([])
        with pytest.raises(ValueError, match="different losses, RMSE, huber"):
            plot_history([history(), history(metric="huber")])

    def test_of_a_fit(self):
        x = rows(2)
        figure = plot_history(KAN([2, 1]).fit((x, x.sum(dim=1)), steps=3))
        figure.draw_without_rendering()


class TestInterpolation:
    def test_the_curves_are_what_they_are_said_to_be(self):
        drawing = interpolation_drawing()
        x, y = drawing.points.T
        assert len(x) == 10
        assert list(x) == sorted(x)
        spline = CubicSpline(x, y, bc_type="natural")
        np.testing.assert_allclose(drawing.interpolant, spline(drawing.x), atol=1e-12)
        lagrange = sum(
            y[i] * np.prod([(drawing.x - x[j]) / (x[i] - x[j]) for j in range(10) if j != i], 0)
            for i in range(10)
        )
        np.testing.assert_allclose(drawing.polynomial, lagrange, atol=1e-10)

    def test_the_picture_makes_its_point(self):
        drawing = interpolation_drawing()
        errors = [
            np.abs(curve - drawing.truth).max()
            for curve in (drawing.polynomial, drawing.interpolant, drawing.fit)
        ]
        assert all(a > 1.3 * b for a, b in itertools.pairwise(errors))

    def test_three_panels(self):
        assert len(plot_interpolation().axes) == 3


class TestBasis:
    @pytest.mark.parametrize(("grid", "k"), [(5, 3), (1, 1), (3, 5), (8, 2)])
    def test_against_scipy(self, grid, k):
        drawing = basis_drawing(grid, k)
        assert drawing.bases.shape == (grid + k, len(drawing.x))
        for index, curve in enumerate(drawing.bases):
            knots = drawing.knots[index : index + k + 2]
            expected = BSpline.basis_element(knots, extrapolate=False)(drawing.x)
            np.testing.assert_allclose(curve, np.nan_to_num(expected), atol=1e-12)
        plot_basis(grid, k).draw_without_rendering()

    def test_the_bases_sum_to_one_on_the_grid(self):
        drawing = basis_drawing()
        inside = (drawing.x >= 0) & (drawing.x <= 1)
        np.testing.assert_allclose(drawing.bases.sum(axis=0)[inside], 1)
        np.testing.assert_allclose(drawing.total, drawing.weights @ drawing.bases)

    @pytest.mark.parametrize(("grid", "k"), [(0, 3), (5, 0), (5, 6), (2.5, 3)])
    def test_wrong_arguments(self, grid, k):
        with pytest.raises((TypeError, ValueError), match="must be"):
            plot_basis(grid, k)
