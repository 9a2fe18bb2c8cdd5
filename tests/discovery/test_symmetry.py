"""Symmetries of networks that were fitted to functions that have them."""

import numpy as np
import pytest
import sympy

from knotwork.discovery.clock import Clock, OutOfTime
from knotwork.discovery.splits import part_values, splits
from knotwork.discovery.surrogate import fit_surrogate
from knotwork.discovery.symmetry import (
    pair_sums,
    scalings,
    translations,
    without_idle,
)

symbols = sympy.symbols("x y z", positive=True)
x, y, z = symbols
X = np.random.default_rng(0).uniform(1, 3, (500, 3))
a, b, c = X.T


def surrogate_of(target, logarithm=None):
    found = fit_surrogate(X, target, starts=1, clock=Clock(60))
    if logarithm is None:
        return found[0]
    return next(one for one in found if one.logarithm == logarithm)


def test_a_power_law_leaves_no_variables():
    reduction = scalings(symbols, surrogate_of(2 * a * b**2 / c), X, 0.05)
    assert reduction.features == ()
    assert reduction.prefactor == x * y**2 / z


def test_a_law_of_one_group_leaves_one_variable():
    reduction = scalings(symbols, surrogate_of(a * np.tanh(b / c)), X, 0.05)
    assert reduction.prefactor == x
    assert reduction.features[0] in (y / z, z / y)


def test_a_difference_is_seen():
    surrogate = surrogate_of(np.exp(-((a - b) ** 2)) + c, logarithm=False)
    reduction = translations(symbols, surrogate, X, 0.1)
    assert any(feature in (x - y, y - x) for feature in reduction.features)


def test_a_sum_of_squares_is_seen():
    surrogate = surrogate_of(np.sqrt(a**2 + b**2) * c)
    reduction = pair_sums(symbols, surrogate, X, 0.1)
    assert x**2 + y**2 in reduction.features


def test_an_idle_input_is_left_out():
    reduction = without_idle(symbols, surrogate_of(a * b), X, 0.1)
    assert reduction.features == (x, y)


def test_parts_of_a_sum_come_apart():
    surrogate = surrogate_of(np.sin(a) + b * c, logarithm=False)
    found = splits(surrogate, X, np.random.default_rng(0), 0.03)
    assert [split.part for split in found if not split.product] == [(0,)]


def test_a_product_that_changes_its_sign_comes_apart():
    surrogate = surrogate_of(np.cos(2 * a) * (b + c**2), logarithm=False)
    (split,) = splits(surrogate, X, np.random.default_rng(0), 0.01)
    assert split.product
    assert split.part == (0,)
    inputs, values = part_values(surrogate, X, split)
    assert abs(np.corrcoef(np.cos(2 * inputs[:, 0]), values)[0, 1]) > 0.999


def test_nothing_is_seen_where_nothing_is():
    surrogate = surrogate_of(np.sin(2 * a) + np.exp(b) / (1 + a * b * c))
    assert scalings(symbols, surrogate, X, 0.02) is None


def test_gradients_are_those_of_the_values():
    surrogate = surrogate_of(a * b + c)
    _, gradients = surrogate.values_and_gradients(X[:20])
    for k in range(3):
        step = np.zeros(3)
        step[k] = 1e-5
        slope = (surrogate.values(X[:20] + step) - surrogate.values(X[:20] - step)) / 2e-5
        np.testing.assert_allclose(gradients[:, k], slope, rtol=1e-4, atol=1e-6)


def test_networks_stop_with_the_time():
    with pytest.raises(OutOfTime):
        fit_surrogate(X, a * b, clock=Clock(0.0))


def test_the_same_seed_gives_the_same_network():
    first, second = surrogate_of(a * b), surrogate_of(a * b)
    assert np.array_equal(first.values(X), second.values(X))


def test_targets_of_both_signs_over_decades_are_stretched():
    target = np.exp(3 * a) * (b - 2) * c
    found = fit_surrogate(X, target, starts=1, clock=Clock(60))
    stretched = next(one for one in found if one.kind == "stretched")
    values, gradients = stretched.values_and_gradients(X[:50])
    np.testing.assert_allclose(values, stretched.values(X[:50]))
    moved = X[:50] + np.array([1e-6, 0, 0])
    slopes = (stretched.values(moved) - values) / 1e-6
    np.testing.assert_allclose(gradients[:, 0], slopes, rtol=1e-3, atol=1e-3 * slopes.max())
