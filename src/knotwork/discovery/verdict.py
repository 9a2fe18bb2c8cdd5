"""What a search may claim: a formula, no formula, or no signal at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .front import NATS
from .problem import Problem
from .refit import EXACT, Fit, relative_rmse
from .surrogate import Surrogate

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
_AS_GOOD = 1.1
# A part of what is left this large that a network still predicts speaks against a formula.
_LEFT = 0.05


class Verdict(str):
    """One of three strings, with its reasons.

    Attributes
    ----------
    reasons : tuple of str
    """

    reasons: tuple[str, ...]

    def __new__(cls, text: str, reasons: tuple[str, ...] = ()) -> Verdict:
        verdict = super().__new__(cls, text)
        verdict.reasons = reasons
        return verdict

    def __getnewargs__(self) -> tuple[str, tuple[str, ...]]:
        return str(self), self.reasons


@dataclass(frozen=True)
class Evidence:
    """The formula of choice and its complexity."""

    fit: Fit
    size: int


def judge(problem: Problem, evidence: Evidence | None, network: Surrogate | None) -> Verdict:
    """Return the verdict on a search.

    "No signal" is said unless predictions on rows that had no part in the fit correlate with
    their targets (one-sided test at 0.005 for the network and for the formula), or the formula
    saves more in description length than a search over many formulas would by chance.

    A formula is accepted if it is exact, or if on held-out rows it is as good as the best network
    and what it leaves cannot be predicted.
    """
    if evidence is None and network is None:
        return Verdict(NO_SIGNAL, ("no formula and no network could be fitted.",))
    held, X = problem.y_held, problem.X_held
    tests: list[float] = []
    network_error = np.inf
    if network is not None:
        predicted = network.predictions(X)
        tests.append(_correlation_test(predicted, held))
        network_error = _relative(predicted, held)
    if evidence is None:
        if min(tests) > _SIGNIFICANT:
            return Verdict(NO_SIGNAL, ("the best network predicts held-out rows no better than "
                                       "chance.",))
        return Verdict(NO_FORMULA, ("no formula could be fitted.",))
    fit, size = evidence.fit, evidence.size
    error = relative_rmse(fit.expression, fit.variables, X, held)
    if fit.rmse < EXACT and error < 1e3 * EXACT:
        return Verdict(FORMULA, (f"it reproduces every row to {max(fit.rmse, error):.1g} of the "
                                 "target's spread.",))
    tests.append(_correlation_test(fit.predict(X), held))
    saved = -len(problem.y) * float(np.log(max(fit.rmse, 1e-12))) - NATS * size
    if min(tests) > _SIGNIFICANT and saved < _SEARCH_NATS:
        return Verdict(NO_SIGNAL, (
            "neither network nor formula predicts held-out rows better than chance "
            f"(p = {min(tests):.2g}).",))
    reasons = (
        f"held-out error {error:.3g} of the target's spread, the best network's "
        f"{network_error:.3g}.",
    )
    if saved < _SEARCH_NATS:
        return Verdict(NO_FORMULA, (*reasons, "it explains too little to pay for its length."))
    if error > _AS_GOOD * network_error + 1e-9:
        return Verdict(NO_FORMULA, (*reasons, "a network predicts held-out rows clearly better."))
    left = _predictable(problem, fit)
    if left > _LEFT:
        return Verdict(NO_FORMULA, (*reasons, (
            f"what it leaves is not noise: {left:.0%} of it can be predicted.")))
    return Verdict(FORMULA, (*reasons, "what it leaves looks like noise."))


def _relative(predicted: Array, y: Array) -> float:
    error = float(np.sqrt(np.mean((predicted - y) ** 2))) / (float(np.std(y)) or 1.0)
    return error if np.isfinite(error) else np.inf


def _correlation_test(predicted: Array, y: Array) -> float:
    """Return the one-sided p-value of a rank correlation, 1 where it cannot be taken."""
    if len(y) < 4 or not np.isfinite(predicted).all() or np.ptp(predicted) == 0 or np.ptp(y) == 0:
        return 1.0
    return float(stats.spearmanr(predicted, y, alternative="greater").pvalue)


def _predictable(problem: Problem, fit: Fit) -> float:
    """Return the share of the residuals' variance that smooth terms explain on held-out rows."""
    rest = problem.y - fit.predict(problem.X)
    held = problem.y_held - fit.predict(problem.X_held)
    if np.std(held) == 0 or len(held) < 10:
        return 0.0
    train_terms, held_terms = _smooth_terms(problem.X, problem.X, problem.X_held)
    if len(rest) < 3 * train_terms.shape[1]:
        return 0.0
    solution = np.linalg.lstsq(train_terms, rest, rcond=None)[0]
    predicted = held_terms @ solution
    if _correlation_test(predicted, held) > _SIGNIFICANT:
        return 0.0
    correlation = float(np.corrcoef(predicted, held)[0, 1])
    return max(0.0, correlation) ** 2


def _smooth_terms(X: Array, *tables: Array) -> list[Array]:
    """Return cubic terms of every column and products of pairs, in columns scaled by those of X."""
    low, high = X.min(0), X.max(0)
    reach = np.where(high > low, high - low, 1.0)
    found: list[Array] = []
    for table in tables:
        z = np.clip(2 * (table - low) / reach - 1, -1.5, 1.5)
        columns = [np.ones(len(z))]
        columns += [z[:, k] ** p for k in range(z.shape[1]) for p in (1, 2, 3)]
        columns += [z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i)]
        found.append(np.column_stack(columns))
    return found
