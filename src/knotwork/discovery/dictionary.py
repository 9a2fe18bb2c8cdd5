"""A dictionary of products of simple functions, and what it can express.

A column is the product, over all features, of one simple function each: 1, a power, log, exp, sin
or cos. Whether a target lies in the span of all columns is one projection, far cheaper than a
search for the few columns that make it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import sympy
from numpy.typing import NDArray

from .weighted import by_roots

__all__ = ["Dictionary"]

Array = NDArray[np.float64]

_MOST_COLUMNS = 12_000
_MOST_COST = 9.0
_MOST_COST_BELOW = 3.0
# With more columns than this share of the rows a span explains any target.
_TELLING = 0.75
_HALF = sympy.Rational(1, 2)
_POWERS = {0: (1, 2), 1: (1, 2), 2: (1, 2, 3, 4), 3: (1, 2, 3, 4, 5, 6, 8, 9, 10, 12)}


@dataclass(frozen=True)
class Dictionary:
    """Columns and the terms that they stand for.

    Attributes
    ----------
    functions : list of list of sympy.Expr
        The simple functions of each feature; 1 comes first.
    choices : array of shape (columns, features)
        Which of them each column is the product of.
    below : array of shape (columns,), bool
        Whether a column is multiplied by the target: it then stands for a term below the line of a
        quotient.
    values : array of shape (rows, columns)
    costs : array of shape (columns,)
        How complex each term is.
    """

    functions: list[list[sympy.Expr]]
    choices: NDArray[np.int64]
    below: NDArray[np.bool_]
    values: Array
    costs: Array

    @classmethod
    def of(
        cls,
        symbols: Sequence[sympy.Symbol],
        X: Array,
        *,
        rich: int,
        allowed: frozenset[str] | None = None,
    ) -> Dictionary:
        """Build the columns for some features.

        Parameters
        ----------
        symbols
            Names of the features.
        X : array of shape (rows, features)
        rich : int
            0 for polynomials; 1 for low powers and sin, cos, exp; up to 3, with powers up to 12,
            half powers and log too.
        allowed : set of str, optional
            Names of the functions that may be used; None for all.
        """
        lists = [_functions(s, X[:, i], rich, allowed) for i, s in enumerate(symbols)]
        choices = np.zeros((1, 0), dtype=np.int64)
        values, costs = np.ones((len(X), 1)), np.zeros(1)
        for entries in lists:
            own = np.array([cost for _, _, cost in entries])
            total = costs[:, None] + own
            first, second = np.nonzero(total <= _MOST_COST)
            order = np.argsort(total[first, second], kind="stable")[:_MOST_COLUMNS]
            first, second = first[order], second[order]
            columns = np.array([column for _, column, _ in entries])
            values = values[:, first] * columns.T[:, second]
            costs = total[first, second]
            choices = np.column_stack([choices[first], second])
        usable = np.isfinite(values).all(0) & values.any(0)
        forms = [[form for form, _, _ in entries] for entries in lists]
        count = int(usable.sum())
        return cls(
            forms, choices[usable], np.zeros(count, dtype=bool), values[:, usable], costs[usable]
        )

    def with_quotients(self, target: Array) -> Dictionary:
        """Return the dictionary with simple terms below the line as well.

        ``y = a/(1 + b)`` is ``y = a - b y``, linear in all coefficients.
        """
        simple = np.flatnonzero((self.costs > 0) & (self.costs <= _MOST_COST_BELOW))
        with np.errstate(over="ignore"):
            values = self.values[:, simple] * target[:, None]
        usable = np.isfinite(values).all(0)
        simple = simple[usable]
        return Dictionary(
            self.functions,
            np.concatenate([self.choices, self.choices[simple]]),
            np.concatenate([self.below, np.ones(len(simple), dtype=bool)]),
            np.column_stack([self.values, values[:, usable]]),
            np.concatenate([self.costs, self.costs[simple] + 1.0]),
        )

    def weighed(self, weights: Array | None) -> Dictionary:
        """Return the dictionary with rows times the roots of their weights."""
        return self if weights is None else replace(self, values=by_roots(self.values, weights))

    def factor(self, column: int) -> sympy.Expr:
        """Return the term of a column."""
        chosen = zip(self.functions, self.choices[column].tolist(), strict=True)
        return sympy.Mul(*[forms[place] for forms, place in chosen])

    @property
    def telling(self) -> bool:
        """Whether there are so few columns that not any target lies in their span."""
        return self.values.shape[1] <= _TELLING * len(self.values)

    def simplest(self) -> Dictionary:
        """Return the dictionary of the simplest terms only, so few that it tells."""
        kept = np.sort(np.argsort(self.costs, kind="stable")[: int(_TELLING * len(self.values))])
        return Dictionary(
            self.functions,
            self.choices[kept],
            self.below[kept],
            self.values[:, kept],
            self.costs[kept],
        )

    @cached_property
    def _basis(self) -> Array:
        norms = np.linalg.norm(self.values, axis=0)
        return np.linalg.qr(self.values / norms)[0]

    def projected(self, target: Array) -> Array:
        """Return what the span of all columns explains of a target, shape (rows,)."""
        return self._basis @ (self._basis.T @ target)

    @property
    def freedom(self) -> float:
        """Share of the rows that is left when every column has had its coefficient."""
        rows, columns = self.values.shape
        return max(1 - columns / rows, 1 / rows)


def _functions(
    symbol: sympy.Symbol, x: Array, rich: int, allowed: frozenset[str] | None
) -> list[tuple[sympy.Expr, Array, float]]:
    """List simple functions of one feature with their values and costs; 1 comes first."""
    found: list[tuple[sympy.Expr, Array, float]] = [(sympy.Integer(1), np.ones_like(x), 0.0)]
    positive, apart = bool((x > 0).all()), bool((x > 0).all() or (x < 0).all())
    powers = _POWERS[rich]
    with np.errstate(all="ignore"):
        for p in powers:
            found.append((symbol**p, x**p, 1.0 + 0.5 * abs(p - 1)))
        if apart and rich > 0:
            for p in powers:
                found.append((symbol**-p, x ** float(-p), 1.5 + 0.5 * abs(p - 1)))
        if positive and rich > 1:
            for p in (1, -1, 3, -3):
                found.append((symbol ** (p * _HALF), x ** (p / 2), 2.0 + 0.5 * (abs(p) - 1)))

        def usable(name: str) -> bool:
            # A cosine is a sine with another phase.
            return allowed is None or name in allowed or (name == "cos" and "sin" in allowed)

        small = rich > 0 and float(np.abs(x).max()) < 30
        for name, form, values in (
            ("sin", sympy.sin, np.sin),
            ("cos", sympy.cos, np.cos),
            ("exp", sympy.exp, np.exp),
        ):
            if small and usable(name):
                found.append((form(symbol), values(x), 2.0))
                if name == "exp" and rich > 1:
                    found.append((sympy.exp(-symbol), np.exp(-x), 2.0))
                if name == "exp" and rich > 2:
                    found.append((sympy.exp(-2 * symbol), np.exp(-2 * x), 3.0))
                    found.append((sympy.exp(2 * symbol), np.exp(2 * x), 3.0))
                # cos^2 is 1 - sin^2, so one of them is enough.
                if name == "sin" and rich > 1:
                    found.append((form(symbol) ** 2, values(x) ** 2, 3.0))
        if positive and rich > 1 and usable("log"):
            found.append((sympy.log(symbol), np.log(x), 2.0))
    return found
