"""From a pool of candidates to a short front: merged, rounded and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from .complexity import complexity, description_length
from .problem import Candidate, Problem
from .refit import Fit, fit_constants
from .tape import Tape

__all__ = ["finished", "pareto"]

Array = NDArray[np.float64]

# Errors below this share of the spread differ by rounding only.
_ROUNDING_ERROR = 1e-9
_KEPT = 10
# Predictions closer than this share of the spread are of the same formula.
_SAME = 1e-7


def pareto(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that no simpler one matches in error, simplest first."""
    best, found = np.inf, []
    for candidate in sorted(candidates, key=lambda c: (c.complexity, _error(c), str(c.expression))):
        error = max(_error(candidate), _ROUNDING_ERROR)
        if error < best * 0.999:
            found.append(candidate)
            best = error
    return found


def _error(candidate: Candidate) -> float:
    return max(candidate.rmse, candidate.held_out)


def finished(problem: Problem, *, most: int = _KEPT) -> list[Fit]:
    """Polish, round and tidy the best of a problem's candidates, simplest first.

    Formulas that give the same values everywhere are merged, the simpler one stays.
    """
    front = pareto(problem.pool)
    rows = len(problem.y)
    if len(front) > most:
        worth = [description_length(_error(c), c.complexity, rows) for c in front]
        kept = sorted(np.argsort(worth, kind="stable")[:most].tolist())
        front = [front[k] for k in kept]
    fits: list[Fit] = []
    for candidate in front:
        fit = Fit(candidate.expression, problem.symbols, candidate.rmse)
        if candidate.rmse > 1e-9:
            polished = fit_constants(fit.expression, problem.symbols, problem.X, problem.y)
            polished = problem.rounded(polished, problem.X, problem.y)
            fit = polished if problem.admissible(polished.expression) else fit
        fits.append(_tidy(fit, problem))
    return _merged(fits, problem)


def _tidy(fit: Fit, problem: Problem) -> Fit:
    """Return the simplest of a few equal ways to write a formula."""
    forms: list[Any] = [fit.expression]
    for rewrite in (sympy.together, sympy.factor_terms, sympy.expand, sympy.powdenest):
        try:
            forms.append(rewrite(fit.expression))
        except (ValueError, TypeError, NotImplementedError, RecursionError):
            continue
    together: Any = sympy.together(fit.expression)
    if complexity(together) < 60:
        forms += [sympy.cancel(together), sympy.factor(together)]
    best = fit
    for form in forms:
        if complexity(form) >= complexity(best.expression):
            continue
        values = Tape(form, problem.symbols).values(problem.X)
        old = Tape(fit.expression, problem.symbols).values(problem.X)
        same = np.allclose(values, old, rtol=1e-9, atol=1e-9 * (float(np.std(problem.y)) or 1.0))
        if same and problem.admissible(form):
            best = Fit(form, fit.variables, fit.rmse)
    return best


def _merged(fits: Sequence[Fit], problem: Problem) -> list[Fit]:
    kept: list[tuple[Fit, Array]] = []
    spread = float(np.std(problem.y)) or 1.0
    for fit in sorted(fits, key=lambda fit: (complexity(fit.expression), fit.rmse)):
        values = fit.predict(problem.X)
        alike = any(np.allclose(values, other, rtol=0, atol=_SAME * spread) for _, other in kept)
        better = all(fit.rmse < other.rmse * 0.999 for other, _ in kept)
        if not alike and better and np.isfinite(values).all():
            kept.append((fit, values))
    return [fit for fit, _ in kept]
