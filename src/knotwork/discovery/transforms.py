"""Transforms of the target: simple functions T for which T(y) may have a simpler structure than y.

A root of a sum, a reciprocal of a sum or an exponential of one is not additive, yet its square,
its reciprocal or its logarithm is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

__all__ = ["TRANSFORMS", "Transform", "usable_transforms"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """A function T of the target with its inverse.

    Attributes
    ----------
    name : str
    forward : callable
        T of an array.
    inverse : callable
        The inverse of T, of a SymPy expression, for targets above zero where `signed` is set.
    numeric_inverse : callable
        The same of an array.
    signed : bool
        Whether T is taken of |y|, the one sign that all targets have being put back afterwards.
    low, high : float
        Where T can be taken.
    needs : frozenset of str
        The library's functions of which the inverse uses one; none for powers.
    rare : bool
        Whether laws seldom have it outermost.
    """

    name: str
    forward: Callable[[Array], Array]
    inverse: Callable[[sympy.Expr], sympy.Expr]
    numeric_inverse: Callable[[Array], Array]
    signed: bool = False
    low: float = -np.inf
    high: float = np.inf
    needs: frozenset[str] = frozenset()
    rare: bool = False

    def usable(self, y: Array) -> bool:
        """Return whether T can be taken of all targets and keeps them apart."""
        size = np.abs(y) if self.signed else y
        if self.signed and not (np.all(y > 0) or np.all(y < 0)):
            return False
        if not (size.min() >= self.low and size.max() <= self.high):
            return False
        with np.errstate(all="ignore"):
            values = self.forward(size)
        return bool(np.isfinite(values).all()) and float(np.std(values)) > 0

    def apply(self, y: Array) -> Array:
        """Return T(y), or T(|y|) where `signed`."""
        return self.forward(np.abs(y) if self.signed else y)

    def invert(self, expression: sympy.Expr, y: Array) -> sympy.Expr:
        """Return the expression of y for one of T(y)."""
        inner = self.inverse(expression)
        return -inner if self.signed and y[0] < 0 else inner

    def numeric(self, values: Array, y: Array) -> Array:
        """Return y for given T(y)."""
        with np.errstate(all="ignore"):
            inner = self.numeric_inverse(values)
        return -inner if self.signed and y[0] < 0 else inner


_half = sympy.Rational(1, 2)
_LIST = (
    Transform("y", lambda y: y, lambda t: t, lambda t: t),
    Transform("log", np.log, sympy.exp, np.exp, signed=True, needs=frozenset({"exp"})),
    Transform("1/y", lambda y: 1 / y, lambda t: 1 / t, lambda t: 1 / t, signed=True),
    Transform("y^2", np.square, sympy.sqrt, np.sqrt, signed=True),
    Transform("1/y^2", lambda y: y**-2.0, lambda t: t**-_half, lambda t: t**-0.5, signed=True),
    Transform("sqrt", np.sqrt, lambda t: t**2, np.square, signed=True),
    Transform("1/sqrt", lambda y: y**-0.5, lambda t: t**-2, lambda t: t**-2.0, signed=True),
    Transform("exp", np.exp, sympy.log, np.log, low=-20, high=20, needs=frozenset({"log"})),
    Transform(
        "sin",
        np.sin,
        sympy.asin,
        np.arcsin,
        low=-np.pi / 2,
        high=np.pi / 2,
        needs=frozenset({"arcsin"}),
    ),
    Transform(
        "cos",
        np.cos,
        sympy.acos,
        np.arccos,
        low=0.0,
        high=np.pi,
        needs=frozenset({"arccos", "arcsin"}),
    ),
    Transform(
        "tan", np.tan, sympy.atan, np.arctan, low=-1.57, high=1.57, needs=frozenset({"arctan"})
    ),
    Transform("arctan", np.arctan, sympy.tan, np.tan, needs=frozenset({"tan"}), rare=True),
    Transform(
        "arctanh",
        np.arctanh,
        sympy.tanh,
        np.tanh,
        low=-0.999999,
        high=0.999999,
        needs=frozenset({"tanh"}),
    ),
    # Shares of a whole: Hill's, Fermi's and the logistic law.
    Transform(
        "logit",
        lambda y: np.log(y / (1 - y)),
        lambda t: 1 / (1 + sympy.exp(-t)),
        lambda t: 1 / (1 + np.exp(-t)),
        low=1e-6,
        high=1 - 1e-6,
        needs=frozenset({"exp"}),
    ),
)
TRANSFORMS: Mapping[str, Transform] = {transform.name: transform for transform in _LIST}


def usable_transforms(
    y: Array, allowed: frozenset[str] | None = None, *, rare: bool = False
) -> list[Transform]:
    """List the transforms that the targets and the functions allowed admit, the plainest first."""
    return [
        transform
        for transform in _LIST
        if (rare or not transform.rare)
        and (allowed is None or not transform.needs or transform.needs & allowed)
        and transform.usable(y)
    ]
