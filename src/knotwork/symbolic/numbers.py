"""Nicer numbers: integers, small fractions, and multiples of pi, e and square roots."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import sympy


@dataclass(frozen=True)
class NiceNumber:
    """A number worth having in a formula.

    Attributes
    ----------
    exact : sympy.Expr
    value : float
    spacing : float
        About how far apart numbers as nice as this one lie: one within a given distance of a
        measured constant says something only if that distance is much smaller.
    """

    exact: sympy.Expr
    value: float
    spacing: float


def nice_numbers(value: float, within: float = math.inf) -> Iterator[NiceNumber]:
    """Yield the nearest number of every kind, the plainest kind first.

    Parameters
    ----------
    value : float
    within : float
        Numbers further away are left out, before SymPy has to write them.
    """
    sign, size = (-1 if value < 0 else 1), abs(value)

    def near(number: float) -> bool:
        return abs(number - size) <= within

    if near(round(size)):
        yield _number(sympy.Integer(sign * round(size)), 1.0)
    for denominator in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12):
        numerator = round(size * denominator)
        if near(numerator / denominator):
            yield _number(sympy.Rational(sign * numerator, denominator), 0.4 / denominator)
    decimals = round(size, 3)
    if near(decimals):
        yield _number(sign * sympy.Rational(f"{decimals:.3f}"), 1e-3)
    for unit, unit_value, spacing in _units():
        for denominator in (1, 2, 3, 4, 6, 8):
            numerator = round(size / unit_value * denominator)
            if 0 < numerator <= 24 and near(unit_value * numerator / denominator):
                exact = sign * unit * sympy.Rational(numerator, denominator)
                yield _number(exact, spacing / denominator)
    for unit, unit_value in _divisors():
        for denominator in (1, 2, 4, 8):
            numerator = round(size * unit_value * denominator)
            if 0 < numerator <= 8 and near(numerator / denominator / unit_value):
                yield _number(sign * sympy.Rational(numerator, denominator) / unit, 0.02)


def _number(exact: sympy.Expr, spacing: float) -> NiceNumber:
    return NiceNumber(exact, float(exact), spacing)


@cache
def _units() -> tuple[tuple[sympy.Expr, float, float], ...]:
    """List numbers of which multiples are nice, with their values and spacings."""
    roots = [sympy.sqrt(n) for n in (2, 3, 5, 6, 7, 10)]
    units = [
        (sympy.pi, 0.1),
        (sympy.pi**2, 0.02),
        (sympy.pi**3, 0.01),
        (sympy.E, 0.02),
        (sympy.log(2), 0.02),
        (sympy.log(10), 0.02),
        *((root, 0.02) for root in roots),
        (sympy.sqrt(sympy.pi), 0.01),
        (sympy.sqrt(2 * sympy.pi), 0.01),
    ]
    return tuple((unit, float(unit), spacing) for unit, spacing in units)


@cache
def _divisors() -> tuple[tuple[sympy.Expr, float], ...]:
    units = (sympy.pi, sympy.pi**2, sympy.log(2), sympy.log(10))
    return tuple((unit, float(unit)) for unit in units)


def recognise(value: float, tolerance: float) -> sympy.Expr:
    """Return `value` as an exact number if a nice one lies within the relative tolerance.

    Examples
    --------
    >>> recognise(3.14159265358, 1e-9), recognise(0.3333333333333, 1e-9), recognise(0.123456, 1e-9)
    (pi, 1/3, 0.123456000000000)
    """
    if value == 0 or not math.isfinite(value):
        return sympy.Integer(0) if value == 0 else sympy.Float(value)
    # Twice the tolerance, as values are compared once more when they are exact.
    for nice in nice_numbers(value, 2 * tolerance * abs(value)):
        if nice.value != 0 and abs(nice.value - value) <= tolerance * abs(value):
            return nice.exact
    return sympy.Float(value)
