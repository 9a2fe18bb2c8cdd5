"""The search: smaller problems from larger ones, until one can be read off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import sympy
from numpy.typing import NDArray

from ..symbolic.numbers import nice_numbers
from .additive import additive_candidates
from .problem import Found, Problem
from .residue import predictable_share
from .sampling import evenly
from .splits import Split, part_values, splits
from .sums import exact_sums, near_sums, rich_sums
from .surrogate import Surrogate, fit_surrogate
from .symmetry import Reduction, pair_sums, scalings, translations, without_idle
from .tape import Tape, with_constants
from .task import Settings, Task
from .univariate import univariate_candidates
from .varying import varying_candidates
from .weighted import Rows, median_of, spread_of

__all__ = ["solve"]

Array = NDArray[np.float64]

_DEEPEST = 6
# Of so many formulas the rest is looked at, if it is at most this share of the target.
_RESTS = 3
_SMALL_REST = 0.1
# In fewer rows any rest has a formula: two terms with their constants are half as many numbers.
_FEWEST_WITH_REST = 12
_PLAIN_SPACING = 0.1
# A formula with this error beside the networks', of so many parts an input and so many more at the
# most, of whose residuals no more than this share can be predicted, is as good as the data allow.
# While there are symmetries to try it must be shorter. Rounding may make it several times so.
_AS_GOOD = 1.05
_SHORT = 4.5
_BARE = 4
_UNROUNDED = 4
_SIMPLE = 10
_NOISE = 0.02
# An additive model that misses more of the target than this is no sign of an additive law, unless
# a network misses about as much; and never if it misses nearly all.
_PLAINLY = 0.1
_BEHIND = 3.0
_HOPELESS = 0.6
# A network of the logarithm this good shows the logarithm's own laws.
_CLEAR = 5e-3
# With so many inputs one can be the argument of coefficients.
_MOST_VARYING = 4
# Of the ways in which a task comes apart so many are tried.
_MOST_SPLITS = 3
# With networks this far off, laws of scaling are blurred: short sums are looked at before them.
_NOISY = 0.05
# An input that does so little beside others is left out at first.
_IDLE = 0.1


def solve(problem: Problem, settings: Settings, earlier: Sequence[sympy.Expr] = ()) -> bool:
    """Search until a formula is found or ideas run out; return whether one was found.

    Parameters
    ----------
    problem : Problem
    settings : Settings
    earlier : sequence of sympy.Expr
        Formulas to begin with.
    """
    try:
        for expression in earlier:
            problem.offer(expression)
        # First what takes variables away, then what a good short formula leaves, then sums.
        _solve(Task.whole(problem), problem, replace(settings, splits=False))
        if settings.thorough:
            _explain_rest(problem, replace(settings, splits=False))
        if settings.splits:
            _solve(Task.whole(problem), problem, settings)
    except Found:
        return True
    return False


def _explain_rest(problem: Problem, settings: Settings) -> None:
    """Search for what the best short formula leaves: small terms hide behind large ones."""
    if len(problem.y) < _FEWEST_WITH_REST:
        return
    for candidate in problem.ranked()[:_RESTS]:
        if candidate.rmse > _SMALL_REST or candidate.rmse < 3 * problem.floor:
            continue
        for formula in (_plain(candidate.expression, problem.symbols), candidate.expression):
            key = f"rest of {formula}"
            if key in problem.visited:
                continue
            whole = Task.whole(problem)
            task = replace(
                whole,
                y=whole.y - whole.values(formula),
                lift=lambda expression, formula=formula: formula + expression,
                depth=_DEEPEST - 3,
            )
            _solve(task, problem, settings)
            problem.visited.add(key)


def _plain(expression: sympy.Expr, symbols: tuple[sympy.Symbol, ...]) -> sympy.Expr:
    """Return a formula with every constant at the nearest plain number, if one is within 5 %.

    Constants fitted beside a term that is missing are off by a part of it.
    """
    plain: list[sympy.Expr | float] = []
    for value in Tape(expression, symbols).constants.tolist():
        near = [nice.exact for nice in nice_numbers(value) if nice.spacing >= _PLAIN_SPACING]
        close = [n for n in near if n != 0 and abs(float(n) - value) <= 0.05 * abs(value)]
        plain.append(close[0] if close else value)
    return with_constants(expression, plain)


def _solve(task: Task, problem: Problem, settings: Settings) -> None:
    problem.clock.check()
    if task.depth > _DEEPEST:
        return
    count = len(task.symbols)
    if count == 0:
        problem.offer(task.lift(sympy.Float(median_of(task.y, task.weights), 17)))
        return
    if count == 1:
        _one_variable(task, problem, settings)
        return
    _additive(task, problem, settings, _PLAINLY)
    exact_sums(task, problem, settings)
    if problem.satisfied:
        raise Found
    _stop_at_noise(problem, _SHORT)
    limit = 3 * task.error + 1e-3
    surrogates = _surrogates(task, problem, settings, 5 * limit)
    if surrogates[0].error > limit:
        return
    if task.depth == 0:
        problem.networks = surrogates
    task = replace(task, error=surrogates[0].error, rmse=min(s.rmse for s in surrogates))
    _stop_at_noise(problem, _SHORT)
    if task.depth == 0 and task.rmse > _NOISY:
        near_sums(task, problem, settings)
        _stop_at_noise(problem, _SHORT)
    tried: list[Reduction] = []
    for reduction in problem.proposals if task.depth == 0 else ():
        smaller = _reduced(task, reduction)
        tried.append(reduction)
        if smaller is not None:
            _solve(smaller, problem, settings)
            _stop_at_noise(problem, _SHORT)
    for surrogate in surrogates:
        if surrogate.error > 5 * task.error + 1e-3:
            continue
        for reduction in _reductions(task, surrogate):
            smaller = None if reduction in tried else _reduced(task, reduction)
            tried.append(reduction)
            if smaller is not None:
                _solve(smaller, problem, settings)
                _stop_at_noise(problem, _SHORT)
    # What is not exact may be all that noise leaves to see.
    if (hopeless := min(_BEHIND * task.rmse, _HOPELESS)) > _PLAINLY:
        _additive(task, problem, settings, hopeless)
    near_sums(task, problem, settings)
    _varying(task, problem, settings)
    _stop_at_noise(problem, _SHORT if task.depth else _SIMPLE)
    if settings.thorough and not task.logarithm:
        _solve_logarithm(task, surrogates, problem, settings)
    # Before the long sums, which take far longer than what a good formula leaves.
    if task.depth == 0 and settings.thorough:
        _explain_rest(problem, replace(settings, splits=False))
    if settings.thorough and (count <= 3 or settings.splits):
        rich_sums(task, problem, settings)
    if not settings.splits:
        return
    for surrogate in surrogates:
        if surrogate.error <= 5 * task.error + 1e-3:
            _divide(task, surrogate, problem, settings)


def _solve_logarithm(
    task: Task, surrogates: list[Surrogate], problem: Problem, settings: Settings
) -> None:
    """Solve for log|y|, which may obey laws that y does not: powers with unknown exponents."""
    found = [s for s in surrogates if s.kind == "logarithm" and s.error <= _CLEAR]
    if not found:
        return
    (surrogate,) = found

    def lift(expression: sympy.Expr) -> sympy.Expr:
        return task.lift(surrogate.sign * sympy.exp(expression))

    logarithms, depth = np.log(np.abs(task.y)), task.depth + 1
    inner = replace(task, y=logarithms, lift=lift, rmse=1.0, depth=depth, logarithm=True)
    problem.surrogates[inner.name] = [surrogate.of_logarithm()]
    _solve(inner, problem, settings)


def _stop_at_noise(problem: Problem, parts: float) -> None:
    """End the search with a short formula as good as any network that leaves only noise."""
    if not problem.pool or not problem.networks or problem.floor > 0:
        return
    reached, inputs = problem.reached, len(problem.symbols)
    best = min(problem.pool, key=problem.length)
    if best.held_out > _AS_GOOD * reached or best.complexity > _UNROUNDED * parts * inputs:
        return
    # Another fit of the same formula leaves the same.
    form = f"{parts} {best.fit.tape.form(np.zeros(len(best.fit.constants)))}"
    if form in problem.doubted:
        return
    problem.doubted.add(form)
    fit = problem.rounded(best.fit, problem.rows)
    if fit.complexity > parts * inputs + _BARE:
        return
    if predictable_share(problem, fit.expression, problem.clock) < _NOISE:
        problem.keep(fit)
        raise Found


def _surrogates(
    task: Task, problem: Problem, settings: Settings, hopeless: float
) -> list[Surrogate]:
    """Fit surrogates to a task, or take those of an earlier visit."""
    key = task.name
    if key not in problem.surrogates:
        problem.surrogates[key] = fit_surrogate(
            task.X,
            task.y,
            task.weights,
            starts=settings.starts,
            seed=settings.seed,
            clock=problem.clock,
            hopeless=hopeless,
            hidden=settings.hidden,
            n_jobs=settings.n_jobs,
        )
    return problem.surrogates[key]


def _additive(task: Task, problem: Problem, settings: Settings, hopeless: float) -> None:
    key = f"additive to {hopeless:.3g} {task.name}"
    if key in problem.visited:
        return
    for expression in additive_candidates(
        task.symbols, Rows(task.X, task.y, task.weights), settings.functions, hopeless
    ):
        problem.offer(task.lift(expression))
    problem.visited.add(key)


def _varying(task: Task, problem: Problem, settings: Settings) -> None:
    key = f"varying {task.name}"
    if key in problem.visited or len(task.symbols) > _MOST_VARYING:
        return
    worthwhile = max(_BEHIND * task.rmse, 1e-3)
    for expression in varying_candidates(
        task.symbols,
        Rows(task.X, task.y, task.weights),
        settings.functions,
        worthwhile,
        problem.clock,
    ):
        problem.offer(task.lift(expression))
    problem.visited.add(key)


def _one_variable(task: Task, problem: Problem, settings: Settings) -> None:
    x, y, weights = task.X[:, 0], task.y, task.weights
    key = f"{settings.thorough} {task.name}"
    if key in problem.visited:
        return
    if _roughness(x, y, weights) > 4 * task.error + 1e-3:
        return
    symbol = task.symbols[0]
    arguments: list[tuple[sympy.Expr, Array]] = [(symbol, x)]
    if (x > 0).all() or (x < 0).all():
        arguments.append((1 / symbol, 1 / x))
    exact_sums(task, problem, settings)
    for powers in (False, True) if settings.thorough else (False,):
        for argument, values in arguments:
            found = univariate_candidates(
                argument, values, y, settings.functions, powers=powers, weights=weights
            )
            for _, expression in found:
                problem.offer(task.lift(expression))
            if problem.satisfied:
                raise Found
        if problem.satisfied:
            raise Found
    near_sums(task, problem, settings)
    rich_sums(task, problem, settings)
    problem.visited.add(key)


def _roughness(x: Array, y: Array, weights: Array | None) -> float:
    """Return how far y is from a smooth function of x, by its second differences."""
    order = np.argsort(x, kind="stable")
    order = order[np.concatenate([[True], np.diff(x[order]) > 0])]
    x, y = x[order], y[order]
    if len(x) < 10:
        return 0.0
    share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    defect = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
    lightest = None
    if weights is not None:
        weights = weights[order]
        # Of three rows the least sure one decides.
        lightest = np.minimum(weights[1:-1], np.minimum(weights[2:], weights[:-2]))
    return median_of(np.abs(defect), lightest) / (spread_of(y, weights) or 1.0)


def _reductions(task: Task, surrogate: Surrogate) -> list[Reduction]:
    """List proposals to reduce the number of variables, the surest first."""
    rows = evenly(len(task.y), 1000)
    X = task.X[rows]
    tight = float(np.clip(40 * surrogate.error, 0.02, 0.2))
    found: list[Reduction] = []
    for tolerance in (tight, tight / 5, min(3 * tight, 0.3)):
        for search in (scalings, translations, pair_sums):
            reduction = search(task.symbols, surrogate, X, tolerance)
            if reduction is not None and reduction not in found:
                found.append(reduction)
        if tolerance == tight:
            idle = without_idle(task.symbols, surrogate, X, _IDLE)
            found += [idle] if idle is not None else []
    return found


def _symbols_for(columns: Array, depth: int) -> tuple[sympy.Symbol, ...]:
    return tuple(
        sympy.Symbol(f"t{depth}_{k}", positive=True)
        if (columns[:, k] > 0).all()
        else sympy.Symbol(f"t{depth}_{k}", real=True)
        for k in range(columns.shape[1])
    )


def _reduced(task: Task, reduction: Reduction) -> Task | None:
    """Return the task in the features of a reduction, None where it cannot be evaluated."""
    columns = (
        np.column_stack([task.values(feature) for feature in reduction.features])
        if reduction.features
        else np.zeros((len(task.y), 0))
    )
    prefactor = task.values(reduction.prefactor)
    with np.errstate(all="ignore"):
        y = (task.y - task.values(reduction.shift)) / prefactor
    usable = np.isfinite(y) & np.isfinite(columns).all(1) & (np.abs(prefactor) > 1e-12)
    if usable.sum() < 0.9 * len(y):
        return None
    columns, y = columns[usable], y[usable]
    symbols = _symbols_for(columns, task.depth + 1)
    back = dict(zip(symbols, reduction.features, strict=True))

    def lift(expression: sympy.Expr) -> sympy.Expr:
        inner = expression.xreplace(back)
        return task.lift(reduction.prefactor * inner + reduction.shift)

    weights = None if task.weights is None else task.weights[usable]
    depth = task.depth + 1
    return Task(symbols, columns, y, lift, task.error, task.rmse, depth, weights=weights)


def _divide(task: Task, surrogate: Surrogate, problem: Problem, settings: Settings) -> None:
    """Solve a part of the task first, where it is a sum or product of two, then what is left."""
    rng = np.random.default_rng([settings.seed, task.depth])
    tolerance = float(np.clip(20 * surrogate.error, 5e-3, 0.1))
    for split in splits(surrogate, task.X, rng, tolerance)[:_MOST_SPLITS]:
        _solve_parts(task, surrogate, split, problem, settings)
        _stop_at_noise(problem, _SIMPLE)


def _solve_parts(
    task: Task, surrogate: Surrogate, split: Split, problem: Problem, settings: Settings
) -> None:
    inputs, target = part_values(surrogate, task.X, split)
    held = np.arange(len(target)) % 5 == 4
    inner = Problem(
        inputs[~held],
        target[~held],
        inputs[held],
        target[held],
        tuple(task.symbols[k] for k in split.part),
        problem.clock,
        floor=max(3 * surrogate.error, 1e-6),
        vocabulary=problem.vocabulary,
    )
    solve(inner, replace(settings, thorough=False))
    rest = tuple(symbol for k, symbol in enumerate(task.symbols) if k not in split.part)
    for candidate in inner.ranked()[:2]:
        if candidate.rmse > 0.1:
            continue
        if split.product:
            reduction = Reduction(rest, prefactor=candidate.expression)
        else:
            reduction = Reduction(rest, shift=candidate.expression)
        smaller = _reduced(task, reduction)
        if smaller is not None:
            _solve(replace(smaller, error=max(task.error, candidate.rmse)), problem, settings)
