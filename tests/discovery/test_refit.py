"""Constants: fitted, with standard errors, and rounded."""

import numpy as np
import pytest
import sympy

from knotwork.discovery.refit import fit_constants, uncertainty
from knotwork.discovery.rounding import round_constants
from knotwork.discovery.tape import Tape

x, y = sympy.symbols("x y", positive=True)


@pytest.fixture
def X():
    return np.random.default_rng(0).uniform(1, 3, (400, 2))


def test_constants_are_found_and_rounded_to_what_they_are(X):
    target = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)
    start = 1.2 * sympy.exp(0.9 * sympy.sin(3.1 * x + 0.01) + 1.1 * y**2 + 0.1)
    fit = fit_constants(start, (x, y), X, target)
    assert fit.rmse < 1e-12
    assert round_constants(fit, X, target).expression == sympy.exp(sympy.sin(sympy.pi * x) + y**2)


def test_a_term_that_does_nothing_goes(X):
    target = 3 * X[:, 0]
    fit = fit_constants(2.5 * x + 0.5 * y + 0.1, (x, y), X, target)
    assert round_constants(fit, X, target).expression == 3 * x


def test_rounding_leaves_constants_that_noise_does_not_determine(X):
    rng = np.random.default_rng(1)
    target = 1.2345 * X[:, 0] + 0.05 * rng.normal(size=400)
    fit = round_constants(fit_constants(1.0 * x, (x, y), X, target), X, target)
    (constant,) = Tape(fit.expression, (x, y)).constants
    assert constant == pytest.approx(1.2345, abs=0.01)


def test_whole_numbers_only_where_asked(X):
    target = X[:, 0] / 2
    fit = fit_constants(0.4 * x, (x, y), X, target)
    assert round_constants(fit, X, target).expression == x / 2
    assert round_constants(fit, X, target, integers=True).expression.has(sympy.Float)


def test_standard_errors_are_those_of_linear_regression(X):
    rng = np.random.default_rng(2)
    target = 2 * X[:, 0] + 3 * X[:, 1] + rng.normal(size=400)
    fit = fit_constants(1.9 * x + 3.1 * y, (x, y), X, target)
    errors, _ = uncertainty(fit, X, target)
    rest = target - fit.predict(X)
    covariance = np.linalg.inv(X.T @ X) * (rest @ rest) / 398
    order = np.argsort(fit.constants)
    np.testing.assert_allclose(errors[order], np.sqrt(np.diag(covariance)), rtol=1e-6)


def test_constants_that_cannot_be_told_apart_have_no_error_bar(X):
    target = 6 * X[:, 0]
    expression = sympy.exp(0.5 + sympy.log(x)) * 1.5
    fit = fit_constants(expression, (x, y), X, target)
    errors, _ = uncertainty(fit, X, target)
    assert np.isinf(errors).any() or len(errors) == 1


def test_outliers_hardly_move_a_robust_fit(X):
    target = 2 * X[:, 0] + 0.01 * np.random.default_rng(3).normal(size=400)
    target[::20] += 50
    plain = Tape(fit_constants(1.0 * x, (x, y), X, target).expression, (x, y)).constants[0]
    robust = fit_constants(1.0 * x, (x, y), X, target, robust=True)
    assert abs(plain - 2) > 0.5
    assert Tape(robust.expression, (x, y)).constants[0] == pytest.approx(2, abs=0.1)


def test_an_undefined_formula_has_infinite_error(X):
    assert fit_constants(sympy.log(x - 2.0), (x, y), X, X[:, 0]).rmse == np.inf
