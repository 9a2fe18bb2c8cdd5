"""A formula that was found, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..data.matrices import read_matrix
from ..network import KAN
from ..symbolic.compiling import network_of
from ..symbolic.export import code
from .constants import FittedConstant, stated_constants
from .refit import Fit
from .tape import Tape, with_constants
from .weighted import Rows, root_mean_square, spread_of

__all__ = ["FittedConstant", "Formula", "Scaling"]

Array = NDArray[np.float64]

# Powers of ten whose product should be 1 miss it by no more.
_ROUNDING = 1e-14
# Numbers beyond this come near the end of what a double can hold.
_LARGEST = 1e290


@dataclass(frozen=True)
class Scaling:
    """Powers of ten by which extreme columns were divided before the search."""

    inputs: Array
    target: float

    @property
    def plain(self) -> bool:
        """Whether nothing was scaled."""
        return bool(np.all(self.inputs == 1.0)) and self.target == 1.0


@dataclass(frozen=True)
class Formula:
    """A formula for one target.

    Attributes
    ----------
    expression : sympy.Expr
        In the symbols `variables`, in the units of the data. Where columns are so extreme that no
        double can hold its numbers, what is printed and exported divides these columns first, as
        ``2.5*(x_1/1e+200)**2*x_2``.
    variables : tuple of str
        Names of all inputs of the data, in the order of its columns.
    rmse : float
        Root of the mean squared error over the held-out rows, in the target's units. A weighted
        mean where the search had weights, as in the next two.
    r2 : float
        Coefficient of determination over the held-out rows.
    train_rmse : float
        The same error over the rows that the constants were fitted to.
    complexity : int
        Symbols, numbers and operations; see `complexity`.
    constants : tuple of FittedConstant
        The numbers that the data determined, as the printed formula has them.
    scaled : sympy.Expr
        The formula in scaled columns; the same as `expression` unless columns are extreme.
    """

    expression: sympy.Expr
    variables: tuple[str, ...]
    rmse: float
    r2: float
    train_rmse: float
    complexity: int
    constants: tuple[FittedConstant, ...]
    scaled: sympy.Expr = field(repr=False)
    scaling: Scaling = field(repr=False)

    @classmethod
    def of_fit(
        cls,
        fit: Fit,
        train: Rows,
        held: Rows,
        names: Sequence[str],
        scaling: Scaling,
        size: int,
    ) -> Formula:
        """Judge a fit and write it in the user's variables.

        Parameters
        ----------
        fit : Fit
            In scaled variables.
        train, held : Rows
            Scaled inputs and targets.
        names : sequence of str
        scaling : Scaling
        size : int
            The complexity.
        """
        # Constants in the order of the written formula, which depends on their values.
        fit = Fit.of(fit.expression, fit.variables, fit.rmse)
        plain: dict[Any, Any] = {symbol: sympy.Symbol(symbol.name) for symbol in fit.variables}
        scaled: Any = fit.expression.xreplace(plain)
        expression, units, target = scaled, dict[Any, Any](), 1.0
        if not scaling.plain:
            target = scaling.target
            units = {
                symbol: symbol / sympy.Float(unit, 17)
                for symbol, unit in zip(plain.values(), scaling.inputs.tolist(), strict=True)
                if unit != 1.0
            }
            expression = _without_unit(sympy.Float(target, 17) * scaled.xreplace(units))
            if not _representable(expression):
                units = {}
        in_place = {symbol: units.get(other, symbol) for symbol, other in plain.items()}
        constants = stated_constants(fit, train, in_place, target)
        held_error = _rmse(fit, held)
        spread = spread_of(held.y, held.weights)
        r2 = 1 - (held_error / spread) ** 2 if spread > 0 else float(held_error == 0)
        return cls(
            expression,
            tuple(names),
            held_error * scaling.target,
            r2,
            _rmse(fit, train) * scaling.target,
            size,
            constants,
            scaled,
            scaling,
        )

    def predict(self, X: Any) -> Array:
        """Return the formula's values.

        Parameters
        ----------
        X : array, tensor or frame of shape (rows, inputs)
            Columns in the order of `variables`.

        Returns
        -------
        array of shape (rows,), float64
            nan or inf where the formula is not defined.

        Raises
        ------
        ValueError
            If X does not have the right number of columns, or has names for them that are not
            those of the variables in their order.
        """
        matrix = read_matrix(X, "X")
        self._check_names(matrix.names)
        values = matrix.values.double().numpy()
        if values.ndim != 2 or values.shape[1] != len(self.variables):
            raise ValueError(
                f"X must have shape (rows, {len(self.variables)}), a column for each of "
                f"{', '.join(self.variables)}; got {values.shape}."
            )
        symbols = [sympy.Symbol(name) for name in self.variables]
        scaled = Tape(self.scaled, symbols).values(values / self.scaling.inputs)
        return scaled * self.scaling.target

    def _check_names(self, names: Sequence[str] | None) -> None:
        # Variables that were never named take columns of any names.
        unnamed = self.variables == tuple(f"x_{k + 1}" for k in range(len(self.variables)))
        if names is None or unnamed or tuple(names) == self.variables:
            return
        missing = [name for name in self.variables if name not in names]
        extra = [name for name in names if name not in self.variables]
        problems = [
            f"{what} {', '.join(map(repr, which))}"
            for what, which in (("it lacks", missing), ("it has also", extra))
            if which
        ]
        raise ValueError(
            f"X must have the columns {', '.join(self.variables)} in this order: "
            f"{' and '.join(problems) or 'it has them in another'}."
        )

    def latex(self) -> str:
        """Return the formula as LaTeX, numbers to six digits."""
        return self.code("latex")

    def code(self, language: str = "numpy", name: str = "formula") -> str:
        """Return the formula as source code.

        Parameters
        ----------
        language : {"text", "latex", "numpy", "torch", "c", "julia", "json"}
        name : str
            Of the function or class.
        """
        expression = self._printed
        if language == "latex":
            expression = self._rounded(expression)
        return code(expression, self.variables, language, name=name, units=self._units)

    def rounded(self, digits: int = 6) -> sympy.Expr:
        """Return the expression with its numbers rounded, for reading."""
        return self._rounded(self.expression, digits)

    def _rounded(self, expression: sympy.Expr, digits: int = 6) -> sympy.Expr:
        symbols = [sympy.Symbol(name) for name in self.variables]
        constants = Tape(expression, symbols).constants.tolist()
        return with_constants(
            expression, [sympy.Float(f"{value:.{digits}g}") for value in constants]
        )

    @property
    def _units(self) -> dict[str, float]:
        """By what inputs are divided in the printed formula; nothing if its numbers are doubles."""
        if _representable(self.expression):
            return {}
        pairs = zip(self.variables, self.scaling.inputs.tolist(), strict=True)
        return {name: unit for name, unit in pairs if unit != 1.0}

    @property
    def _printed(self) -> sympy.Expr:
        """The expression, in inputs divided by their `_units`."""
        if not self._units:
            return self.expression
        return _without_unit(sympy.Float(self.scaling.target, 17) * self.scaled)

    @cached_property
    def network(self) -> KAN:
        """The formula as a network whose edges are all symbolic, float64, in scaled columns."""
        return network_of(self.scaled, [sympy.Symbol(name) for name in self.variables])

    def __str__(self) -> str:
        return code(self._rounded(self._printed), self.variables, "text", units=self._units)

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex()}$"


def _representable(expression: Any) -> bool:
    """Tell whether a double can hold all numbers."""
    numbers = [abs(number) for number in expression.atoms(sympy.Float) if number != 0]
    return all(1 / _LARGEST < number < _LARGEST for number in numbers)


def _without_unit(expression: Any) -> Any:
    """Drop the factor 1 that the powers of ten of several columns leave."""
    factor, rest = expression.as_coeff_Mul()
    return rest if isinstance(factor, sympy.Float) and abs(factor - 1) < _ROUNDING else expression


def _rmse(fit: Fit, rows: Rows) -> float:
    return root_mean_square(fit.predict(rows.X) - rows.y, rows.weights)
