"""How complex a formula is, and what it must save to be worth its length."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy

__all__ = ["NATS", "complexity", "description_length"]

# A symbol, number or operation is a choice among four or five.
NATS = 1.5
# Errors below this share of the spread differ by rounding only.
_ROUNDING_ERROR = 1e-9

_FUNCTION = 2
_FITTED = 2
# Powers of laws are whole or plain fractions, nearly always.
_FITTED_EXPONENT = 7


def complexity(expression: sympy.Expr) -> int:
    """Return the size of a formula: its operations, symbols and numbers.

    Every symbol, exact number and binary operation counts 1, a function 2 and a fitted number 2,
    but 7 as an exponent. A factor of -1, a division and a square root are no dearer than a product
    and a square.

    Examples
    --------
    >>> x, y = sympy.symbols("x y")
    >>> complexity(x * y), complexity(sympy.exp(sympy.sin(sympy.pi * x) + y**2))
    (3, 11)
    """
    return _size(sympy.sympify(expression, strict=True))


def description_length(error: float, size: int, rows: int) -> float:
    """Return the nats that targets with this relative error and a formula of this size take.

    ``n/2 log(mse) + 1.5 complexity``: what a formula saves in describing the targets must pay for
    the formula itself (Rissanen, Modeling by shortest data description, Automatica 1978).
    """
    return rows * float(np.log(max(error, _ROUNDING_ERROR))) + NATS * size


def _size(node: Any) -> int:
    if node.is_Symbol:
        return 1
    if isinstance(node, sympy.Float):
        return _FITTED
    if node.is_Rational and not node.is_Integer:
        return 2 if abs(node.p) == 1 or node.q <= 10 else 3
    if node.is_number and not node.args:
        return 1
    if isinstance(node, sympy.Pow):
        base, exponent = node.args
        if exponent == -1:
            return _size(base) + 1
        if exponent == sympy.Rational(1, 2) or exponent == -sympy.Rational(1, 2):
            return _size(base) + 2
        if isinstance(exponent, sympy.Float):
            return _size(base) + 1 + _FITTED_EXPONENT
        return _size(base) + 1 + _size(abs(exponent) if exponent.is_number else exponent)
    if isinstance(node, sympy.Add | sympy.Mul):
        parts = [part for part in node.args if part != -1]
        inverses = sum(
            1
            for part in parts
            if isinstance(node, sympy.Mul) and isinstance(part, sympy.Pow) and part.args[1] == -1
        )
        # x/y is one division, not a reciprocal and a product.
        saved = min(inverses, max(len(parts) - 1, 0))
        return sum(_size(part) for part in parts) + max(len(parts) - 1, 0) - saved
    if isinstance(node, sympy.exp):
        return _FUNCTION + _size(node.args[0])
    return _FUNCTION + sum(_size(part) for part in node.args)
