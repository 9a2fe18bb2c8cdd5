"""The door to discovery: from a table to a front of formulas and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from .._checks import MOST_SEED, check_integer, check_number
from .._threads import one_thread_everywhere
from ..functions import DEFAULT_NAMES, SymbolicFunction, resolve
from ..network import KAN
from .clock import Clock, OutOfTime
from .formula import Formula
from .front import finished, rivals_of
from .knowledge import Knowledge, Rules
from .outliers import ordinary_rows
from .problem import Problem
from .progress import ProgressLine
from .refit import Fit, refitted, relative_error
from .rows import Prepared, prepare, read_columns
from .screening import screened
from .search import solve
from .state import SearchState
from .surrogate import Surrogate, fit_surrogate
from .task import Settings
from .verdict import Evidence, Verdict, judge

__all__ = ["Discovery", "discover"]

Array = NDArray[np.float64]

_LIBRARY = (*DEFAULT_NAMES, "cosh", "arctan", "tan")
# What polishing and judging may take at the end, as a share of the budget; of a short one they
# take more than of a long one, but no more than the other share.
_CLOSING = 0.05
_CLOSING_SECONDS = 0.8
_MOST_CLOSING = 0.2
# A network for the verdict gets so many seconds even if none are left.
_LEAST_SECONDS = 0.3
_MOST_ROWS = 4_000
# Constants fitted to some thousand rows are so near those of all rows that few steps are left.
_FINAL_EVALUATIONS = 6


@dataclass(frozen=True)
class Discovery:
    """What a search found.

    Attributes
    ----------
    best : Formula or None
        The default choice: least description length. None if nothing could be fitted.
    front : list of Formula
        Simplest first; each is more accurate than all before it.
    rivals : list of Formula
        Formulas of another form than the default choice that describe the rows as well: its odds
        against each are under twenty to one. What they say alike is sure, where they differ more
        rows or rows from elsewhere must decide.
    verdict : Verdict
        "formula", "no formula found" or "no signal"; a string with `reasons`.
    network : KAN
        The best network met on the way, in standardised columns.
    network_error : float
        Its error on held-out rows, relative to the target's standard deviation.
    elapsed : float
        Seconds.
    complete : bool
        Whether the search came to its end, by itself rather than by the budget or the user.
    note : str
        How it ended.
    """

    best: Formula | None
    front: list[Formula]
    rivals: list[Formula]
    verdict: Verdict
    network: KAN
    network_error: float
    names: tuple[str, ...]
    elapsed: float
    complete: bool
    note: str
    data: Prepared = field(repr=False)

    def table(self) -> Any:
        """Return the front as a pandas DataFrame, a row for each formula.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame(self.records())

    def records(self) -> list[dict[str, Any]]:
        """Return the front as plain records, one for each formula.

        ``beyond`` is the share of points with finite values in a box half as wide again as the
        data, to either side: what a formula does out of range is no more than its form promises.
        """
        return [
            {
                "chosen": formula is self.best,
                "complexity": formula.complexity,
                "rmse": formula.rmse,
                "r2": formula.r2,
                "beyond": self._finite_beyond(formula),
                "formula": str(formula),
                "constants": ", ".join(str(constant) for constant in formula.constants),
            }
            for formula in self.front
        ]

    def _finite_beyond(self, formula: Formula) -> float:
        X = self.data.X
        low, high = X.min(0), X.max(0)
        rng = np.random.default_rng(0)
        points = rng.uniform(
            low - 0.5 * (high - low), high + 0.5 * (high - low), (1000, X.shape[1])
        )
        return float(np.isfinite(formula.predict(points * self.data.scaling.inputs)).mean())

    def plot(self) -> Any:
        """Return a Matplotlib figure: the front, and predictions of rows held out.

        Raises
        ------
        ValueError
            If nothing could be fitted.
        """
        from ..plotting.front import plot_front

        if self.best is None:
            raise ValueError("there is no formula to plot.")
        scaling = self.data.scaling
        spread = float(np.std(self.data.y_held)) * scaling.target or 1.0
        return plot_front(
            [formula.complexity for formula in self.front],
            [formula.rmse / spread for formula in self.front],
            [formula.train_rmse / spread for formula in self.front],
            str(self.best),
            next(k for k, formula in enumerate(self.front) if formula is self.best),
            self.data.y_held * scaling.target,
            self.best.predict(self.data.X_held * scaling.inputs),
        )

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {' '.join(self.verdict.reasons)}"]
        for formula in self.front:
            mark = ">" if formula is self.best else " "
            lines.append(f"{mark} {formula.complexity:4d}  {formula.rmse:9.3g}  {formula}")
        if self.rivals:
            lines.append("the rows do not tell the choice from")
            lines += [f"  {f.complexity:4d}  {f.rmse:9.3g}  {f}" for f in self.rivals]
        return "\n".join(lines)


@one_thread_everywhere()
def discover(
    X: Any,
    y: Any,
    *,
    names: Sequence[str] | None = None,
    budget: float = 60.0,
    seed: int = 0,
    n_jobs: int | None = None,
    library: Sequence[str | SymbolicFunction] | None = None,
    progress: bool | Callable[[Problem], None] = True,
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
    progress : bool or callable
        Show a line of progress on a terminal or in a notebook, and nothing elsewhere; or a
        function that is called with the `Problem` whenever a candidate was found.
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
        Units of inputs by their names, as ``{"v": "m/s"}``; an input without one may have any.
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
    inputs, targets, chosen = read_columns(X, y, names)
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
    data = prepare(inputs, targets[:, 0], chosen, seed)
    kept = screened(data.X, data.y, *knowledge.columns(chosen, data.constant))
    # What took long with many rows at the start takes about as long again at the end.
    closing = min(max(_CLOSING * budget, _CLOSING_SECONDS), _MOST_CLOSING * budget) + whole.elapsed
    clock = Clock(budget - min(closing, 0.5 * budget), whole.start)
    if robust:
        data = _without_outliers(data, kept, seed, clock)
    symbols = tuple(data.symbols[k] for k in kept)
    scales, spread = data.scaling.inputs[kept], float(np.std(data.y)) or 1.0
    rules = Rules(knowledge, symbols, data.X[:_MOST_ROWS, kept], scales, spread)
    settings = Settings(functions, seed=seed, width=width, n_jobs=n_jobs)
    problem = Problem(
        data.X[:_MOST_ROWS, kept],
        data.y[:_MOST_ROWS],
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
    )
    kept_state = None
    if state is not None:
        options = (seed, width, sorted(settings.names), max_complexity, robust, integers, knowledge)
        kept_state = SearchState.of(state, problem, options)
    earlier = kept_state.load(problem) if kept_state is not None and resume else []
    with nullcontext(progress) if callable(progress) else ProgressLine(budget, progress) as watch:
        problem.watch = watch
        note, complete = _run(problem, settings, earlier)
    if kept_state is not None:
        kept_state.save(problem)
    return _concluded(problem, settings, data, tuple(chosen), note, complete, whole)


def _without_outliers(data: Prepared, kept: list[int], seed: int, clock: Clock) -> Prepared:
    """Set aside rows that a network fitted to all others cannot explain."""
    X, y = np.vstack([data.X, data.X_held])[:, kept], np.concatenate([data.y, data.y_held])
    try:
        usual = ordinary_rows(X, y, seed, clock)
    except OutOfTime:
        return data
    train, held = usual[: len(data.y)], usual[len(data.y) :]
    return replace(
        data,
        X=data.X[train],
        y=data.y[train],
        X_held=data.X_held[held],
        y_held=data.y_held[held],
    )


def _run(problem: Problem, settings: Settings, earlier: list[sympy.Expr]) -> tuple[str, bool]:
    """Search; return how it ended and whether by itself."""
    try:
        with np.errstate(all="ignore"):
            found = solve(problem, settings, earlier)
    except OutOfTime:
        return "the budget was spent", False
    except KeyboardInterrupt:
        return "interrupted; these are the best formulas so far", False
    return ("nothing was left to explain" if found else "all ideas were tried"), True


def _concluded(
    problem: Problem,
    settings: Settings,
    data: Prepared,
    names: tuple[str, ...],
    note: str,
    complete: bool,
    whole: Clock,
) -> Discovery:
    with np.errstate(all="ignore"):
        network = _best_network(problem, settings, whole)
        fits = finished(problem, whole)
        place = int(np.argmin([problem.worth(fit) for fit in fits])) if fits else -1
        evidence = None
        rivals: list[Fit] = []
        if fits:
            rivals = rivals_of(fits[place], problem, whole)
            evidence = Evidence(fits[place], fits[place].complexity)
        verdict = judge(problem, evidence, network, max(_LEAST_SECONDS, whole.left))
        formulas = {
            k: _on_all_rows(fits[k], data, problem, names, few=k != place and whole.left == 0)
            for k in sorted(range(len(fits)), key=lambda k: k != place)
        }
        front = [formulas[k] for k in range(len(fits))]
        others = [_on_all_rows(fit, data, problem, names, few=whole.left == 0) for fit in rivals]
    error = relative_error(network.predictions(problem.X_held), problem.y_held)
    return Discovery(
        best=front[place] if front else None,
        front=front,
        rivals=others,
        verdict=verdict,
        network=network.model,
        network_error=error,
        names=names,
        elapsed=problem.clock.elapsed,
        complete=complete,
        note=note,
        data=data,
    )


def _best_network(problem: Problem, settings: Settings, whole: Clock) -> Surrogate:
    """Return the network of the whole problem; fit one if the search ended before it had any."""
    networks = problem.networks
    if not networks:
        clock = Clock(max(_LEAST_SECONDS, whole.left))
        networks = fit_surrogate(
            problem.X, problem.y, starts=1, seed=settings.seed, clock=clock, unfinished=True
        )
    return min(
        networks, key=lambda s: relative_error(s.predictions(problem.X_held), problem.y_held)
    )


def _on_all_rows(
    fit: Fit, data: Prepared, problem: Problem, names: tuple[str, ...], *, few: bool
) -> Formula:
    """Fit the constants once more to all rows, in all columns' symbols; or leave it at few."""
    fit, size = Fit.of(fit.expression, data.symbols, fit.rmse), fit.complexity
    rows = slice(_MOST_ROWS if few else None)
    train = data.X[rows], data.y[rows]
    if len(train[1]) > _MOST_ROWS:
        better = refitted(fit, *train, evaluations=_FINAL_EVALUATIONS)
        fit = better if problem.allows(better) else fit
    return Formula.of_fit(fit, train, (data.X_held, data.y_held), names, data.scaling, size)
