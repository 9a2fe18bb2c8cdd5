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
from .tape import Tape, with_constants

__all__ = ["finished", "pareto", "rivals_of"]

Array = NDArray[np.float64]

# Errors below this share of the spread differ by rounding only.
_ROUNDING_ERROR = 1e-9
_KEPT = 10
# Predictions closer than this share of the spread are of the same formula.
_SAME = 1e-7
# Odds of twenty to one, in nats, decide between two formulas; so many of those that they do not
# rule out are named, of so many that come near before their constants are fitted once more.
_UNDECIDED = float(np.log(20))
_NEAR = 3 * _UNDECIDED
_RIVALS = 3
_POLISHED = 5
# Larger fractions are left as they are written.
_REWRITTEN = 40


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
    return _merged([_polished(candidate, problem) for candidate in front], problem)


def rivals_of(best: Fit, problem: Problem) -> list[Fit]:
    """Return formulas of another form that describe the rows about as well as the best, if any."""
    limit, form = problem.worth(best), _form(best)
    near = sorted(
        (worth, candidate.complexity, str(candidate.expression), candidate)
        for candidate in problem.pool
        if (worth := problem.worth(candidate)) < limit + _NEAR
    )
    kept, values, forms = [best], [best.predict(problem.X)], {form}
    spread = float(np.std(problem.y)) or 1.0
    for *_, candidate in near[:_POLISHED]:
        fit = _polished(candidate, problem)
        predicted, form = fit.predict(problem.X), _form(fit)
        alike = any(np.allclose(predicted, v, rtol=0, atol=_SAME * spread) for v in values)
        if alike or form in forms or problem.worth(fit) > limit + _UNDECIDED:
            continue
        kept.append(fit)
        values.append(predicted)
        forms.add(form)
    return kept[1 : 1 + _RIVALS]


def _form(fit: Fit) -> sympy.Expr:
    """Return the expression with a sign in place of every fitted number."""
    count = len(Tape(fit.expression, fit.variables).constants)
    return with_constants(fit.expression, [sympy.Symbol("constant")] * count)


def _polished(candidate: Candidate, problem: Problem) -> Fit:
    """Return a candidate with its constants fitted to all rows and rounded, tidied."""
    fit = Fit(candidate.expression, problem.symbols, candidate.rmse)
    if candidate.rmse > 1e-9:
        polished = fit_constants(fit.expression, problem.symbols, problem.X, problem.y)
        polished = problem.rounded(polished, problem.X, problem.y)
        fit = polished if problem.admissible(polished.expression) else fit
    return _tidy(fit, problem)


def _tidy(fit: Fit, problem: Problem) -> Fit:
    """Return the simplest of a few equal ways to write a formula."""
    # Of fitted numbers SymPy makes fractions of forty digits, whose factors it then looks for;
    # with a symbol in place of each, rewriting takes no time.
    fitted = sorted(fit.expression.atoms(sympy.Float), key=float)
    stand_ins = {number: sympy.Dummy(f"c{k}", real=True) for k, number in enumerate(fitted)}
    plain: Any = fit.expression.xreplace(stand_ins)
    forms: list[Any] = [plain]
    for rewrite in (sympy.together, sympy.factor_terms, sympy.expand, sympy.powdenest):
        try:
            forms.append(rewrite(plain))
        except (ValueError, TypeError, NotImplementedError, RecursionError):
            continue
    together: Any = sympy.together(plain)
    if complexity(together) < _REWRITTEN:
        forms += [sympy.cancel(together), sympy.factor(together)]
    back = {symbol: number for number, symbol in stand_ins.items()}
    forms = [form.xreplace(back) for form in forms]
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
