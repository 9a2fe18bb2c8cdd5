"""Dimensionless groups: fewer variables, from the units of inputs and target.

A law that holds in any system of units is ``y = prefactor * F(groups)``, where the prefactor is a
product of powers of inputs in the target's dimension and the groups are such products without
dimension, as many as there are inputs less the rank of their dimensions (Buckingham, On physically
similar systems, Physical Review 1914).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..symbolic.units import Dimension
from .symmetry import Reduction

__all__ = ["dimensionless_groups"]

Array = NDArray[np.float64]
_MOST_INPUTS = 12
# Every one costs a search of its own.
_MOST = 2


def dimensionless_groups(
    symbols: Sequence[sympy.Symbol],
    X: Array,
    dimensions: Sequence[Dimension],
    target: Dimension,
) -> tuple[Reduction, ...]:
    """List reductions to dimensionless groups, those with the plainest exponents first.

    Any set of inputs with independent dimensions can serve to free the others of theirs. All give
    the same problem in other variables, but F may be plain in one and not in another: of those
    that can be evaluated on all rows a few with different prefactors are listed.

    Parameters
    ----------
    symbols : sequence of sympy.Symbol
    X : array of shape (rows, symbols)
    dimensions : sequence of Dimension
        Of the inputs.
    target : Dimension

    Returns
    -------
    tuple of Reduction
        Empty if nothing has a dimension, if the target's cannot be made of the inputs' (the law
        then has a constant that carries one), or with more than 12 inputs.

    Examples
    --------
    >>> from knotwork.symbolic.units import parse_units
    >>> names = sympy.symbols("v r g", positive=True)
    >>> units = [parse_units(text) for text in ("m/s", "m", "m/s^2")]
    >>> found = dimensionless_groups(names, np.ones((5, 3)), units, parse_units("m"))
    >>> [(reduction.prefactor, reduction.features) for reduction in found]
    [(r, (g*r/v**2,)), (v**2/g, (g*r/v**2,))]
    """
    bases = sorted({name for dimension in (*dimensions, target) for name in dimension})
    count = len(symbols)
    if not bases or count > _MOST_INPUTS:
        return ()
    matrix = sympy.Matrix(
        [[_exact(dimension.get(name)) for dimension in dimensions] for name in bases]
    )
    wanted = sympy.Matrix([_exact(target.get(name)) for name in bases])
    rank = matrix.rank()
    if rank == 0 or matrix.row_join(wanted).rank() > rank:
        return ()
    positive = [bool((column > 0).all()) for column in X.T]
    nonzero = [bool((column != 0).all()) for column in X.T]
    found: list[tuple[tuple[float, ...], Reduction]] = []
    for pivots in itertools.combinations(range(count), rank):
        basis: Any = matrix[:, list(pivots)]
        if basis.rank() < rank:
            continue
        others = [k for k in range(count) if k not in pivots]
        # Exponents of the pivots that give the target, and each other input.
        normal = (basis.T * basis).inv() * basis.T
        powers = normal * wanted.row_join(matrix[:, others]) if others else normal * wanted
        signs = [1] + [-1] * len(others)
        powers = [[s * powers[i, j] for i in range(rank)] for j, s in enumerate(signs)]
        if not all(
            power.is_integer and (power >= 0 or nonzero[k])
            for row in powers
            for k, power in zip(pivots, row, strict=True)
            if not positive[k]
        ):
            continue
        sizes = [float(abs(power)) for row in powers for power in row]
        broken = sum(not power.is_integer for row in powers for power in row)
        products = [
            sympy.Mul(*[symbols[k] ** power for k, power in zip(pivots, row, strict=True)])
            for row in powers
        ]
        features = tuple(symbols[k] * part for k, part in zip(others, products[1:], strict=True))
        worth = (float(broken), sum(sizes), max(sizes))
        found.append((worth, Reduction(features, products[0])))
    chosen: dict[sympy.Expr, Reduction] = {}
    for _, reduction in sorted(found, key=lambda entry: entry[0]):
        chosen.setdefault(reduction.prefactor, reduction)
    return tuple(chosen.values())[:_MOST]


def _exact(exponent: Fraction | None) -> sympy.Expr:
    value = exponent or Fraction(0)
    return sympy.Rational(value.numerator, value.denominator)
