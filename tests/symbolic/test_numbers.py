import math

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from knotwork.symbolic.numbers import nice_numbers, recognise

EXACT = [
    sympy.Integer(3), sympy.Integer(-17), sympy.Rational(1, 3), sympy.Rational(-5, 12),
    sympy.Rational(7, 8), sympy.pi, 2 * sympy.pi, -sympy.pi / 2, sympy.pi**2, 1 / sympy.pi, sympy.E,
    sympy.sqrt(2), sympy.sqrt(3) / 2, -sympy.sqrt(5), sympy.sqrt(sympy.pi),
    sympy.sqrt(2 * sympy.pi),
    sympy.Rational("0.125"), sympy.Rational("9.807"),
]  # fmt: skip


@pytest.mark.parametrize("exact", EXACT, ids=str)
def test_nice_numbers_are_recognised(exact: sympy.Expr) -> None:
    assert recognise(float(exact), 1e-12) == exact
    assert recognise(float(exact) * (1 + 1e-10), 1e-9) == exact


@pytest.mark.parametrize("exact", EXACT, ids=str)
def test_numbers_outside_the_tolerance_are_not(exact: sympy.Expr) -> None:
    value = float(exact) * (1 + 1e-6)
    assert recognise(value, 1e-9) == sympy.Float(value)


@given(st.floats(-1e6, 1e6), st.sampled_from([1e-7, 1e-9, 1e-11]))
def test_what_is_recognised_is_within_the_tolerance(value: float, tolerance: float) -> None:
    assert abs(float(recognise(value, tolerance)) - value) <= tolerance * abs(value)


@given(st.floats(1e-3, 1e3))
def test_signs_are_mirrored(value: float) -> None:
    assert recognise(-value, 1e-9) == -recognise(value, 1e-9)


@given(st.floats(-1e3, 1e3))
def test_values_are_those_of_the_exact_numbers(value: float) -> None:
    for nice in nice_numbers(value):
        assert nice.value == float(nice.exact)
        assert 0 < nice.spacing <= 1


@given(st.floats(-1e3, 1e3))
def test_an_integer_and_every_fraction_nearby_is_offered(value: float) -> None:
    offered = {nice.exact for nice in nice_numbers(value)}
    assert sympy.Integer(round(value)) in offered or round(abs(value)) != abs(round(value))
    assert min(abs(nice.value - value) for nice in nice_numbers(value)) <= 0.5e-3 + 1e-12


def test_the_plainest_comes_first() -> None:
    assert recognise(2.0, 1e-3) == 2
    assert next(iter(nice_numbers(2.2))).exact == 2
    assert recognise(0.5, 1e-9) == sympy.Rational(1, 2)


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_zero(value: float) -> None:
    assert recognise(value, 1e-9) == 0


@pytest.mark.parametrize("value", [1e-300, 1e300, 123456.789012, 1e-9, 6.02214076e23])
def test_extreme_numbers_keep_their_value(value: float) -> None:
    assert float(recognise(value, 1e-12)) == pytest.approx(value, rel=1e-12)


def test_numbers_that_are_not_finite_pass() -> None:
    assert recognise(math.inf, 1e-9) == sympy.oo
    assert recognise(math.nan, 1e-9) is sympy.nan
