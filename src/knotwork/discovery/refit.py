"""Fit the constants of a formula to data, and say how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import chi2

from ..symbolic.numbers import nice_numbers
from .tape import Tape, with_constants

__all__ = ["Fit", "fit_constants", "round_constants"]

Array = NDArray[np.float64]

# A root mean square this small beside the target's spread is rounding error.
EXACT = 1e-10
_EVALUATIONS = 100
# A nicer number must be ten times as likely as any other (a Bayes factor, in nats), and data this
# unlikely beside it refuse it whatever it promises.
_ODDS = 2.3
_REFUSED = 1e-3
# An effect on the output this small cannot be told from rounding.
_EXACT_EFFECT = 5e-8
# Singular values below this share of the largest belong to directions the data cannot see.
_RANK = 1e-9


@dataclass(frozen=True)
class Fit:
    """A formula with its constants fitted.

    Attributes
    ----------
    expression : sympy.Expr
    variables : tuple of sympy.Symbol
    rmse : float
        Root of the mean squared error over the rows it was fitted to, relative to the
        target's standard deviation there; infinite if the formula is not defined on some row.
    """

    expression: sympy.Expr
    variables: tuple[sympy.Symbol, ...]
    rmse: float

    def predict(self, X: Array) -> Array:
        """Return the formula's values, shape (rows,)."""
        return Tape(self.expression, self.variables).values(X)


def _residuals(tape: Tape, X: Array, y: Array, scale: float, constants: Array) -> Array:
    residuals = (tape.values(X, constants) - y) / scale
    return np.where(np.isfinite(residuals), np.clip(residuals, -1e9, 1e9), 1e9)


def fit_constants(
    expression: sympy.Expr,
    variables: tuple[sympy.Symbol, ...],
    X: Array,
    y: Array,
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
    robust : bool
        Weigh large errors linearly (soft L1 at the scale of the median error), against outliers.
    """
    tape = Tape(expression, variables)
    scale = float(np.std(y)) or 1.0
    start = tape.constants
    if not np.isfinite(tape.values(X, start)).all():
        return Fit(expression, variables, np.inf)
    if len(start) and len(start) < len(y):

        def jacobian(constants: Array) -> Array:
            _, slopes = tape.values_and_jacobian(X, constants)
            return np.nan_to_num(slopes / scale, nan=0.0, posinf=1e9, neginf=-1e9)

        def residuals(constants: Array) -> Array:
            return _residuals(tape, X, y, scale, constants)

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
            start = solution.x
    fitted = with_constants(expression, start.tolist())
    return Fit(fitted, variables, relative_rmse(fitted, variables, X, y))


def _cost(residuals: Array, options: dict[str, Any]) -> float:
    squares = residuals**2
    if options["method"] == "lm":
        return 0.5 * float(squares.sum()) * (1 + 1e-12)
    scale = options["f_scale"]
    return float(scale**2 * (np.sqrt(1 + squares / scale**2) - 1).sum()) * (1 + 1e-12)


def relative_rmse(
    expression: sympy.Expr, variables: tuple[sympy.Symbol, ...], X: Array, y: Array
) -> float:
    """Return the root mean square of the errors over the targets' standard deviation."""
    return relative_error(Tape(expression, variables).values(X), y)


def relative_error(predicted: Array, y: Array) -> float:
    """Return the same of predictions; infinite if one of them is not finite."""
    error = float(np.sqrt(np.mean((predicted - y) ** 2))) / (float(np.std(y)) or 1.0)
    return error if np.isfinite(error) else np.inf


def uncertainty(fit: Fit, X: Array, y: Array) -> tuple[Array, Array]:
    """Return the constants' standard errors and the size of their effect on the output.

    Errors follow from the Jacobian J at the solution, s^2 (J'J)^-1 with s^2 the residual variance
    (Seber and Wild, Nonlinear Regression, 1989, section 2.1.2). A constant that the data cannot
    tell from others has an infinite one.
    """
    tape = Tape(fit.expression, fit.variables)
    scale = float(np.std(y)) or 1.0
    values, jacobian = tape.values_and_jacobian(X, tape.constants)
    count = len(tape.constants)
    if count == 0:
        return np.zeros(0), np.zeros(0)
    jacobian = np.nan_to_num(jacobian, nan=0.0, posinf=0.0, neginf=0.0)
    sizes = np.linalg.norm(jacobian, axis=0)
    safe = np.where(sizes > 0, sizes, 1.0)
    _, singular, directions = np.linalg.svd(jacobian / safe, full_matrices=False)
    seen = singular > _RANK * singular[0] if singular[0] > 0 else np.zeros(len(singular), bool)
    variance = float(np.sum((values - y) ** 2)) / max(1, len(y) - count)
    inverse = np.sum((directions[seen] / singular[seen, None]) ** 2, axis=0)
    errors = np.sqrt(variance * inverse) / safe
    unseen = np.sum(directions[~seen] ** 2, axis=0) > 1e-6
    errors[unseen | (sizes == 0)] = np.inf
    return errors, safe / (scale * np.sqrt(len(y)))


def round_constants(
    fit: Fit,
    X: Array,
    y: Array,
    *,
    integers: bool = False,
    allowed: Callable[[sympy.Expr], bool] = lambda expression: True,
) -> Fit:
    """Replace constants by nicer numbers wherever the data make them likelier than others.

    A constant becomes 0, an integer, a small fraction, or a multiple of pi or a square root. Nice
    numbers of one kind lie a certain spacing apart: that the constant falls so close to one of
    them by chance has the odds ``spacing / (standard error * sqrt(2 pi))`` against it, and what
    the fit loses, all others fitted again, is counted against the nicer number (a Bayes factor:
    Jeffreys, Theory of Probability, 1961, chapter 5). A likelihood-ratio test with as many degrees
    of freedom as numbers made exact must not object. Constants that the data cannot tell from
    others become the plainest number that changes nothing.

    Parameters
    ----------
    fit, X, y
        A fitted formula and its data.
    integers : bool
        Try whole numbers only.
    allowed : callable
        What formulas are admissible: one that is will not be turned into one that is not.
    """
    reference, accepted = max(fit.rmse, EXACT), 0
    refused: set[float] = set()
    for _ in range(40):
        for nicer in _candidates(fit, X, y, refused, integers):
            constants: list[Any] = Tape(fit.expression, fit.variables).constants.tolist()
            old, constants[nicer.index] = constants[nicer.index], nicer.exact
            try:
                trial = fit_constants(
                    with_constants(fit.expression, constants), fit.variables, X, y, evaluations=20
                )
            except ValueError:  # the nicer number makes the formula undefined, as in sqrt(-1)
                refused.add(_key(old, nicer.value))
                continue
            # What is lost in log likelihood by this number, and by all made exact so far.
            error = max(trial.rmse, EXACT)
            loss = len(y) * np.log(error / max(fit.rmse, EXACT))
            total = len(y) * np.log(error / reference)
            likely = loss <= nicer.evidence and 2 * total <= chi2.isf(_REFUSED, accepted + 1)
            if likely and (allowed(trial.expression) or not allowed(fit.expression)):
                fit, accepted = trial, accepted + 1
                break
            refused.add(_key(old, nicer.value))
        else:
            return fit
    return fit


@dataclass(frozen=True)
class _Nicer:
    """A number to try in place of a constant.

    Attributes
    ----------
    index : int
        Which constant.
    value, exact
        The number.
    evidence : float
        What the fit may lose by it, in nats.
    merit : float
        What comes first.
    """

    index: int
    value: float
    exact: sympy.Expr
    evidence: float
    merit: float


def _key(old: float, value: float) -> float:
    """Name a refused replacement, so that small changes of the constant do not bring it back."""
    return round(old, 6) + 1e3 * round(value, 9)


def _candidates(fit: Fit, X: Array, y: Array, refused: set[float], integers: bool) -> list[_Nicer]:
    """List the numbers to try in place of constants, the likeliest first."""
    values = Tape(fit.expression, fit.variables).constants
    errors, effects = uncertainty(fit, X, y)
    found: list[_Nicer] = []
    for index, value in enumerate(values.tolist()):
        if not np.isfinite(errors[index]):
            for exact in (sympy.Integer(0), sympy.Integer(1), sympy.Integer(-1)):
                merit = 1e6 - abs(abs(float(exact)) - 0.5)
                found.append(_Nicer(index, float(exact), exact, 0.5, merit))
            continue
        error = max(errors[index], _EXACT_EFFECT / effects[index])
        # A constant is worth its place if it saves half the logarithm of the number of rows
        # (Schwarz, Estimating the dimension of a model, Annals of Statistics 1978).
        dispensable = 0.5 * np.log(len(y))
        if 0.5 * (value / error) ** 2 <= dispensable:
            found.append(_Nicer(index, 0.0, sympy.Integer(0), dispensable, 1e3))
        room = float(np.log(1 / (error * np.sqrt(2 * np.pi)))) - _ODDS
        if room < 0:
            continue
        for nice in nice_numbers(value, error * np.sqrt(2 * room)):
            if nice.value == 0 or (integers and not nice.exact.is_Integer):
                continue
            evidence = float(np.log(nice.spacing / (error * np.sqrt(2 * np.pi)))) - _ODDS
            merit = evidence - 0.5 * ((nice.value - value) / error) ** 2
            if merit >= 0:
                found.append(_Nicer(index, nice.value, nice.exact, evidence, merit))
    fresh = [n for n in found if _key(values[n.index], n.value) not in refused]
    return sorted(fresh, key=lambda nicer: (-nicer.merit, nicer.index, nicer.value))


def replaced(fit: Fit, expression: sympy.Expr, X: Array, y: Array) -> Fit:
    """Return the fit with another way of writing it."""
    return replace(fit, expression=expression, rmse=relative_rmse(expression, fit.variables, X, y))
