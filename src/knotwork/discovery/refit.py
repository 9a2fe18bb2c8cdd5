"""Fit the constants of a formula to data, and say how sure they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.optimize import least_squares

from .complexity import complexity
from .tape import Tape, with_constants
from .weighted import Rows, by_roots, root_mean_square, spread_of

__all__ = ["EXACT", "Fit", "fit_constants", "refitted", "relative_error", "uncertainty"]

Array = NDArray[np.float64]

# A root mean square this small beside the target's spread is rounding error, if few constants are
# fitted: with more of them a sum can come as near to a smooth function, and must come nearer.
EXACT = 1e-10
_NEARER = 3e-14
_FEW_CONSTANTS = 3
_EVALUATIONS = 100
# Singular values below this share of the largest belong to directions the data cannot see.
_RANK = 1e-9


@dataclass(frozen=True)
class Fit:
    """A formula with its constants fitted.

    SymPy takes longer to write a formula than its constants take to fit, so the formula stays a
    tape with values for its numbers until its `expression` is asked for.

    Attributes
    ----------
    tape : Tape
    constants : array of shape (constants,)
        Values for the tape's floating-point numbers.
    exact : tuple of (sympy.Expr or None)
        The number in place of each, None where it is a fitted one.
    rmse : float
        Root of the mean squared error over the rows it was fitted to, relative to the
        target's standard deviation there; infinite if the formula is not defined on some row.
    """

    tape: Tape
    constants: Array
    exact: tuple[sympy.Expr | None, ...]
    rmse: float

    @classmethod
    def of(
        cls, expression: sympy.Expr, variables: tuple[sympy.Symbol, ...], rmse: float = np.inf
    ) -> Fit:
        """Return an expression as it is, all its floating-point numbers taken as fitted."""
        tape = Tape(expression, variables)
        return cls(tape, tape.constants, (None,) * len(tape.constants), rmse)

    @property
    def variables(self) -> tuple[sympy.Symbol, ...]:
        """The formula's symbols in the order of the data's columns."""
        return tuple(self.tape.variables)

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which of the constants are fitted."""
        return np.array([number is None for number in self.exact], dtype=bool)

    @property
    def is_exact(self) -> bool:
        """Whether what it leaves of the rows it was fitted to is rounding error."""
        return self.rmse < (EXACT if self.free.sum() <= _FEW_CONSTANTS else _NEARER)

    @cached_property
    def expression(self) -> sympy.Expr:
        """The formula with its constants."""
        numbers = [
            float(value) if number is None else number
            for value, number in zip(self.constants, self.exact, strict=True)
        ]
        written: Any = with_constants(self.tape.expression, numbers)
        # SymPy's own idea where a tangent is moved by exactly a quarter turn.
        return written.replace(sympy.cot, lambda angle: 1 / sympy.tan(angle))

    @cached_property
    def complexity(self) -> int:
        """The size of the formula."""
        whole = self.tape.expression if self.free.all() else self.expression
        return complexity(whole)

    def predict(self, X: Array) -> Array:
        """Return the formula's values, shape (rows,)."""
        return self.tape.values(X, self.constants)

    def error(self, X: Array, y: Array, weights: Array | None = None) -> float:
        """Return the root mean square of its errors over the targets' standard deviation."""
        return relative_error(self.predict(X), y, weights)

    def with_exact(self, index: int, number: sympy.Expr) -> Fit:
        """Return the fit with an exact number in place of a constant, errors not yet known."""
        constants, exact = self.constants.copy(), list(self.exact)
        constants[index], exact[index] = float(number), number
        return Fit(self.tape, constants, tuple(exact), np.inf)

    def rewritten(self, X: Array, y: Array, weights: Array | None = None) -> Fit:
        """Return the fit with its exact numbers put into the formula, which may become shorter."""
        plain = Fit.of(self.expression, self.variables)
        return replace(plain, rmse=plain.error(X, y, weights))


def _residuals(tape: Tape, X: Array, y: Array, scale: float, constants: Array) -> Array:
    residuals = (tape.values(X, constants) - y) / scale
    return np.where(np.isfinite(residuals), np.clip(residuals, -1e9, 1e9), 1e9)


def fit_constants(
    expression: sympy.Expr,
    variables: tuple[sympy.Symbol, ...],
    X: Array,
    y: Array,
    weights: Array | None = None,
    *,
    robust: bool = False,
    evaluations: int = _EVALUATIONS,
) -> Fit:
    """Fit the floating-point numbers of a formula by Levenberg-Marquardt (MINPACK).

    Parameters
    ----------
    expression, variables
        The formula, and its symbols in the order of the columns.
    X, y : arrays of shape (rows, columns) and (rows,)
    weights : array of shape (rows,), optional
        Of the squared errors.
    robust : bool
        Weigh large errors linearly (soft L1 at the scale of the median error), against outliers.
    evaluations : int
        The most evaluations of the formula.

    Raises
    ------
    ValueError
        If the expression cannot be evaluated.
    """
    fit = Fit.of(expression, variables)
    return refitted(fit, X, y, weights, robust=robust, evaluations=evaluations)


def refitted(
    fit: Fit,
    X: Array,
    y: Array,
    weights: Array | None = None,
    *,
    robust: bool = False,
    evaluations: int = _EVALUATIONS,
) -> Fit:
    """Fit those constants of a fit that are not exact, from where they are."""
    tape, free = fit.tape, fit.free
    scale = spread_of(y, weights) or 1.0
    if not np.isfinite(fit.predict(X)).all():
        return replace(fit, rmse=np.inf)
    constants = fit.constants
    if 0 < free.sum() < len(y):
        start = constants[free]

        def whole(values: Array) -> Array:
            given = fit.constants.copy()
            given[free] = values
            return given

        def jacobian(values: Array) -> Array:
            _, slopes = tape.values_and_jacobian(X, whole(values))
            slopes = np.nan_to_num(slopes[:, free] / scale, nan=0.0, posinf=1e9, neginf=-1e9)
            return by_roots(slopes, weights)

        def residuals(values: Array) -> Array:
            return by_roots(_residuals(tape, X, y, scale, whole(values)), weights)

        options: dict[str, Any] = {"method": "lm"}
        if robust:
            middle = float(np.median(np.abs(residuals(start))))
            options = {"method": "trf", "loss": "soft_l1", "f_scale": max(1.5 * middle, 1e-12)}
        solution = least_squares(
            residuals,
            start,
            jac=jacobian,  # pyright: ignore[reportArgumentType]
            x_scale="jac",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=evaluations,
            **options,
        )
        if np.isfinite(solution.x).all() and solution.cost <= _cost(residuals(start), options):
            constants = whole(solution.x)
    return Fit(tape, constants, fit.exact, relative_error(tape.values(X, constants), y, weights))


def _cost(residuals: Array, options: dict[str, Any]) -> float:
    squares = residuals**2
    if options["method"] == "lm":
        return 0.5 * float(squares.sum()) * (1 + 1e-12)
    scale = options["f_scale"]
    return float(scale**2 * (np.sqrt(1 + squares / scale**2) - 1).sum()) * (1 + 1e-12)


def relative_error(predicted: Array, y: Array, weights: Array | None = None) -> float:
    """Return the root mean square of errors over the targets' standard deviation.

    Both are weighted where there are weights, of which only the ratios matter. Infinite if a
    prediction is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = root_mean_square(predicted - y, weights) / (spread_of(y, weights) or 1.0)
    return error if np.isfinite(error) else np.inf


def uncertainty(fit: Fit, X: Array, y: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Return the fitted constants' standard errors and the size of their effect on the output.

    Errors follow from the Jacobian J at the solution, s^2 (J'J)^-1 with s^2 the residual variance
    (Seber and Wild, Nonlinear Regression, 1989, section 2.1.2). With weights rows of J and
    residuals are multiplied by their roots, and s^2 is the variance of a row of weight 1: a common
    factor of all weights changes nothing. A constant that the data cannot tell from others has an
    infinite one.
    """
    scale = spread_of(y, weights) or 1.0
    free = fit.free
    count = int(free.sum())
    if count == 0:
        return np.zeros(0), np.zeros(0)
    values, jacobian = fit.tape.values_and_jacobian(X, fit.constants)
    jacobian = np.nan_to_num(jacobian[:, free], nan=0.0, posinf=0.0, neginf=0.0)
    jacobian, rest = by_roots(jacobian, weights), by_roots(values - y, weights)
    sizes = np.linalg.norm(jacobian, axis=0)
    safe = np.where(sizes > 0, sizes, 1.0)
    _, singular, directions = np.linalg.svd(jacobian / safe, full_matrices=False)
    seen = singular > _RANK * singular[0] if singular[0] > 0 else np.zeros(len(singular), bool)
    variance = float(np.sum(rest**2)) / max(1, len(y) - count)
    inverse = np.sum((directions[seen] / singular[seen, None]) ** 2, axis=0)
    errors = np.sqrt(variance * inverse) / safe
    unseen = np.sum(directions[~seen] ** 2, axis=0) > 1e-6
    errors[unseen | (sizes == 0)] = np.inf
    return errors, safe / (scale * np.sqrt(Rows(X, y, weights).weight))
