"""What the user knows of a law before the search: units, inputs that matter or do not, symmetries.

`Knowledge` is what was said, checked against the names of the columns; `Rules` are the same for
the columns of one search: which formulas are admissible, and which reductions follow.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from .._checks import near_spellings
from ..symbolic.dimensions import amended, consistent
from ..symbolic.units import Dimension, parse_units
from .groups import dimensionless_groups
from .sampling import evenly
from .symmetry import Reduction
from .tape import Tape

__all__ = ["Knowledge", "Rules", "Symmetry"]

Array = NDArray[np.float64]

_KINDS = ("even", "odd", "symmetric")
# Rows on which formulas are tried, and the share of the target's spread that is rounding error.
_ROWS = 200
_SAME = 1e-7


@dataclass(frozen=True)
class Symmetry:
    """A symmetry that the user states: "even" or "odd" in an input, "symmetric" in some."""

    kind: str
    names: tuple[str, ...]

    @classmethod
    def read(cls, text: Any, names: Sequence[str]) -> Symmetry:
        """Read ``even in x``, ``odd in x`` or ``symmetric in a, b``.

        Raises
        ------
        TypeError, ValueError
            If it is none of these, or names no input.
        """
        if not isinstance(text, str):
            raise TypeError(f"symmetries must be strings, as 'even in x'; got {text!r}.")
        kind, _, rest = text.strip().partition(" in ")
        if kind.strip() not in _KINDS or not rest.strip():
            raise ValueError(
                "symmetries must be 'even in x', 'odd in x' or 'symmetric in a, b'; got "
                f"{text!r}.{near_spellings(kind.strip(), _KINDS)}"
            )
        kind, rest = kind.strip(), rest.strip()
        parts = [part.strip() for part in rest.split(",")] if kind == "symmetric" else [rest]
        chosen = tuple(_column(part, "symmetries", names) for part in parts)
        if kind == "symmetric" and (len(chosen) < 2 or len(set(chosen)) < len(chosen)):
            raise ValueError(
                f"symmetries: 'symmetric' needs two different inputs or more; got {text!r}."
            )
        return cls(kind, chosen)


@dataclass(frozen=True)
class Knowledge:
    """What the user knows, in the names of the columns.

    Attributes
    ----------
    units : tuple of (str, Dimension)
        Of inputs; one that is not there may have any.
    target : Dimension or None
        Of the target, None if not known.
    required, forbidden : tuples of str
    symmetries : tuple of Symmetry
    """

    units: tuple[tuple[str, Dimension], ...] = ()
    target: Dimension | None = None
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    symmetries: tuple[Symmetry, ...] = ()

    @classmethod
    def read(
        cls,
        names: Sequence[str],
        *,
        units: Mapping[str, str] | None,
        target_units: str | None,
        required: Sequence[str] | None,
        forbidden: Sequence[str] | None,
        symmetries: Sequence[str] | None,
    ) -> Knowledge:
        """Check what the user says against the names of the columns.

        Raises
        ------
        TypeError, ValueError
            If something is of the wrong type, names no input, cannot be read or contradicts
            itself.
        """
        if units is not None and not isinstance(units, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"units must map names of inputs to units; got {units!r}.")
        dimensions = {
            _column(name, "units", names): _unit(text, f"units[{name!r}]")
            for name, text in (units or {}).items()
        }
        musts = _columns(required, "required", names)
        nots = _columns(forbidden, "forbidden", names)
        laws = tuple(Symmetry.read(text, names) for text in _listed(symmetries, "symmetries"))
        both = [name for name in musts if name in nots]
        if both:
            raise ValueError(f"required and forbidden both name {both[0]!r}: it can be one only.")
        if set(nots) == set(names):
            raise ValueError("forbidden names every input: nothing is left to search with.")
        for law in laws:
            if set(law.names) & set(nots):
                raise ValueError(
                    f"symmetries: {law.kind!r} names a forbidden input, one of "
                    f"{', '.join(law.names)}."
                )
        return cls(
            tuple(sorted(dimensions.items())),
            None if target_units is None else _unit(target_units, "target_units"),
            musts,
            nots,
            laws,
        )

    @property
    def needed(self) -> tuple[str, ...]:
        """The inputs that a search cannot do without."""
        named = [name for law in self.symmetries for name in law.names]
        return tuple(dict.fromkeys([*self.required, *named]))

    def columns(self, names: Sequence[str], constant: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the places of the columns to leave out and of those to keep in any case.

        Raises
        ------
        ValueError
            If a column that is needed does not vary, or none is left.
        """
        left_out = sorted({*constant, *(names.index(name) for name in self.forbidden)})
        kept = [names.index(name) for name in self.needed]
        for k in kept:
            if k in constant:
                argument = "required" if names[k] in self.required else "symmetries"
                raise ValueError(
                    f"{argument} names {names[k]!r}, which is the same in all rows: the data say "
                    "nothing of it."
                )
        if self.forbidden and len(left_out) == len(names):
            raise ValueError("forbidden leaves no input that varies: nothing to search with.")
        return left_out, kept


@dataclass(frozen=True)
class Rules:
    """Knowledge in the columns of one search.

    Parameters
    ----------
    knowledge : Knowledge
    symbols : tuple of sympy.Symbol
    X : array of shape (rows, symbols)
    scales : array of shape (symbols,)
        What the columns were divided by.
    spread : float
        The target's standard deviation.
    """

    knowledge: Knowledge
    symbols: tuple[sympy.Symbol, ...]
    X: Array
    scales: Array
    spread: float

    @cached_property
    def _units(self) -> dict[str, Dimension]:
        return dict(self.knowledge.units)

    @cached_property
    def _rows(self) -> Array:
        return self.X[evenly(len(self.X), _ROWS)]

    @property
    def _judges_units(self) -> bool:
        return bool(self._units) or self.knowledge.target is not None

    @property
    def restrict(self) -> bool:
        """Whether there is a formula that would not be admitted."""
        known = self.knowledge
        return self._judges_units or bool(known.required) or bool(known.symmetries)

    def amended(self, expression: sympy.Expr) -> sympy.Expr:
        """Return the formula with constants that carry the dimensions that it lacks."""
        if not self._judges_units:
            return expression
        return amended(expression, self._units, self.knowledge.target)

    def admits(self, expression: sympy.Expr) -> bool:
        """Return whether a fitted formula agrees with everything that is known."""
        known = self.knowledge
        if self._judges_units and not consistent(expression, self._units, known.target):
            return False
        if not known.required and not known.symmetries:
            return True
        values = Tape(expression, self.symbols).values(self._rows)
        return all(self._matters(expression, values, name) for name in known.required) and all(
            self._obeys(expression, values, law) for law in known.symmetries
        )

    def _matters(self, expression: sympy.Expr, values: Array, name: str) -> bool:
        """Tell whether an input makes a difference: with a factor of 1e-17 it does not."""
        place = self._place(name)
        if self.symbols[place] not in expression.free_symbols:
            return False
        moved = self._rows.copy()
        moved[:, place] = np.roll(moved[:, place], len(moved) // 2)
        other = Tape(expression, self.symbols).values(moved)
        return not self._same(other, values)

    def _obeys(self, expression: sympy.Expr, values: Array, law: Symmetry) -> bool:
        tape = Tape(expression, self.symbols)
        places = [self._place(name) for name in law.names]
        if law.kind != "symmetric":
            mirrored = self._rows.copy()
            mirrored[:, places] *= -1
            return self._same(tape.values(mirrored), values if law.kind == "even" else -values)
        # Exchanges of neighbours generate all permutations.
        for first, second in itertools.pairwise(places):
            swapped = self._rows.copy()
            ratio = self.scales[second] / self.scales[first]
            swapped[:, first] = self._rows[:, second] * ratio
            swapped[:, second] = self._rows[:, first] / ratio
            if not self._same(tape.values(swapped), values):
                return False
        return True

    def _same(self, values: Array, others: Array) -> bool:
        size = max(self.spread, float(np.max(np.abs(others))))
        return bool(np.isfinite(values).all()) and bool(
            np.all(np.abs(values - others) <= _SAME * size)
        )

    def reductions(self) -> tuple[Reduction, ...]:
        """Return the reductions that follow: to dimensionless groups, and by the symmetries."""
        symmetric = self._symmetric()
        return self._groups() + (() if symmetric is None else (symmetric,))

    def _groups(self) -> tuple[Reduction, ...]:
        target, names = self.knowledge.target, [symbol.name for symbol in self.symbols]
        if target is None or not set(names) <= set(self._units):
            return ()
        dimensions = [self._units[name] for name in names]
        return dimensionless_groups(self.symbols, self.X, dimensions, target)

    def _symmetric(self) -> Reduction | None:
        """Return new variables in which every function has the symmetries.

        ``x^2`` for x where y is even or odd in it, sum and product for a pair that may be
        exchanged; laws that overlap with one already in are left to `admits`.
        """
        features: list[sympy.Expr] = list(self.symbols)
        prefactor: sympy.Expr = sympy.S.One
        taken: set[int] = set()
        for law in self.knowledge.symmetries:
            places = [self._place(name) for name in law.names]
            if taken & set(places) or len(places) > 2:
                continue
            parts = [self.symbols[k] for k in places]
            if law.kind == "symmetric":
                if self.scales[places[0]] != self.scales[places[1]]:
                    continue
                features[places[0]] = parts[0] + parts[1]
                features[places[1]] = parts[0] * parts[1]
            else:
                features[places[0]] = parts[0] ** 2
                prefactor = prefactor * parts[0] if law.kind == "odd" else prefactor
            taken |= set(places)
        return Reduction(tuple(features), prefactor) if taken else None

    def _place(self, name: str) -> int:
        return next(k for k, symbol in enumerate(self.symbols) if symbol.name == name)


def _column(name: Any, argument: str, names: Sequence[str]) -> str:
    if name in names:
        return str(name)
    raise ValueError(
        f"{argument} names {name!r}, which is no input; there are {', '.join(names)}."
        f"{near_spellings(name, names)}"
    )


def _listed(values: Any, argument: str) -> list[Any]:
    if values is None:
        return []
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"{argument} must be a list of strings; got {values!r}.")
    return list(values)


def _columns(values: Any, argument: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(_column(name, argument, names) for name in _listed(values, argument))
    )


def _unit(text: Any, argument: str) -> Dimension:
    try:
        return parse_units(text)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{argument}: {error}") from None
