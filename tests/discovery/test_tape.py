"""Values and derivatives of formulas, against SymPy and finite differences."""

import numpy as np
import pytest
import sympy

from knotwork.discovery.tape import Tape, with_constants

x, y = sympy.symbols("x y", positive=True)

EXPRESSIONS = [
    2.5 * x**2 / y + 1.5,
    sympy.exp(0.3 * x) * sympy.sin(1.1 * y + 0.2),
    sympy.sqrt(x**2 + 3.1 * y) / (1 + 0.5 * sympy.log(x)),
    x ** sympy.Float(1.7) - y**-2 * sympy.pi,
    sympy.tanh(0.4 * x) + sympy.Abs(y - 1.5) + sympy.asin(0.2 * x),
    sympy.besselj(0, 1.3 * x) + sympy.erf(0.2 * y),
    sympy.Float(3.5),
]


@pytest.fixture
def X():
    return np.random.default_rng(0).uniform(0.5, 3, (40, 2))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_values_are_sympys(expression, X):
    values = Tape(expression, (x, y)).values(X)
    exact = [float(expression.subs({x: a, y: b})) for a, b in X]
    np.testing.assert_allclose(values, exact, rtol=1e-12)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_jacobian_is_that_of_finite_differences(expression, X):
    tape = Tape(expression, (x, y))
    _, jacobian = tape.values_and_jacobian(X, tape.constants)
    assert jacobian.shape == (40, len(tape.constants))
    for k in range(len(tape.constants)):
        step = np.zeros_like(tape.constants)
        step[k] = 1e-6
        high, low = tape.values(X, tape.constants + step), tape.values(X, tape.constants - step)
        np.testing.assert_allclose(jacobian[:, k], (high - low) / 2e-6, rtol=1e-5, atol=1e-7)


def test_constants_go_in_and_out_in_the_same_order():
    expression = 1.5 * x + sympy.exp(2.5 * y) / (x + 3.5)
    constants = Tape(expression, (x, y)).constants
    assert sorted(constants) == [1.5, 2.5, 3.5]
    assert with_constants(expression, constants.tolist()) == with_constants(
        with_constants(expression, [0.1, 0.2, 0.3]), constants.tolist()
    )
    exact = with_constants(expression, [sympy.Integer(2), sympy.pi, sympy.Rational(1, 2)])
    assert not exact.has(sympy.Float)


def test_equal_constants_stay_apart():
    expression = sympy.Add(2.5 * x, sympy.sin(2.5 * y))
    assert len(Tape(expression, (x, y)).constants) == 2


@pytest.mark.parametrize("expression", [sympy.Function("f")(x), sympy.Symbol("z") + x, sympy.I * x])
def test_what_cannot_be_evaluated_is_refused(expression):
    with pytest.raises(ValueError, match="the formula has a"):
        Tape(expression, (x, y))


def test_undefined_values_are_not_finite():
    assert np.isnan(Tape(sympy.log(x - 5), (x,)).values(np.array([[1.0]]))).all()
