"""Constants replaced by nicer numbers where the data make these likelier than any others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray
from scipy.stats import chi2

from ..symbolic.numbers import nice_numbers
from .refit import EXACT, Fit, refitted, uncertainty
from .weighted import Rows

__all__ = ["round_constants"]

Array = NDArray[np.float64]

# A nicer number must be ten times as likely as any other (a Bayes factor, in nats), and data this
# unlikely beside it refuse it whatever it promises.
_ODDS = 2.3
_REFUSED = 1e-3
# An effect on the output this small cannot be told from rounding.
_EXACT_EFFECT = 5e-8
_MOST = 40


def round_constants(
    fit: Fit,
    X: Array,
    y: Array,
    weights: Array | None = None,
    *,
    integers: bool = False,
    allowed: Callable[[sympy.Expr], bool] | None = None,
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
    fit, X, y, weights
        A fitted formula and its data.
    integers : bool
        Try whole numbers only.
    allowed : callable, optional
        What formulas are admissible: one that is will not be turned into one that is not.
    """
    rows = Rows(X, y, weights)
    reference, accepted = max(fit.rmse, EXACT), 0
    admissible = allowed is None or allowed(fit.expression)
    refused: set[tuple[int, float, float]] = set()
    barred: set[tuple[int, float, float]] = set()
    for _ in range(_MOST):
        for nicer in _candidates(fit, rows, refused | barred, integers):
            trial = refitted(fit.with_exact(nicer.index, nicer.exact), *rows, evaluations=20)
            # What is lost in log likelihood by this number, and by all made exact so far.
            error = max(trial.rmse, EXACT)
            loss = len(y) * np.log(error / max(fit.rmse, EXACT))
            total = len(y) * np.log(error / reference)
            likely = loss <= nicer.evidence and 2 * total <= chi2.isf(_REFUSED, accepted + 1)
            allowable = allowed is None or not admissible or allowed(trial.expression)
            if likely and allowable:
                fit, accepted = trial, accepted + 1
                barred.clear()
                break
            # What the user's rules forbid they may allow once other numbers are exact.
            key = _key(nicer.index, fit.constants[nicer.index], nicer.value)
            (barred if likely else refused).add(key)
        else:
            break
    return fit.rewritten(*rows) if accepted else fit


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


def _key(index: int, old: float, value: float) -> tuple[int, float, float]:
    """Name a refused replacement, so that small changes of the constant do not bring it back."""
    return index, round(float(old), 6), round(value, 9)


def _candidates(
    fit: Fit, rows: Rows, refused: set[tuple[int, float, float]], integers: bool
) -> list[_Nicer]:
    """List the numbers to try in place of constants, the likeliest first."""
    errors, effects = uncertainty(fit, *rows)
    found: list[_Nicer] = []
    for place, index in enumerate(np.flatnonzero(fit.free).tolist()):
        value = float(fit.constants[index])
        if not np.isfinite(errors[place]):
            for exact in (sympy.Integer(0), sympy.Integer(1), sympy.Integer(-1)):
                merit = 1e6 - abs(abs(float(exact)) - 0.5)
                found.append(_Nicer(index, float(exact), exact, 0.5, merit))
            continue
        error = max(errors[place], _EXACT_EFFECT / effects[place])
        # A constant is worth its place if it saves half the logarithm of the number of rows
        # (Schwarz, Estimating the dimension of a model, Annals of Statistics 1978).
        dispensable = 0.5 * np.log(len(rows.y))
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
    fresh = [n for n in found if _key(n.index, fit.constants[n.index], n.value) not in refused]
    return sorted(fresh, key=lambda nicer: (-nicer.merit, nicer.index, nicer.value))
