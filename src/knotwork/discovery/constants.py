"""Numbers of a formula that the data determined, with their standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from .refit import Fit, refitted, uncertainty
from .tape import Tape
from .weighted import Rows

__all__ = ["FittedConstant", "stated_constants"]

Array = NDArray[np.float64]

# With errors of rounding size numbers are simply exact.
_NOISE_FREE = 1e-9
_ROWS = 20_000
_EVALUATIONS = 10


@dataclass(frozen=True)
class FittedConstant:
    """A number in a formula that the data determined.

    Attributes
    ----------
    value : float
        Of the least-squares fit.
    standard_error : float
        From the Jacobian at the solution; infinite where the data cannot tell the constant from
        others.
    exact : sympy.Expr or None
        The number that stands in the formula, if the fitted one was rounded. Value and standard
        error are then those of the fit in which all numbers are free.
    """

    value: float
    standard_error: float
    exact: sympy.Expr | None = None

    def __str__(self) -> str:
        bar = f"{self.standard_error:.2g}" if np.isfinite(self.standard_error) else "∞"
        # So many digits that the error bar says something about the last.
        digits = 6
        if 0 < self.standard_error < abs(self.value):
            digits = int(max(6, np.ceil(np.log10(abs(self.value) / self.standard_error)) + 1))
        text = f"{self.value:.{digits}g} ± {bar}"
        return text if self.exact is None else f"{self.exact} ({text})"


@dataclass(frozen=True)
class _Number:
    """A coefficient or offset, the symbol that stands in for it, and what it was rounded to."""

    symbol: sympy.Symbol
    value: float
    exact: sympy.Expr | None


def stated_constants(
    fit: Fit, rows: Rows, units: Mapping[Any, Any], target: float
) -> tuple[FittedConstant, ...]:
    """Return the numbers of a formula with their standard errors, in the order of the formula.

    Fitted numbers are stated as they are. Rounded ones are freed, all together, and fitted again:
    coefficients and offsets other than 1 and -1, but no exponents. Without noise they are left
    out, since nothing is uncertain of them.

    Parameters
    ----------
    fit : Fit
    rows : Rows
        What it was fitted to.
    units : mapping
        What stands in the printed formula in place of an input, as ``x -> x/1e9``.
    target : float
        The factor of the whole in the printed formula. A product of a constant by a unit has the
        product of its standard error by the unit.
    """
    numbers: list[_Number] = []
    freed = _freed(fit.expression, numbers)
    if not numbers:
        return ()
    whole = _fit_of(freed, numbers, fit.variables)
    errors, _ = uncertainty(Fit(whole.tape, whole.constants, _fixed(numbers), fit.rmse), *rows)
    fitted = [k for k, number in enumerate(numbers) if number.exact is None]
    found = {k: (numbers[k].value, float(e)) for k, e in zip(fitted, errors, strict=True)}
    if len(fitted) < len(numbers) < len(rows.y) and fit.rmse > _NOISE_FREE:
        few = rows.take(slice(_ROWS))
        free = refitted(whole, *few, evaluations=_EVALUATIONS)
        joint, _ = uncertainty(free, *few)
        for k in range(len(numbers)):
            found.setdefault(k, (float(free.constants[k]), float(joint[k])))
    factors = _factors(sympy.Float(target, 17) * freed.xreplace(dict(units)), numbers)
    return tuple(
        _stated(numbers[k], *found[k], factors.get(numbers[k].symbol, 1.0)) for k in sorted(found)
    )


def _stated(number: _Number, value: float, error: float, factor: float) -> FittedConstant:
    exact: Any = number.exact
    if exact is not None and factor != 1.0:
        exact = sympy.Float(f"{float(exact) * factor:.6g}")
    return FittedConstant(value * factor, error * abs(factor), exact)


def _fixed(numbers: list[_Number]) -> tuple[sympy.Expr | None, ...]:
    return tuple(number.exact for number in numbers)


def _fit_of(freed: Any, numbers: list[_Number], variables: tuple[sympy.Symbol, ...]) -> Fit:
    """Return the formula with all its numbers as constants, and put them in the tape's order."""
    marks = {float(k) + 1.5: number for k, number in enumerate(numbers)}
    places = {number.symbol: sympy.Float(mark, 17) for mark, number in marks.items()}
    marked = _put(freed, places)
    tape = Tape(marked, variables)
    numbers[:] = [marks[mark] for mark in tape.constants.tolist()]
    values = np.array([number.value for number in numbers])
    return Fit(tape, values, (None,) * len(values), np.inf)


def _put(node: Any, places: Mapping[Any, Any]) -> Any:
    """Return an expression with numbers for symbols; SymPy must neither combine nor drop them."""
    if node in places or not node.args:
        return places.get(node, node)
    parts = [_put(part, places) for part in node.args]
    return node.func(*parts, evaluate=False)


def _freed(node: Any, numbers: list[_Number]) -> Any:
    """Return an expression with symbols for its coefficients, offsets and fitted numbers."""

    def stand_in(number: Any) -> Any:
        # With another sign than its number's, |x + a| could turn into x + a.
        symbol = sympy.Dummy("number", positive=True if number > 0 else None, real=True)
        exact = None if number.has(sympy.Float) else number
        numbers.append(_Number(symbol, float(number), exact))
        return symbol

    if isinstance(node, sympy.Float):
        return stand_in(node)
    if node.is_number:
        return node if abs(node) == 1 else stand_in(node)
    if isinstance(node, sympy.Mul | sympy.Add):
        plain = [part for part in node.args if part.is_number]
        rest = [_freed(part, numbers) for part in node.args if not part.is_number]
        number: Any = node.func(*plain) if plain else None
        if number is None:
            return node.func(*rest)
        trivial = isinstance(node, sympy.Mul) and abs(number) == 1 and not number.has(sympy.Float)
        return node.func(number if trivial else stand_in(number), *rest)
    if isinstance(node, sympy.Pow):
        base, exponent = node.args
        keep = exponent.is_number and not exponent.has(sympy.Float)
        raised = exponent if keep else _freed(exponent, numbers)
        return sympy.Pow(base if base.is_number else _freed(base, numbers), raised)
    if not node.args:
        return node
    return node.func(*[_freed(part, numbers) for part in node.args])


def _factors(expression: Any, numbers: list[_Number]) -> dict[Any, float]:
    """Return by what each number is multiplied where it is printed."""
    symbols = {number.symbol for number in numbers}
    found: dict[Any, float] = {}
    for product in expression.atoms(sympy.Mul):
        inside = [part for part in product.args if part in symbols]
        if len(inside) == 1:
            factor = sympy.Mul(*[part for part in product.args if part.is_number])
            found[inside[0]] = float(factor)
    return found
