"""The pictures of the explanation pages, each computed here from nothing but its own numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import make_lsq_spline

from knotwork import KAN, MLP, create_dataset
from knotwork.discovery.refit import fit_constants, uncertainty
from knotwork.plotting.style import (
    BLUE,
    GREY,
    INK,
    PALE,
    TEXT,
    VERMILLION,
    Array,
    new_figure,
    style_axes,
)

# -- a KAN beside a perceptron ---------------------------------------------------------------


def networks() -> tuple[KAN, MLP]:
    """Fit the two networks of the page: the same rows, the same optimiser."""
    data = create_dataset(lambda x: torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2))
    model, perceptron = KAN([2, 1, 1]), MLP([2, 8, 1])
    print("KAN:", model.fit(data))
    print("MLP:", perceptron.fit(data, steps=200))
    return model, perceptron


def plot_perceptron(model: MLP) -> Figure:
    """Draw a perceptron of one hidden layer: weights are lines, its one function is in the nodes.

    Blue weights are positive and orange ones negative; width is size.
    """
    figure = new_figure(4.2, 3.4)
    axes = figure.subplots()
    axes.set_axis_off()
    places = [
        [(x, height) for x in np.linspace(0, 1, count + 2)[1:-1]]
        for count, height in zip(model.width, (0.0, 1.0, 2.0), strict=True)
    ]
    for level in range(len(model.layers)):
        weights = model.layer(level).weight.detach()
        largest = float(weights.abs().max())
        for j, upper in enumerate(places[level + 1]):
            for i, lower in enumerate(places[level]):
                weight = float(weights[j, i])
                axes.plot(
                    *zip(lower, upper, strict=True),
                    color=BLUE if weight > 0 else VERMILLION,
                    linewidth=0.3 + 2.7 * abs(weight) / largest,
                    zorder=1,
                )
    x = np.linspace(-4, 4, 60)
    silu = x / (1 + np.exp(-x))
    for level, row in enumerate(places):
        hidden = level == 1
        axes.plot(
            *zip(*row, strict=True),
            linestyle="",
            marker="o",
            markersize=22 if hidden else 8,
            color="white" if hidden else INK,
            markeredgecolor=INK,
            zorder=2,
        )
    for centre, height in places[1]:
        curve = centre + 0.028 * x / 4, height + 0.075 * (silu / 2 - 1)
        axes.plot(*curve, color=GREY, linewidth=1.4, zorder=3)
    for (centre, height), name in zip(places[0], ("$x_1$", "$x_2$"), strict=True):
        axes.text(centre, height - 0.2, name, ha="center", va="top", fontsize=TEXT + 2)
    axes.text(0.5, 2.15, "$y$", ha="center", va="bottom", fontsize=TEXT + 2)
    axes.set_ylim(-0.45, 2.4)
    return figure


# -- why splines -----------------------------------------------------------------------------

_COUNTS = (6, 8, 10, 12, 16, 20, 24, 32, 40)
_MANY = 2001


def _runge(x: Array) -> Array:
    return 1 / (1 + 25 * x**2)


def _polynomial(x: Array, y: Array) -> Callable[[Array], Array]:
    return np.polynomial.Chebyshev.fit(x, y, len(x) - 1)


def _spline(x: Array, y: Array) -> Callable[[Array], Array]:
    """Return the cubic spline through the points, knots at the points but for two at each end."""
    knots = np.concatenate([np.full(4, x[0]), x[2:-2], np.full(4, x[-1])])
    return make_lsq_spline(x, y, knots)


def _chebyshev_points(count: int) -> Array:
    return -np.cos(np.pi * (2 * np.arange(count) + 1) / (2 * count))


def _errors(
    fit: Callable[[Array, Array], Callable[[Array], Array]], points: Callable[[int], Array]
):
    at = np.linspace(-1, 1, _MANY)
    return [float(np.max(np.abs(fit(x, _runge(x))(at) - _runge(at)))) for x in map(points, _COUNTS)]


def plot_runge() -> Figure:
    """Draw errors over the number of points, and how far one wrong point reaches."""
    figure = new_figure(9.6, 3.4)
    left, right = figure.subplots(1, 2)

    def even(count: int) -> Array:
        return np.linspace(-1, 1, count)

    for label, colour, fit, points in (
        ("polynomial, even points", VERMILLION, _polynomial, even),
        ("polynomial, Chebyshev points", GREY, _polynomial, _chebyshev_points),
        ("cubic spline, even points", BLUE, _spline, even),
    ):
        errors = _errors(fit, points)
        print(label, dict(zip(_COUNTS, (f"{error:.1e}" for error in errors), strict=True)))
        left.plot(_COUNTS, errors, color=colour, marker="o", markersize=4, label=label)
    left.set_yscale("log")
    left.legend(frameon=False, fontsize=TEXT)
    style_axes(left, "Largest error for $1/(1+25x^2)$", "points", "error")
    _draw_one_wrong_point(right)
    return figure


def _draw_one_wrong_point(axes: Axes) -> None:
    x, at = np.linspace(-1, 1, 15), np.linspace(-1, 1, _MANY)
    wrong = np.zeros_like(x)
    wrong[4] = 0.1
    for label, colour, fit in (
        ("polynomial", VERMILLION, _polynomial),
        ("cubic spline", BLUE, _spline),
    ):
        moved = fit(x, wrong)(at)
        print("one point moved by 0.1 moves the", label, f"by up to {np.max(np.abs(moved)):.2f}")
        axes.plot(at, moved, color=colour, label=label, linewidth=1.8)
    axes.plot(x, wrong, linestyle="", marker="o", markersize=4, color=INK)
    axes.legend(frameon=False, fontsize=TEXT)
    style_axes(axes, "What moving one point of 15 by 0.1 changes", "$x$")


# -- what error bars mean --------------------------------------------------------------------

_DRAWS = 2000
_ROWS = 40
_NOISE = 0.01  # seconds; and of a better clock
_LITTLE_NOISE = 0.002
_GRAVITY = 9.81
_SLOW = 2 * np.pi / np.sqrt(_GRAVITY)  # the period of a pendulum of 1 m that swings little
_LENGTH, _ANGLE = sympy.symbols("length angle")
_Noise = Callable[[np.random.Generator], Array]


def plot_error_bars() -> Figure:
    """Time a pendulum many times over, and see how often the error bars hold the truth."""
    figure = new_figure(9.6, 3.3)
    constant: sympy.Expr = sympy.Float(2.1)
    little = constant * sympy.sqrt(_LENGTH)
    widely = little * sympy.exp(sympy.Float(0.06) * _ANGLE**2)
    cases = (
        ("Independent noise, the right form", _independent, little, 0.0),
        ("Neighbouring rows err alike", _correlated, little, 0.0),
        ("The form is not quite the law", _precise, widely, 1.2),
    )
    at = np.linspace(-7, 7, 400)
    for axes, (title, noise, form, widest) in zip(
        figure.subplots(1, len(cases), sharey=True), cases, strict=True
    ):
        scores = _scores(noise, form, widest)
        one, two = (float(np.mean(np.abs(scores) < limit)) for limit in (1, 2))
        print(f"{title}: within one {one:.3f}, within two {two:.3f}, mean {scores.mean():.2f}")
        axes.axvspan(-1, 1, color=PALE, zorder=0)
        axes.hist(scores, 56, (-7, 7), density=True, color=BLUE, alpha=0.55)
        axes.plot(at, np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi), color=INK, linewidth=1.4)
        axes.text(
            *(0.02, 0.95),
            f"within one: {one:.0%}\nwithin two: {two:.0%}",
            transform=axes.transAxes,
            va="top",
            fontsize=TEXT,
            color=INK,
        )
        style_axes(axes, title, "(fitted − true) / standard error")
        axes.set_yticks([])
    return figure


def _independent(rng: np.random.Generator) -> Array:
    return _NOISE * rng.normal(size=_ROWS)


def _precise(rng: np.random.Generator) -> Array:
    return _LITTLE_NOISE * rng.normal(size=_ROWS)


def _correlated(rng: np.random.Generator) -> Array:
    """Return noise of the same size of which neighbours share four fifths."""
    noise = rng.normal(size=_ROWS)
    for k in range(1, _ROWS):
        noise[k] = 0.8 * noise[k - 1] + 0.6 * noise[k]
    return _NOISE * noise


def _scores(noise: _Noise, form: sympy.Expr, widest: float) -> Array:
    """Return how far the constant is from the truth, in its standard errors, for many draws."""
    rng = np.random.default_rng(0)
    length, angle = np.linspace(0.2, 2.0, _ROWS), rng.uniform(0, widest, _ROWS)
    X = np.column_stack([length, angle])
    truth = _SLOW * np.sqrt(length) / _mean_of_gauss(1.0, np.cos(angle / 2))
    found: list[float] = []
    for _ in range(_DRAWS):
        period = truth + noise(rng)
        fit = fit_constants(form, (_LENGTH, _ANGLE), X, period)
        errors, _ = uncertainty(fit, X, period)
        place = int(np.argmax(fit.constants))
        found.append(float((fit.constants[place] - _SLOW) / errors[place]))
    return np.array(found)


def _mean_of_gauss(a: float | Array, b: Array) -> Array:
    """Return the arithmetic-geometric mean, by which a pendulum's exact period is found."""
    for _ in range(6):
        a, b = (a + b) / 2, np.sqrt(a * b)
    return b
