"""Numbers with their standard errors, in the units of the printed formula."""

import subprocess

import numpy as np
import pytest
import sympy

from knotwork.discovery.constants import stated_constants
from knotwork.discovery.formula import FittedConstant, Formula, Scaling
from knotwork.discovery.refit import Fit, fit_constants, uncertainty
from knotwork.discovery.weighted import Rows

x_1, x_2 = sympy.symbols("x_1 x_2", positive=True)
NAMES = ["x_1", "x_2"]
X = np.random.default_rng(0).uniform(1, 3, (200, 2))
ONES = np.ones(2)


def formula(expression, y, inputs=ONES, target=1.0):
    fit = Fit.of(expression, (x_1, x_2))
    fit = Fit(fit.tape, fit.constants, fit.exact, fit.error(X, y))
    rows = Rows(X, y)
    return Formula.of_fit(fit, rows, rows, NAMES, Scaling(np.array(inputs), target), 5)


def test_rounded_numbers_have_error_bars():
    noise = 0.05 * np.random.default_rng(1).normal(size=200)
    y = 3 * X[:, 0] ** 2 + X[:, 1] / 2 + noise
    found = formula(3 * x_1**2 + x_2 / 2, y).constants
    assert sorted(str(constant.exact) for constant in found) == ["1/2", "3"]
    table = np.column_stack([X[:, 0] ** 2, X[:, 1]])
    values, *_ = np.linalg.lstsq(table, y, rcond=None)
    rest = y - table @ values
    errors = np.sqrt(np.diag(np.linalg.inv(table.T @ table)) * (rest @ rest) / 198)
    for constant in found:
        k = 0 if constant.exact == 3 else 1
        assert constant.value == pytest.approx(values[k], rel=1e-6)
        assert constant.standard_error == pytest.approx(errors[k], rel=1e-4)
        assert str(constant).startswith(f"{constant.exact} ({constant.value:.6g}")


def test_exact_numbers_of_exact_data_have_none():
    assert formula(3 * x_1**2 + x_2 / 2, 3 * X[:, 0] ** 2 + X[:, 1] / 2).constants == ()


def test_ones_and_exponents_are_no_constants():
    y = X[:, 0] ** 2 - X[:, 1] + 0.1 * np.random.default_rng(1).normal(size=200)
    assert formula(x_1**2 - x_2, y).constants == ()


def test_fitted_numbers_stay_as_they_are():
    y = 2.5 * X[:, 0] + np.pi + 0.1 * np.random.default_rng(1).normal(size=200)
    fitted, rounded = formula(sympy.Float(2.51, 17) * x_1 + sympy.pi, y).constants
    if fitted.exact is not None:
        fitted, rounded = rounded, fitted
    assert (fitted.value, fitted.exact) == (2.51, None)
    assert rounded.exact == sympy.pi


def spread(seed):
    rng = np.random.default_rng(seed)
    y = 1.3 * X[:, 0] - 0.7 * X[:, 1] + 0.2 * rng.normal(size=200)
    start = sympy.Float(1.0, 17) * x_1 + sympy.Float(-1.0, 17) * x_2
    fit = fit_constants(start, (x_1, x_2), X, y)
    return fit.constants, uncertainty(fit, X, y)[0]


def test_stated_errors_are_the_spread_of_the_constants():
    found = [spread(seed) for seed in range(20)]
    measured = np.std([constants for constants, _ in found], axis=0, ddof=1)
    stated = np.mean([errors for _, errors in found], axis=0)
    # Twenty numbers tell a standard deviation to a sixth.
    np.testing.assert_allclose(stated, measured, rtol=0.5)


def test_constants_are_those_of_the_printed_formula():
    y = 6308.96 * X[:, 0] ** 1.5
    c = sympy.Float(6308.96, 17)
    found = formula(c * x_1 ** sympy.Rational(3, 2), y * (1 + 1e-4 * X[:, 1]), [1e9, 1.0])
    (constant,) = found.constants
    assert str(found) == "1.99507e-10*x_1**(3/2)"
    assert constant.value == pytest.approx(6308.96 * 1e9**-1.5)
    plain = formula(c * x_1 ** sympy.Rational(3, 2), y * (1 + 1e-4 * X[:, 1])).constants[0]
    assert constant.standard_error == pytest.approx(plain.standard_error * 1e9**-1.5)


EXTREME = [
    (x_1**2 * x_2, [1e200, 1.0], 1.0),
    (sympy.Float(2.5, 17) * x_1 * x_2, [1e300, 1.0], 1e-300),
    (sympy.exp(-x_1) / x_2**3, [1e-150, 1e-160], 1.0),
]


@pytest.mark.parametrize(("expression", "inputs", "target"), EXTREME)
def test_extreme_columns_are_printed_and_exported(expression, inputs, target, tmp_path):
    values = Fit.of(expression, (x_1, x_2)).predict(X)
    found = formula(expression, values, inputs, target)
    points = X[:3] * inputs
    expected = values[:3] * target
    np.testing.assert_allclose(found.predict(points), expected, rtol=1e-12)
    assert "0*" not in str(found).replace("00*", "")
    space = {}
    exec(found.code("numpy"), space)
    np.testing.assert_allclose(space["formula"](*points.T), expected, rtol=1e-12)
    exec(found.code("torch"), space)
    import torch

    got = space["Formula"]()(torch.tensor(points)).detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    text = found.code("c") + "#include <stdio.h>\n#include <stdlib.h>\nint main(int n, char **v)"
    text += '{ printf("%.17g", formula(atof(v[1]), atof(v[2]))); return 0; }'
    (tmp_path / "f.c").write_text(text)
    subprocess.run(["gcc", "-o", tmp_path / "f", tmp_path / "f.c", "-lm"], check=True)
    point = [repr(float(v)) for v in points[0]]
    run = subprocess.run([tmp_path / "f", *point], check=True, capture_output=True, text=True)
    assert float(run.stdout) == pytest.approx(expected[0], rel=1e-12)
    assert found.latex()
    assert found.code("json")


def test_a_number_too_large_for_a_double_keeps_its_column_scaled():
    found = formula(sympy.Float(2.5, 17) * x_1**2 * x_2, X[:, 0], [1e200, 1.0])
    assert str(found) == "2.5*(x_1/1e+200)**2*x_2"
    assert found.constants[0].value == 2.5
    assert r"10^{200}" in found.latex()


def test_names_that_are_no_identifiers_are_quoted():
    a, b = sympy.symbols("a 2x")
    fit = Fit.of(a * b, (a, b))
    rows = Rows(X, X[:, 0])
    one = Formula.of_fit(fit, rows, rows, ["a", "2x"], Scaling(ONES, 1.0), 3)
    assert str(one) == "`2x`*a"


def test_how_constants_are_written():
    assert str(FittedConstant(1.23456789, np.inf)) == "1.23457 ± ∞"
    assert str(FittedConstant(2.9994, 0.0012, sympy.Integer(3))) == "3 (2.9994 ± 0.0012)"


def test_a_negative_number_within_an_absolute_value():
    rng = np.random.default_rng(0)
    x = sympy.Symbol("x", positive=True)
    z = sympy.Symbol("z", real=True)
    expression = 0.2 * sympy.Abs(x - 3.3) - 0.4 * sympy.Abs(z - 2.3) + 1.8
    X = np.column_stack([rng.uniform(1, 5, 200), rng.uniform(-5, 5, 200)])
    fit = Fit.of(expression, (x, z))
    y = fit.predict(X) + 0.01 * rng.normal(size=200)
    found = stated_constants(fit, Rows(X, y), {x: x, z: z}, 1.0)
    assert sorted(round(c.value, 9) for c in found) == [-3.3, -2.3, -0.4, 0.2, 1.8]
    assert all(0 < c.standard_error < 0.1 for c in found)
