"""Units read from text, and formulas judged by them."""

import pickle
import re
from fractions import Fraction

import pytest
import sympy

from knotwork.symbolic.dimensions import amended, consistent, inconsistency
from knotwork.symbolic.units import DIMENSIONLESS, parse_units


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("kg*m^2/s^3", "W"),
        ("N", "kg * m / s**2"),
        ("V*A", "J/s"),
        ("Pa", "N/m^2"),
        ("ohm", "V/A"),
        ("Ω", "V/A"),
        ("C^2/J", "F"),
        ("T*m^2", "Wb"),
        ("1/s", "Hz"),
        ("rad", ""),
        ("1", " "),
        ("km/h", "m/s"),
        ("mN", "N"),
        ("µm", "m"),
        ("g", "kg"),
        ("m^(1/2)*m^0.5", "m"),
        ("(m/s)^-2", "s^2/m^2"),
        ("m/s/s", "m/(s*s)"),
        ("m^(-3/2)", "1/m^1.5"),
        ("m/m", "1"),
    ],
)
def test_units_that_are_the_same(text, same):
    assert parse_units(text) == parse_units(same)


def test_unknown_names_are_dimensions_of_their_own():
    assert dict(parse_units("apple^2/person")) == {"apple": Fraction(2), "person": Fraction(-1)}
    # Neither a prefix before kg nor before a minute is one.
    assert dict(parse_units("mkg*kmin")) == {"mkg": Fraction(1), "kmin": Fraction(1)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2*m", "'2\\*m'.*only number.*character 1"),
        ("m/", "a unit is expected, at character 3"),
        ("m^", "an exponent is expected.*character 3"),
        ("m^s", "an exponent is expected.*character 3"),
        ("m^(1/0)", "divided by 0, at character 6"),
        ("m^100", "99 at the most, at character 3"),
        ("m s", "'\\*' or '/' is expected, at character 3"),
        ("m  $", "'\\$' has no meaning here, at character 4"),
        ("(m", "'\\)' is expected, at character 3"),
        ("m)", "character 2"),
        ("(" * 30 + "m", "brackets are more than 20 deep"),
        ("m*" * 200, "200 characters; got 400"),
    ],
)
def test_what_is_no_unit(text, message):
    with pytest.raises(ValueError, match=message):
        parse_units(text)


def test_a_unit_is_text():
    with pytest.raises(TypeError, match=r"must be a string.*got 3"):
        parse_units(3)


def test_dimensions_do_not_change():
    speed = parse_units("m/s")
    with pytest.raises(AttributeError):
        speed.exponents = ()
    assert pickle.loads(pickle.dumps(speed)) == speed
    assert len({speed, parse_units("km/h")}) == 1
    assert parse_units(str(parse_units("C^2/(kg*m^(3/2))"))) == parse_units("C^2/(kg*m^(3/2))")
    assert speed / speed == DIMENSIONLESS


x, t, m, free = sympy.symbols("x t m free", positive=True)
UNITS = {"x": parse_units("m"), "t": parse_units("s"), "m": parse_units("kg")}
METRE = parse_units("m")
RIGHT = [
    x,
    2 * x,
    sympy.pi * x,
    sympy.sqrt(x**2 + x**4 / x**2),
    9.81 * t**2,
    x * sympy.sin(x / (3 * x)),
    x * sympy.exp(-1.5 * t),
    1.7 * sympy.log(x) + 0.3,
    x + 2.5,
    x + free,
    3.1 * x**1.9,
    x * sympy.exp(m * free),
    sympy.Abs(x),
    x * 2 ** (t / t),
]
WRONG = {
    x + t: "a sum of",
    x + 1: "a sum of",
    t: "in s, not in m",
    x**2: "m\\^2, not in m",
    x * sympy.sin(t): "an argument in s.*sin",
    x * sympy.besselj(0, t): "an argument in s",
    3.1 * sympy.exp(x): "an argument in m",
    1.7 * sympy.log(x): "an argument in m",
    1.7 * t * sympy.log(x) + 0.3: "an argument in m",
    1.7 * sympy.log(x + t) + 0.3: "an argument in m|a sum of",
    x**1.9: "m\\^1.9",
    x * 2**t: "an argument in s",
    sympy.sqrt(x**2 + x): "a sum of",
    sympy.Abs(t): "in s",
}


@pytest.mark.parametrize("formula", RIGHT, ids=str)
def test_right_formulas(formula):
    assert consistent(formula, UNITS, METRE)
    assert amended(formula, UNITS, METRE) is formula


@pytest.mark.parametrize("formula", WRONG, ids=str)
def test_wrong_formulas_and_the_constants_that_make_them_right(formula):
    assert re.search(WRONG[formula], inconsistency(formula, UNITS, METRE))
    better = amended(formula, UNITS, METRE)
    assert consistent(better, UNITS, METRE)
    values = {x: 1.3, t: 0.7, m: 2.1}
    assert float(better.subs(values)) == pytest.approx(float(formula.subs(values)))


def test_without_a_target_only_the_formula_itself_counts():
    assert consistent(t, UNITS)
    assert not consistent(x + t, UNITS)


def test_constants_come_where_they_are_needed_only():
    better = amended(sympy.sqrt(x**2 + t**2), UNITS, METRE)
    assert str(better) == "sqrt(1.0*t**2 + x**2)"
