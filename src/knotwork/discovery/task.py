"""A problem in fewer variables that stands for a larger one, and what a search may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..functions import SymbolicFunction
from .problem import Problem
from .tape import Tape
from .weighted import telling_rows

__all__ = ["Settings", "Task"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What a search may use."""

    functions: tuple[SymbolicFunction, ...]
    seed: int = 0
    starts: int = 2
    thorough: bool = True
    splits: bool = True
    width: int | None = None
    n_jobs: int | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the functions."""
        return frozenset(function.name for function in self.functions)

    @property
    def vocabulary(self) -> frozenset[Any]:
        """SymPy's classes of the functions; a cosine is a sine with another phase."""
        x = sympy.Symbol("x", real=True)
        used = {call.func for f in self.functions for call in f.sympy(x).atoms(sympy.Function)}
        for one, other in ((sympy.sin, sympy.cos), (sympy.asin, sympy.acos)):
            used |= {one, other} if {one, other} & used else set()
        return frozenset(used)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Hidden widths of the surrogates."""
        return (4 if self.width is None else self.width, 2)


@dataclass(frozen=True)
class Task:
    """A problem in some variables that stands for a larger one.

    Attributes
    ----------
    symbols : tuple of sympy.Symbol
    X, y : arrays of shape (rows, symbols) and (rows,)
    lift : callable
        Turns a formula for this task into one for the problem.
    error, rmse : float
        Errors of the task's surrogate (or of the task it came from), as `Surrogate` has them.
    depth : int
    logarithm : bool
        Whether the target is the logarithm of that of the task it came from.
    weights : array of shape (rows,), optional
        Of the rows, those of the problem whatever the target was turned into: what is proposed
        for a task is judged on the problem.
    """

    symbols: tuple[sympy.Symbol, ...]
    X: Array
    y: Array
    lift: Callable[[sympy.Expr], sympy.Expr]
    error: float = 1.0
    rmse: float = 1.0
    depth: int = 0
    logarithm: bool = False
    weights: Array | None = None

    @classmethod
    def whole(cls, problem: Problem) -> Task:
        """Return the task that is the problem itself, on the rows that tell something."""
        X, y, weights = telling_rows(problem.rows)
        return cls(problem.symbols, X, y, lambda expression: expression, weights=weights)

    @cached_property
    def name(self) -> str:
        """What the task is of the problem: an unknown function of its variables."""
        return str(self.lift(sympy.Function("F")(*self.symbols)))

    def values(self, expression: sympy.Expr) -> Array:
        """Evaluate a formula of the task's variables."""
        return Tape(expression, self.symbols).values(self.X)
