"""From a pool of candidates to a short front: merged, rounded and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from .clock import Clock
from .complexity import complexity
from .problem import Candidate, Problem
from .refit import Fit, refitted
from .weighted import spread_of

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
    for candidate in sorted(candidates, key=lambda c: (c.complexity, c.error)):
        error = max(candidate.error, _ROUNDING_ERROR)
        if error < best * 0.999:
            found.append(candidate)
            best = error
    return found


def finished(problem: Problem, clock: Clock, *, most: int = _KEPT) -> list[Fit]:
    """Polish, round and tidy the best of a problem's candidates, simplest first.

    Formulas that give the same values everywhere are merged, the simpler one stays. The most
    accurate one is always among them. When the clock has run out only the best is polished; the
    others stay as the search left them.
    """
    front = pareto(problem.pool)
    if len(front) > most:
        worth = [problem.length(candidate) for candidate in front[:-1]]
        kept = sorted(np.argsort(worth, kind="stable")[: most - 1].tolist())
        front = [*(front[k] for k in kept), front[-1]]
    longest, fits = 0.0, list[Fit]()
    for candidate in sorted(front, key=lambda c: problem.worth(c.fit)):
        start = clock.elapsed
        # What may take longer than there is time stays as it is, the best excepted.
        wanted = not fits or clock.left > longest
        fits.append(_polished(candidate, problem) if wanted else candidate.fit)
        longest = max(longest, clock.elapsed - start)
    return _merged(fits, problem)


def rivals_of(best: Fit, problem: Problem, clock: Clock) -> list[Fit]:
    """Return formulas of another form that describe the rows about as well as the best, if any."""
    if clock.left == 0:
        return []
    limit, form = problem.worth(best), _form(best.expression)
    near = sorted(
        (worth, candidate.complexity, place, candidate)
        for place, candidate in enumerate(problem.pool)
        if (worth := problem.worth(candidate.fit)) < limit + _NEAR
    )
    kept, values, forms = [best], [best.predict(problem.X)], {form}
    spread = spread_of(problem.y, problem.weights) or 1.0
    longest = 0.0
    for *_, candidate in near[:_POLISHED]:
        start = clock.elapsed
        if clock.left <= longest:
            break
        fit = _polished(candidate, problem)
        longest = max(longest, clock.elapsed - start)
        predicted, form = fit.predict(problem.X), _form(fit.expression)
        alike = any(np.allclose(predicted, v, rtol=0, atol=_SAME * spread) for v in values)
        if alike or form in forms or problem.worth(fit) > limit + _UNDECIDED:
            continue
        kept.append(fit)
        values.append(predicted)
        forms.add(form)
    return kept[1 : 1 + _RIVALS]


def _form(expression: Any) -> Any:
    """Return the form of an expression: what is left without the numbers it multiplies and adds.

    Whole exponents belong to the form, all others count as one and the same.
    """
    if expression.is_number:
        return sympy.Integer(1)
    if not expression.args:
        return expression
    if isinstance(expression, sympy.Pow) and expression.args[1].is_number:
        base, exponent = expression.args
        whole = exponent if exponent.is_Integer else sympy.Symbol("exponent")
        return sympy.Pow(_form(base), whole, evaluate=False)
    parts = expression.args
    if isinstance(expression, sympy.Add | sympy.Mul):
        parts = [part for part in parts if not part.is_number]
    return expression.func(*[_form(part) for part in parts])


def _polished(candidate: Candidate, problem: Problem) -> Fit:
    """Return a candidate with its constants fitted to all rows and rounded, tidied."""
    done = problem.polished.get(candidate)
    if done is None:
        done = candidate.fit
        if candidate.rmse > 1e-9:
            polished = refitted(candidate.fit, *problem.rows)
            polished = problem.rounded(polished, problem.rows)
            done = polished if problem.allows(polished) else done
        done = problem.polished[candidate] = _tidy(done, problem)
    return done


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
        if complexity(form) >= best.complexity:
            continue
        other, old = Fit.of(form, fit.variables, fit.rmse), fit.predict(problem.X)
        atol = 1e-9 * (spread_of(problem.y, problem.weights) or 1.0)
        same = np.allclose(other.predict(problem.X), old, rtol=1e-9, atol=atol)
        if same and problem.allows(other):
            best = other
    return best


def _merged(fits: Sequence[Fit], problem: Problem) -> list[Fit]:
    kept: list[tuple[Fit, Array]] = []
    spread = spread_of(problem.y, problem.weights) or 1.0
    for fit in sorted(fits, key=lambda fit: (fit.complexity, fit.rmse)):
        values = fit.predict(problem.X)
        alike = any(np.allclose(values, other, rtol=0, atol=_SAME * spread) for _, other in kept)
        better = all(fit.rmse < other.rmse * 0.999 for other, _ in kept)
        if not alike and better and np.isfinite(values).all():
            kept.append((fit, values))
    return [fit for fit, _ in kept]
