"""What a search may claim: a formula, no formula, or no signal at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .clock import Clock, OutOfTime
from .complexity import NATS
from .problem import Problem
from .refit import EXACT, Fit, relative_error
from .residue import correlation_test, predictable_share, smooth_share
from .surrogate import Surrogate
from .weighted import by_roots, mean_of

__all__ = ["FORMULA", "NO_FORMULA", "NO_SIGNAL", "Verdict", "judge"]

Array = NDArray[np.float64]

FORMULA = "formula"
NO_FORMULA = "no formula found"
NO_SIGNAL = "no signal"

# Each of two tests; together they raise a false alarm in one of a hundred noise-only tables.
_SIGNIFICANT = 0.005
# What the choice among all formulas tried is worth: about a hundred thousand of them, and odds of
# a thousand to one on top.
_SEARCH_NATS = 18.0
# Formulas up to this complexity number about so many, times the square of the inputs.
_PLAIN = 7
_PLAIN_FORMULAS = 100
# A formula of more symbols than this for each input, and so many more, is no law unless exact;
# of fewer, where all networks are so far behind that they cannot tell what is left to explain.
_LONGEST = 10
_LONGEST_UNTOLD = 5
_FAR_BEHIND = 3.0
_AS_GOOD = 1.1
# The share of rows that a formula must not live by alone.
_FURTHEST = 0.01
# A part of what is left this large that a network still predicts speaks against a formula.
_LEFT = 0.05
# The network that is fitted to what is left may take so long.
_SECONDS = 3.0


class Verdict(str):
    """One of three strings, with its reasons.

    Attributes
    ----------
    reasons : tuple of str
    """

    reasons: tuple[str, ...]

    def __new__(cls, text: str, reasons: tuple[str, ...] = ()) -> Verdict:
        """Make the string and attach its reasons."""
        verdict = super().__new__(cls, text)
        verdict.reasons = reasons
        return verdict

    def __reduce__(self) -> tuple[type[Verdict], tuple[str, tuple[str, ...]]]:
        return Verdict, (str(self), self.reasons)


@dataclass(frozen=True)
class Evidence:
    """The formula of choice and its complexity."""

    fit: Fit
    size: int


def judge(
    problem: Problem,
    evidence: Evidence | None,
    network: Surrogate | None,
    seconds: float = _SECONDS,
) -> Verdict:
    """Return the verdict on a search, in not many more seconds than are given.

    "No signal" is said unless predictions on rows that had no part in the fit correlate with
    their targets (one-sided test at 0.005 for the network and for the formula), or a short
    formula does so over all rows after a correction for how many there are, or the formula
    saves more in description length than a search over many formulas would by chance.

    A formula is accepted if it is exact, or if on held-out rows it is as good as the best network
    and what it leaves cannot be predicted.
    """
    if evidence is None and network is None:
        return _verdict(NO_SIGNAL, "no formula and no network could be fitted.")
    X, held, weights = problem.held
    tests: list[float] = []
    network_error = np.inf
    if network is not None:
        predicted = network.predictions(X)
        tests.append(correlation_test(predicted, held, weights))
        network_error = relative_error(predicted, held, weights)
    if evidence is None:
        if min(tests) > _SIGNIFICANT:
            return _verdict(
                NO_SIGNAL, "the best network predicts held-out rows no better than chance."
            )
        return _verdict(NO_FORMULA, "no formula could be fitted.")
    fit, size = evidence.fit, evidence.size
    error = fit.error(*problem.held)
    if fit.is_exact and error < 1e3 * EXACT:
        return _verdict(
            FORMULA,
            f"it reproduces every row to {max(fit.rmse, error):.1g} of the target's spread.",
        )
    tests.append(correlation_test(fit.predict(X), held, weights))
    saved = _saved(problem, fit, size)
    plain = _plain_test(problem, fit, size)
    if min(*tests, plain) > _SIGNIFICANT and saved < _SEARCH_NATS:
        return _verdict(
            NO_SIGNAL,
            "neither network nor formula predicts held-out rows better than chance "
            f"(p = {min(tests):.2g}).",
        )
    errors = (
        f"held-out error {error:.3g} of the target's spread, the best network's "
        f"{network_error:.3g};"
    )
    if saved < _SEARCH_NATS and plain > _SIGNIFICANT:
        return _verdict(NO_FORMULA, errors, "it explains too little to pay for its length.")
    told = network_error <= _FAR_BEHIND * error
    if size > (_LONGEST if told else _LONGEST_UNTOLD) * (1 + len(problem.symbols)):
        return _verdict(NO_FORMULA, errors, f"of {size} symbols it describes, but is no law.")
    if error > _AS_GOOD * network_error + 1e-9:
        return _verdict(NO_FORMULA, errors, "a network predicts held-out rows clearly better.")
    try:
        left = predictable_share(problem, fit.expression, Clock(min(seconds, _SECONDS)))
    except OutOfTime:
        left = smooth_share(problem, fit.expression)
    if left > _LEFT:
        return _verdict(
            NO_FORMULA, errors, f"what it leaves is not noise: {left:.0%} of it can be predicted."
        )
    return _verdict(FORMULA, errors, "what it leaves looks like noise.")


def _verdict(text: str, *reasons: str) -> Verdict:
    return Verdict(text, reasons)


def _saved(problem: Problem, fit: Fit, size: int) -> float:
    """Return how much shorter than by their mean the rows are described by a formula, in nats.

    So it must be without the rows furthest from the mean, too: a spike that hits one outlier is
    worth nothing for all others.
    """
    y, predicted = problem.y, fit.predict(problem.X)
    far = np.abs(by_roots(y - mean_of(y, problem.weights), problem.weights))
    usual = np.argsort(far)[: len(y) - max(1, round(_FURTHEST * len(y)))]
    _, targets, weights = problem.rows.take(usual)
    errors = (fit.rmse, relative_error(predicted[usual], targets, weights))
    counts = (len(y), len(usual))
    return min(
        -count * float(np.log(max(error, 1e-12))) - NATS * size
        for count, error in zip(counts, errors, strict=True)
    )


def _plain_test(problem: Problem, fit: Fit, size: int) -> float:
    """Return the p-value of a short formula over all rows, times how many such there are to try.

    In a small table the few rows held out cannot tell a plain law from chance, all rows can.
    """
    if size > _PLAIN:
        return 1.0
    X, y, weights = problem.rows.followed_by(problem.held)
    p = correlation_test(fit.predict(X), y, weights)
    return min(1.0, _PLAIN_FORMULAS * X.shape[1] ** 2 * p)
