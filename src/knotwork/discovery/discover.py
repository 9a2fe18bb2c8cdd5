"""The door to discovery: from a table to a front of formulas and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np

from .._checks import MOST_SEED, check_integer, check_number
from .._interrupts import Interrupts, interruptible_once
from .._threads import one_thread_everywhere
from ..functions import DEFAULT_NAMES, SymbolicFunction, resolve
from .clock import Clock, OutOfTime
from .conclude import MOST_ROWS, concluded
from .knowledge import Knowledge, Rules
from .outliers import ordinary_rows
from .problem import Problem
from .progress import SearchProgress
from .result import Discovery
from .rows import Prepared, prepare, read_columns
from .screening import screened
from .search import solve
from .state import SearchState
from .task import Settings
from .weighted import spread_of

__all__ = ["discover"]

_LIBRARY = (*DEFAULT_NAMES, "cosh", "arctan", "tan")
# What polishing and judging may take at the end, as a share of the budget; of a short one they
# take more than of a long one, but no more than the other share.
_CLOSING = 0.05
_CLOSING_SECONDS = 0.8
_MOST_CLOSING = 0.2
# Fitting constants to all rows.
_CLOSING_PER_ROW = 1.5e-6


@one_thread_everywhere()
def discover(
    X: Any,
    y: Any,
    *,
    weights: Any = None,
    names: Sequence[str] | None = None,
    budget: float = 60.0,
    seed: int = 0,
    n_jobs: int | None = None,
    library: Sequence[str | SymbolicFunction] | None = None,
    progress: bool | Callable[[Problem], None] | None = True,
    width: int | None = None,
    max_complexity: int | None = None,
    robust: bool = False,
    integers: bool = False,
    units: Mapping[str, str] | None = None,
    target_units: str | None = None,
    required: Sequence[str] | None = None,
    forbidden: Sequence[str] | None = None,
    symmetries: Sequence[str] | None = None,
    state: str | PathLike[str] | None = None,
    resume: bool = False,
) -> Discovery:
    """Search for the formula behind a table.

    Parameters
    ----------
    X : array, tensor or frame of shape (rows, inputs)
        At least 6 rows.
    y : array, tensor, series of shape (rows,)
    weights : array, tensor, series of shape (rows,), optional
        How much each row counts, at least 0: one over the variance of its target, as
        ``1 / sigma**2`` of a measurement with its standard uncertainty. Only their ratios matter:
        how large errors are as a whole is seen from what a formula leaves, also for standard
        errors of constants (as in scipy's ``curve_fit`` with ``absolute_sigma=False``). A weight
        of 0 leaves a row out, whatever stands in it, any other counts as one row of evidence: to
        count a row twice give it twice.
    names : sequence of str, optional
        Of the inputs; a frame's column names otherwise, else x_1, x_2 and so on.
    budget : float
        Seconds that the search may take. It ends earlier when a formula is exact, or when ideas
        run out.
    seed : int
        Chooses held-out rows and starts of networks.
    n_jobs : int, optional
        Worker processes that train networks, as joblib understands it. The front does not depend
        on it unless the budget cuts the search short.
    library : sequence of str or SymbolicFunction, optional
        Functions that formulas may contain; sums, products and powers always may.
    progress : bool or callable, optional
        Show progress: a bar on a terminal or in a notebook, and in a log file a line every ten
        seconds and at the end. With None there is only a bar on a terminal, if the search takes
        longer than a second, and nothing stays of it. Or a function that is called with the
        `Problem` whenever a candidate was found.
    width : int, optional
        Hidden nodes of the networks' first layer; 4 by default.
    max_complexity : int, optional
        The most complex formula to consider.
    robust : bool
        Set rows aside that a network fitted to all others cannot explain, a quarter of them at
        the most, and fit constants by a loss that grows linearly for large errors.
    integers : bool
        Round constants to whole numbers only.
    units : mapping of str to str, optional
        Units of inputs by their names, as ``{"v": "m/s"}``; an input without one may have any. A
        name that is no unit of the International System is taken for a base unit of its own.
        Formulas must be right in their dimensions: exact numbers have none, fitted constants may
        carry any and are not rounded where they do.
    target_units : str, optional
        The target's unit. With those of all inputs, dimensionless groups are tried first.
    required, forbidden : sequences of str, optional
        Inputs that must matter in every formula, and inputs that must not occur.
    symmetries : sequence of str, optional
        What formulas must obey: ``"even in x"``, ``"odd in x"`` or ``"symmetric in a, b"``.
    state : path, optional
        File in which the search keeps what it found and tried.
    resume : bool
        Go on with the search in `state`, which must be of the same data and options.

    Returns
    -------
    Discovery

    Raises
    ------
    TypeError, ValueError
        If the data or an option cannot be right; before any work starts.

    Notes
    -----
    Ctrl-C ends the search; what was found by then is returned.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).uniform(1, 3, (200, 2))
    >>> found = discover(X, X[:, 0] / X[:, 1] ** 2, names=["m", "r"], progress=False)
    >>> print(found.verdict, found.best)
    formula m/r**2
    """
    budget = check_number(budget, "budget", low=0.0, strict=True)
    seed = check_integer(seed, "seed", low=0, high=MOST_SEED)
    if width is not None:
        width = check_integer(width, "width", low=1)
    if max_complexity is not None:
        max_complexity = check_integer(max_complexity, "max_complexity", low=1)
    if n_jobs is not None and n_jobs != -1:
        n_jobs = check_integer(n_jobs, "n_jobs", low=1)
    functions = resolve(_LIBRARY if library is None else library)
    if resume and state is None:
        raise ValueError("resume needs state, the file of the search to go on with.")
    whole = Clock(budget)
    inputs, targets, relative, chosen = read_columns(X, y, names, weights)
    if targets.shape[1] != 1:
        raise ValueError(
            f"y must have one column; got {targets.shape[1]}. Call discover for each, or use "
            "FormulaRegressor, which takes several."
        )
    knowledge = Knowledge.read(
        chosen,
        units=units,
        target_units=target_units,
        required=required,
        forbidden=forbidden,
        symmetries=symmetries,
    )
    data = prepare(inputs, targets[:, 0], chosen, seed, relative)
    kept = screened(data.X, data.y, *knowledge.columns(chosen, data.constant), data.weights)
    closing = min(max(_CLOSING * budget, _CLOSING_SECONDS), _MOST_CLOSING * budget)
    closing += _CLOSING_PER_ROW * len(data.y)
    clock = Clock(budget - min(closing, 0.5 * budget), whole.start)
    if robust:
        data = _without_outliers(data, kept, seed, clock)
    symbols = tuple(data.symbols[k] for k in kept)
    scales, spread = data.scaling.inputs[kept], spread_of(data.y, data.weights) or 1.0
    rules = Rules(knowledge, symbols, data.X[:MOST_ROWS, kept], scales, spread)
    settings = Settings(functions, seed=seed, width=width, n_jobs=n_jobs)
    problem = Problem(
        data.X[:MOST_ROWS, kept],
        data.y[:MOST_ROWS],
        data.X_held[:, kept],
        data.y_held,
        symbols,
        clock,
        robust=robust,
        integers=integers,
        largest=max_complexity,
        admissible=rules.admits if rules.restrict else None,
        amended=rules.amended,
        proposals=rules.reductions(),
        vocabulary=settings.vocabulary,
        weights=None if data.weights is None else data.weights[:MOST_ROWS],
        weights_held=data.weights_held,
    )
    kept_state = None
    if state is not None:
        options = (seed, width, sorted(settings.names), max_complexity, robust, integers, knowledge)
        kept_state = SearchState.of(state, problem, options)
    with (
        interruptible_once() as interrupts,
        nullcontext(progress) if callable(progress) else SearchProgress(budget, progress) as watch,
    ):
        problem.watch = watch
        if kept_state is not None:
            kept_state.begin(problem, resume=resume)
        note, complete = _run(problem, settings, interrupts)
        # From here on there is a result to lose.
        interrupts.deaf = True
        if interrupts.came:
            whole.budget = 0.0
        if kept_state is not None:
            kept_state.save(problem)
        discovery = concluded(problem, settings, data, tuple(chosen), note, complete, whole)
        if kept_state is not None:
            # What goes on from here must not fall behind what was shown.
            problem.pool += map(problem.judged, problem.polished.values())
            kept_state.save(problem)
        return discovery


def _without_outliers(data: Prepared, kept: list[int], seed: int, clock: Clock) -> Prepared:
    """Set aside rows that a network fitted to all others cannot explain."""
    every = data.every
    try:
        usual = ordinary_rows(every._replace(X=every.X[:, kept]), seed, clock)
    except OutOfTime:
        return data
    if not usual[len(data.y) :].any():
        # Without a row held out nothing could be judged.
        return data
    train = data.train.take(usual[: len(data.y)])
    held = data.held.take(usual[len(data.y) :])
    return replace(
        data,
        X=train.X,
        y=train.y,
        weights=train.weights,
        X_held=held.X,
        y_held=held.y,
        weights_held=held.weights,
    )


def _run(problem: Problem, settings: Settings, interrupts: Interrupts) -> tuple[str, bool]:
    """Search; return how it ended and whether by itself."""

    def stop() -> None:
        problem.clock.budget = 0.0

    interrupts.stop = stop
    try:
        with np.errstate(all="ignore"):
            found = SearchState.exact(problem) or solve(problem, settings)
    except OutOfTime:
        if not interrupts.came:
            return "the budget was spent", False
    except KeyboardInterrupt:
        interrupts.came = True
    else:
        return ("nothing was left to explain" if found else "all ideas were tried"), True
    return "interrupted; these are the best formulas so far", False
