"""A table of data, and what has been found for it so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from .clock import Clock
from .complexity import complexity, description_length
from .refit import Fit, refitted, relative_error
from .rounding import round_constants
from .sampling import evenly
from .surrogate import Surrogate
from .symmetry import Reduction
from .weighted import Rows

__all__ = ["Candidate", "Found", "Problem"]

Array = NDArray[np.float64]

_FIT_ROWS = 1000
_MOST_COMPLEX = 120
# A formula of so many parts an input is simple enough to be content with.
_SIMPLE = 10
# Formulas get a few steps each, then more if they are not far behind the best.
_FIRST_EVALUATIONS = 10
_EVALUATIONS = 40
_PROMISING = 3.0
# Worse than this nothing is kept.
_WORST = 0.98


class Found(Exception):  # noqa: N818 - it ends a search, it is not an error
    """A formula that is exact, or as good as the data allow: nothing is left to search for."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted formula with its errors, relative to the target's standard deviation."""

    fit: Fit
    rmse: float
    held_out: float
    complexity: int

    @property
    def expression(self) -> sympy.Expr:
        """The formula."""
        return self.fit.expression

    @property
    def error(self) -> float:
        """The larger of its errors on rows fitted and rows held out."""
        return max(self.rmse, self.held_out)


@dataclass
class Problem:
    """Rows to explain, a part of them held out, and a pool of candidate formulas.

    Parameters
    ----------
    X, y : arrays of shape (rows, inputs) and (rows,)
        Rows to fit to.
    X_held, y_held
        Rows to judge by.
    symbols : tuple of sympy.Symbol
        One for each column of X.
    weights, weights_held : arrays of shape (rows,), optional
        Of the rows; see `discover`.
    floor : float
        The relative error that the target itself has: a formula this good is as good as can be
        told. 0 if not known, then only a formula that is exact ends the search.
    admissible : callable, optional
        What formulas the user allows.
    amended : callable, optional
        What a formula becomes before it is fitted.
    proposals : tuple of Reduction
        Reductions of the whole problem that are known beforehand.
    vocabulary : frozenset of SymPy's function classes, optional
        Those that formulas may contain; None for all.

    Attributes
    ----------
    networks : list of Surrogate
        Those of the whole problem.
    """

    X: Array
    y: Array
    X_held: Array
    y_held: Array
    symbols: tuple[sympy.Symbol, ...]
    clock: Clock
    floor: float = 0.0
    robust: bool = False
    integers: bool = False
    largest: int | None = None
    admissible: Callable[[sympy.Expr], bool] | None = None
    amended: Callable[[sympy.Expr], sympy.Expr] = lambda expression: expression
    proposals: tuple[Reduction, ...] = ()
    vocabulary: frozenset[Any] | None = None
    weights: Array | None = None
    weights_held: Array | None = None
    watch: Callable[[Problem], None] = lambda problem: None
    networks: list[Surrogate] = field(default_factory=list)
    pool: list[Candidate] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    visited: set[str] = field(default_factory=set)
    doubted: set[str] = field(default_factory=set)
    surrogates: dict[str, list[Surrogate]] = field(default_factory=dict)
    polished: dict[Candidate, Fit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = Rows(self.X, self.y, self.weights)
        self.held = Rows(self.X_held, self.y_held, self.weights_held)
        self._few = self.rows.take(evenly(len(self.y), _FIT_ROWS))

    def worth(self, fit: Fit) -> float:
        """Return the description length of the rows, those held out too, by a fitted formula."""
        held = fit.error(*self.held)
        counts = self.rows.weight, self.held.weight
        squares = (counts[0] * fit.rmse**2 + counts[1] * held**2) / sum(counts)
        rows = len(self.y) + len(self.y_held)
        return description_length(float(np.sqrt(squares)), fit.complexity, rows)

    def length(self, candidate: Candidate) -> float:
        """Return the description length by the larger of a candidate's two errors."""
        return description_length(candidate.error, candidate.complexity, len(self.y))

    def network_error(self, network: Surrogate) -> float:
        """Return a network's relative error on the rows held out."""
        return relative_error(network.predictions(self.X_held), self.y_held, self.weights_held)

    @property
    def reached(self) -> float:
        """The error of the best network of the whole problem."""
        if self.weights is None:
            return min(network.rmse for network in self.networks)
        # Networks are judged on rows that tell; all rows have more noise to their weight.
        return min(map(self.network_error, self.networks))

    def allows(self, fit: Fit) -> bool:
        """Return whether a formula is one that the user allows."""
        return self.admissible is None or self.admissible(fit.expression)

    def offer(self, expression: sympy.Expr) -> float:
        """Fit a formula's constants and keep it; return its relative error.

        Raises
        ------
        Found
            If it is exact, or reaches the floor.
        """
        self.clock.check()
        if not _sound(expression):
            return np.inf
        if self.vocabulary is not None:
            used = {call.func for call in expression.atoms(sympy.Function)}
            if not used <= self.vocabulary:
                return np.inf
        expression = self.amended(expression)
        if complexity(expression) > (self.largest or _MOST_COMPLEX):
            return np.inf
        try:
            fit = Fit.of(expression, self.symbols)
        except ValueError:
            return np.inf
        key = fit.tape.form(fit.constants)
        if key in self.seen:
            return np.inf
        self.seen.add(key)
        fit = refitted(fit, *self._few, robust=self.robust, evaluations=_FIRST_EVALUATIONS)
        if not fit.rmse < _WORST:
            return fit.rmse
        if fit.rmse < _PROMISING * min((c.rmse for c in self.pool), default=np.inf):
            fit = refitted(fit, *self._few, robust=self.robust, evaluations=_EVALUATIONS)
        if fit.rmse < max(1e-6, 1.5 * self.floor):
            fit = refitted(fit, *self._few, robust=self.robust)
            fit = self.rounded(fit, self._few)
        if not self.allows(fit):
            return np.inf
        self.keep(fit)
        if fit.is_exact:
            raise Found
        return fit.rmse

    def keep(self, fit: Fit) -> Candidate:
        """Add a fitted formula to the pool."""
        candidate = self.judged(fit)
        self.pool.append(candidate)
        self.watch(self)
        return candidate

    def judged(self, fit: Fit) -> Candidate:
        """Return a fitted formula with its error on the rows held out."""
        return Candidate(fit, fit.rmse, fit.error(*self.held), fit.complexity)

    def rounded(self, fit: Fit, rows: Rows) -> Fit:
        """Replace constants of a fit to these rows by nicer numbers, as the user allows."""
        return round_constants(fit, *rows, integers=self.integers, allowed=self.admissible)

    @property
    def satisfied(self) -> bool:
        """Whether a simple formula is as good as the target is known."""
        return any(
            candidate.rmse <= 1.5 * self.floor
            and candidate.held_out <= 2 * self.floor
            and candidate.complexity <= _SIMPLE * len(self.symbols)
            for candidate in self.pool
        )

    def ranked(self) -> list[Candidate]:
        """List the candidates by worth: error on held-out rows against complexity."""
        floor = max(self.floor, 1e-12)

        def worth(candidate: Candidate) -> float:
            return float(np.log(max(candidate.error, floor)) + 0.05 * candidate.complexity)

        return sorted(self.pool, key=worth)


def _sound(expression: sympy.Expr) -> bool:
    return not expression.has(sympy.nan, sympy.zoo, sympy.oo, sympy.I)
