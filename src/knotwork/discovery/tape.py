"""Evaluate a formula and its derivatives by its constants, row by row.

A SymPy expression is unrolled once into a list of elementary operations (a Wengert list; Griewank
and Walther, Evaluating Derivatives, 2008). Its floating-point numbers are the constants; exact
numbers, such as 2, 1/2 or pi, stay as they are. Values run forward through the list and
derivatives back, in float64, with no generated code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import sympy
import torch
from numpy.typing import NDArray

from ..functions import LIBRARY, SymbolicFunction

__all__ = ["Tape", "with_constants"]

Array = NDArray[np.float64]


def _by_class() -> Mapping[Any, SymbolicFunction]:
    """Map SymPy's one-argument functions to the library's records."""
    x = sympy.Symbol("x", real=True)
    found: dict[Any, SymbolicFunction] = {}
    for function in LIBRARY.values():
        form = function.sympy(x)
        if isinstance(form, sympy.Function | sympy.exp) and form.args == (x,):
            found.setdefault(form.func, function)
    return found


_FUNCTIONS = _by_class()
_BESSEL = LIBRARY["J0"]


@dataclass(frozen=True)
class _Step:
    """One operation: what it does to the values of earlier steps."""

    operation: str
    arguments: tuple[int, ...] = ()
    exponent: float = 0.0
    function: SymbolicFunction | None = None


@dataclass
class Tape:
    """The operations of one formula.

    Parameters
    ----------
    expression : sympy.Expr
        Of the symbols in `variables`, sums, products, powers and the library's functions.
    variables : sequence of sympy.Symbol
        In the order of the columns of the data.

    Attributes
    ----------
    constants : array of shape (constants,)
        The expression's floating-point numbers, in the order in which they are met.

    Raises
    ------
    ValueError
        If the expression has a symbol or a function that is not known, or a number that is not
        finite and real.
    """

    expression: sympy.Expr
    variables: Sequence[sympy.Symbol]
    constants: Array = field(init=False)

    def __post_init__(self) -> None:
        self._steps: list[_Step] = []
        self._fixed: dict[int, float] = {}
        self._constant_steps: list[int] = []
        self._columns = {symbol: place for place, symbol in enumerate(self.variables)}
        self._seen: dict[sympy.Basic, int] = {}
        values: list[float] = []
        self._last = self._unroll(self.expression, values)
        self.constants = np.array(values, dtype=np.float64)

    def _add(self, step: _Step) -> int:
        self._steps.append(step)
        return len(self._steps) - 1

    def _unroll(self, node: Any, values: list[float]) -> int:
        if node in self._seen:
            return self._seen[node]
        if isinstance(node, sympy.Float):
            place = self._add(_Step("constant"))
            self._constant_steps.append(place)
            values.append(float(node))
            return place
        if not node.has(sympy.Float):
            place = self._seen[node] = self._operation(node, values)
            return place
        return self._operation(node, values)

    def _operation(self, node: Any, values: list[float]) -> int:
        if node in self._columns:
            return self._add(_Step("column", (self._columns[node],)))
        if node.is_number and not node.has(sympy.Float):
            value = _real_number(node)
            place = self._add(_Step("number"))
            self._fixed[place] = value.real
            return place
        if isinstance(node, sympy.Add | sympy.Mul):
            arguments = tuple(self._unroll(part, values) for part in node.args)
            return self._add(_Step("add" if isinstance(node, sympy.Add) else "multiply", arguments))
        if isinstance(node, sympy.Pow):
            base, exponent = node.args
            if exponent.is_Rational:
                return self._add(
                    _Step("power", (self._unroll(base, values),), exponent=float(exponent))
                )
            arguments = (self._unroll(base, values), self._unroll(exponent, values))
            return self._add(_Step("raise", arguments))
        if isinstance(node, sympy.besselj) and node.args[0] == 0:
            argument = self._unroll(node.args[1], values)
            return self._add(_Step("call", (argument,), function=_BESSEL))
        function = _FUNCTIONS.get(node.func)
        if function is None:
            raise ValueError(f"the formula has a part that cannot be evaluated: {node}.")
        return self._add(_Step("call", (self._unroll(node.args[0], values),), function=function))

    def form(self, constants: Array, digits: int = 3) -> str:
        """Name the formula by its operations, its constants to a few digits."""
        names = [f"{value:.{digits}g}" for value in constants.tolist()]
        given = dict(zip(self._constant_steps, names, strict=True))
        parts: list[str] = []
        for place, step in enumerate(self._steps):
            name = step.function.name if step.function is not None else step.operation
            number = given.get(place, self._fixed.get(place, step.exponent))
            parts.append(f"{name}{step.arguments}{number}")
        return ";".join(parts)

    def values(self, X: Array, constants: Array | None = None) -> Array:
        """Return the formula's values, shape (rows,); nan or inf where it is not defined."""
        return self._forward(X, self.constants if constants is None else constants)[self._last]

    def values_and_jacobian(self, X: Array, constants: Array) -> tuple[Array, Array]:
        """Return values, shape (rows,), and derivatives by constants, (rows, constants)."""
        values = self._forward(X, constants)
        rows = len(X)
        with np.errstate(all="ignore"):
            adjoints: list[Any] = [0.0] * len(self._steps)
            adjoints[self._last] = np.ones(rows)
            for place in range(self._last, -1, -1):
                if not np.isscalar(adjoints[place]):
                    self._backward(place, values, adjoints)
        jacobian = np.zeros((rows, len(self._constant_steps)))
        for column, place in enumerate(self._constant_steps):
            jacobian[:, column] = adjoints[place]
        return values[self._last], jacobian

    def _forward(self, X: Array, constants: Array) -> list[Array]:
        rows = len(X)
        results: list[Array] = []
        given = dict(zip(self._constant_steps, constants, strict=True))
        with np.errstate(all="ignore"):
            for place, step in enumerate(self._steps):
                parts = [results[i] for i in step.arguments] if step.operation != "column" else []
                if step.operation == "constant":
                    value = np.full(rows, given[place])
                elif step.operation == "number":
                    value = np.full(rows, self._fixed[place])
                elif step.operation == "column":
                    value = X[:, step.arguments[0]]
                elif step.operation == "add":
                    value = reduce(np.add, parts)
                elif step.operation == "multiply":
                    value = reduce(np.multiply, parts)
                elif step.operation == "power":
                    value = _raised(parts[0], step.exponent)
                elif step.operation == "raise":
                    value = np.power(parts[0], parts[1])
                else:
                    assert step.function is not None
                    value = step.function.torch(torch.from_numpy(parts[0].copy())).numpy()
                results.append(value)
        return results

    def _backward(self, place: int, values: list[Array], adjoints: list[Any]) -> None:
        step, adjoint = self._steps[place], adjoints[place]
        if step.operation == "add":
            for i in step.arguments:
                adjoints[i] = adjoints[i] + adjoint
        elif step.operation == "multiply":
            for position, i in enumerate(step.arguments):
                others = [values[j] for k, j in enumerate(step.arguments) if k != position]
                adjoints[i] = adjoints[i] + adjoint * reduce(np.multiply, others)
        elif step.operation == "power":
            (i,) = step.arguments
            slope = step.exponent * _raised(values[i], step.exponent - 1)
            adjoints[i] = adjoints[i] + adjoint * slope
        elif step.operation == "raise":
            i, j = step.arguments
            slope = values[j] * np.power(values[i], values[j] - 1)
            adjoints[i] = adjoints[i] + adjoint * slope
            adjoints[j] = adjoints[j] + adjoint * values[place] * np.log(values[i])
        elif step.operation == "call":
            assert step.function is not None
            (i,) = step.arguments
            slope = step.function.derivative(torch.from_numpy(values[i].copy())).numpy()
            adjoints[i] = adjoints[i] + adjoint * slope


def _real_number(node: Any) -> float:
    try:
        value = complex(node)
    except (TypeError, OverflowError):
        value = complex(np.nan)
    if value.imag != 0 or not np.isfinite(value.real):
        raise ValueError(f"the formula has a number that is not finite and real: {node}.")
    return value.real


def _raised(base: Array, exponent: float) -> Array:
    """Return base**exponent; whole and half powers by the quick ways."""
    if exponent == 2.0:
        return base * base
    if exponent == -1.0:
        return 1.0 / base
    if exponent == 0.5:
        return np.sqrt(base)
    if exponent.is_integer() and abs(exponent) <= 64:
        return base**exponent
    return np.power(base, exponent)


def with_constants(expression: sympy.Expr, constants: Sequence[sympy.Expr | float]) -> sympy.Expr:
    """Return the expression with its floating-point numbers replaced, in the order of a `Tape`."""
    left = list(constants)

    def rebuilt(node: Any) -> Any:
        if isinstance(node, sympy.Float):
            value = left.pop(0)
            return value if isinstance(value, sympy.Basic) else sympy.Float(value, 17)
        if not node.args or not node.has(sympy.Float):
            return node
        return node.func(*[rebuilt(part) for part in node.args])

    result = rebuilt(expression)
    assert not left
    return result
