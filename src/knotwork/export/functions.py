"""The functions on edges, as operations of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType

import numpy as np

from ..functions import LIBRARY, SymbolicFunction
from .graph import Graph

Form = Callable[[Graph, str], str]
"""Adds a function of a tensor to a graph, and returns the name of its value."""


def _operations(*names: str) -> Form:
    """Return operations of one argument, each applied to what the one before it gives."""
    return lambda graph, x: reduce(lambda value, name: graph.apply(name, value), names, x)


def _power(halves: int) -> Form:
    """Return ``x**(halves / 2)``, by the same products as the network's own."""

    def form(graph: Graph, x: str) -> str:
        base = graph.apply("Reciprocal", x) if halves < 0 else x
        whole, half = divmod(abs(halves), 2)
        factors = [base] * whole + ([graph.apply("Sqrt", base)] if half else [])
        return reduce(lambda product, factor: graph.apply("Mul", product, factor), factors)

    return form


def _cube_root(graph: Graph, x: str) -> str:
    size = graph.apply("Pow", graph.apply("Abs", x), np.array(1 / 3))
    return graph.apply("Mul", graph.apply("Sign", x), size)


def _tan(graph: Graph, x: str) -> str:
    return graph.apply("Div", graph.apply("Sin", x), graph.apply("Cos", x))


def _gaussian(graph: Graph, x: str) -> str:
    return graph.apply("Exp", graph.apply("Neg", graph.apply("Mul", x, x)))


def _silu(graph: Graph, x: str) -> str:
    return graph.apply("Mul", x, graph.apply("Sigmoid", x))


_FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "x": lambda graph, x: x,
        "x^2": _power(4),
        "x^3": _power(6),
        "x^4": _power(8),
        "x^5": _power(10),
        "1/x": _power(-2),
        "1/x^2": _power(-4),
        "1/x^3": _power(-6),
        "1/x^4": _power(-8),
        "1/x^5": _power(-10),
        "sqrt": _power(1),
        "x^1.5": _power(3),
        "1/sqrt": _power(-1),
        "1/x^1.5": _power(-3),
        "cbrt": _cube_root,
        "exp": _operations("Exp"),
        "log": _operations("Log"),
        "sin": _operations("Sin"),
        "cos": _operations("Cos"),
        "tan": _tan,
        "arcsin": _operations("Asin"),
        "arccos": _operations("Acos"),
        "arctan": _operations("Atan"),
        "sinh": _operations("Sinh"),
        "cosh": _operations("Cosh"),
        "tanh": _operations("Tanh"),
        "arcsinh": _operations("Asinh"),
        "arccosh": _operations("Acosh"),
        "arctanh": _operations("Atanh"),
        "gaussian": _gaussian,
        "sigmoid": _operations("Sigmoid"),
        "softplus": _operations("Softplus"),
        "erf": _operations("Erf"),
        "sign": _operations("Sign"),
        "abs": _operations("Abs"),
    }
)

# ONNX defines these operations for float64 too, but onnxruntime does not compute them.
FLOAT32_ONLY = frozenset(
    {
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "arcsinh",
        "arccosh",
        "arctanh",
        "erf",
    }
)

RESIDUALS: Mapping[str, Form] = MappingProxyType(
    {
        "silu": _silu,
        "identity": lambda graph, x: x,
        "tanh": _operations("Tanh"),
        "sin": _operations("Sin"),
    }
)
"""The functions that may be added to every spline; those of `knotwork.residuals`."""


def lack(function: SymbolicFunction, dtype: np.dtype[np.floating]) -> str:
    """Say why a function cannot be exported in a dtype; nothing if it can."""
    # By identity: a function of one's own may have the name of one of the library's.
    if LIBRARY.get(function.name) is not function or function.name not in _FORMS:
        return "which has no ONNX form: give the edge another function, or its spline back"
    if dtype == np.float64 and function.name in FLOAT32_ONLY:
        return "which onnxruntime computes in float32 only: export with dtype=torch.float32"
    return ""


def form(function: SymbolicFunction) -> Form:
    """Return the form of a function that `lack` has nothing against."""
    return _FORMS[function.name]
