"""Whether a formula is right in its dimensions, by one rule for what numbers may carry.

Exact numbers (2, 1/3, pi) have no dimension. A floating-point number was fitted to data and may
carry whatever dimension makes the formula right: g in ``9.81*t**2``. A part of a formula is
therefore either of a known dimension or free:

- A symbol has the dimension that was stated; one of which nothing was stated is free.
- A product with a free factor is free, else the dimensions multiply.
- A sum's known terms must agree, and it has their dimension; it is free if all are.
- A power with a number as exponent raises the dimension to it. With any other exponent both
  exponent and base must be dimensionless or free.
- A function's argument must be dimensionless or free, and so is its value dimensionless; a
  modulus keeps the dimension. ``log(x) + 1.7`` is right whatever x is, as it is ``log(x/x0)``.

What is inconsistent can be made right by factors of 1.0 where a dimension is wrong: they are
constants that happen to have the value 1 in the units of the data. `amended` puts them in.
"""

# SymPy's annotations call the parts of an expression Basic, whatever they are.
# pyright: reportArgumentType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy

from .units import DIMENSIONLESS, Dimension

__all__ = ["amended", "consistent", "inconsistency"]


class _InconsistentError(Exception):
    """A formula is not right in its dimensions; the message says where."""


def inconsistency(
    expression: sympy.Expr, units: Mapping[str, Dimension], target: Dimension | None = None
) -> str | None:
    """Say what is wrong with a formula's dimensions.

    Parameters
    ----------
    expression : sympy.Expr
    units : mapping of str to Dimension
        Of the symbols, by name; a symbol that is not in it may have any.
    target : Dimension, optional
        Of what the formula is for.

    Returns
    -------
    str or None
        None if nothing is wrong.

    Examples
    --------
    >>> from knotwork.symbolic.units import parse_units
    >>> x, t = sympy.symbols("x t")
    >>> units = {"x": parse_units("m"), "t": parse_units("s")}
    >>> print(inconsistency(x + t, units))
    a sum of s and m: t + x.
    >>> print(inconsistency(x + 2.5 * t, units, parse_units("m")))
    None
    """
    try:
        _, found = _Walk(units, amend=False).visit(expression, target)
    except _InconsistentError as error:
        return str(error)
    if target is not None and found is not None and found != target:
        return f"the formula is in {found}, not in {target}: {expression}."
    return None


def consistent(
    expression: sympy.Expr, units: Mapping[str, Dimension], target: Dimension | None = None
) -> bool:
    """Return whether a formula is right in its dimensions; see `inconsistency`."""
    return inconsistency(expression, units, target) is None


def amended(
    expression: sympy.Expr, units: Mapping[str, Dimension], target: Dimension | None = None
) -> sympy.Expr:
    """Return the formula with a constant 1.0 as a factor wherever a dimension is wrong.

    Parameters
    ----------
    expression, units, target
        As for `inconsistency`.

    Examples
    --------
    >>> from knotwork.symbolic.units import parse_units
    >>> h, w = sympy.symbols("h w")
    >>> amended(sympy.exp(h) * w, {"h": parse_units("m"), "w": parse_units("kg")})
    w*exp(1.0*h)
    """
    if consistent(expression, units, target):
        return expression
    try:
        result, found = _Walk(units, amend=True).visit(expression, target)
    except _InconsistentError:  # a variable power of something with a dimension
        return expression
    return _carrier() * result if target is not None and found not in (None, target) else result


def _carrier() -> sympy.Expr:
    """Return a constant that may carry a dimension."""
    return sympy.Float(1.0, 17)


class _Walk:
    """Goes through a formula; raises where it is inconsistent, or amends it."""

    def __init__(self, units: Mapping[str, Dimension], *, amend: bool) -> None:
        self.units = units
        self.amend = amend

    def visit(self, node: Any, wanted: Dimension | None = None) -> tuple[Any, Dimension | None]:
        """Return a part, amended if need be, and its dimension, None if it is free."""
        if isinstance(node, sympy.Symbol):
            return node, self.units.get(node.name)
        if isinstance(node, sympy.Float):
            return node, None
        if not node.free_symbols and not node.has(sympy.Float):
            return node, DIMENSIONLESS
        if isinstance(node, sympy.Add):
            return self._sum(node, wanted)
        if isinstance(node, sympy.Mul):
            return self._product([self.visit(part) for part in node.args])
        if isinstance(node, sympy.Pow):
            return self._power(*node.args, wanted)
        if isinstance(node, sympy.Abs):
            part, dimension = self.visit(node.args[0], wanted)
            return sympy.Abs(part), dimension
        parts = [self._pure(part, node) for part in node.args]
        return node.func(*parts), DIMENSIONLESS

    def _product(self, parts: Sequence[tuple[Any, Dimension | None]]) -> tuple[Any, Any]:
        result: Dimension | None = DIMENSIONLESS
        for _, dimension in parts:
            result = None if result is None or dimension is None else result * dimension
        return sympy.Mul(*[part for part, _ in parts]), result

    def _sum(self, node: Any, wanted: Dimension | None) -> tuple[Any, Dimension | None]:
        shifted = any(isinstance(term, sympy.Float) for term in node.args)
        terms = [
            (term, None) if shifted and self._logarithm(term) else self.visit(term, wanted)
            for term in node.args
        ]
        known = [dimension for _, dimension in terms if dimension is not None]
        if not known:
            return sympy.Add(*[term for term, _ in terms]), None
        common = wanted if wanted in known else known[0]
        for k, (term, dimension) in enumerate(terms):
            if dimension is not None and dimension != common:
                if not self.amend:
                    raise _InconsistentError(f"a sum of {common} and {dimension}: {node}.")
                terms[k] = (_carrier() * term, common)
        return sympy.Add(*[term for term, _ in terms]), common

    def _logarithm(self, term: Any) -> bool:
        """Tell whether a term is a number times a logarithm of something that is in itself right.

        Its unit, whatever it is, goes into the constant beside it.
        """
        number, rest = term.as_coeff_Mul()
        if not isinstance(rest, sympy.log) or not number.is_number:
            return False
        try:
            _Walk(self.units, amend=False).visit(rest.args[0])
        except _InconsistentError:
            return False
        return True

    def _power(
        self, base: Any, exponent: Any, wanted: Dimension | None
    ) -> tuple[Any, Dimension | None]:
        if exponent.is_number:
            if exponent.is_Rational:
                power = Fraction(int(exponent.p), int(exponent.q))
            else:
                power = Fraction(float(exponent))
            inner = None if wanted is None or not power else wanted ** (1 / power)
            part, dimension = self.visit(base, inner)
            return sympy.Pow(part, exponent), None if dimension is None else dimension**power
        whole = sympy.Pow(base, exponent)
        return sympy.Pow(self._pure(base, whole), self._pure(exponent, whole)), DIMENSIONLESS

    def _pure(self, node: Any, of: Any) -> Any:
        """Return an argument of a function, which must be dimensionless or free."""
        part, dimension = self.visit(node, DIMENSIONLESS)
        if dimension is None or dimension == DIMENSIONLESS:
            return part
        if not self.amend:
            raise _InconsistentError(f"an argument in {dimension}, it must have none: {of}.")
        return _carrier() * part
