"""Formulas as networks: every expression is a KAN whose edges are all symbolic.

Sums become sum nodes, products multiplication nodes, powers and functions edges; a value that is
needed later is carried on by an edge ``x``. After the "kanpiler" of KAN 2.0 (Liu et al.,
arXiv 2408.10205).
"""

# SymPy's annotations call the parts of an expression Basic, whatever they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportAssignmentType=false, reportCallIssue=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy
import torch

from ..functions import LIBRARY, SymbolicFunction
from ..network import KAN

__all__ = ["network_of"]

_LINEAR = LIBRARY["x"]


@dataclass(frozen=True)
class _Edge:
    """``c * f(a*u + b)`` of the value of an expression u."""

    argument: sympy.Expr
    function: SymbolicFunction = _LINEAR
    a: float = 1.0
    b: float = 0.0
    c: float = 1.0


@dataclass(frozen=True)
class _Sum:
    """Edges and a number that are added up."""

    edges: tuple[_Edge, ...]
    bias: float


def network_of(expression: sympy.Expr, variables: Sequence[sympy.Symbol]) -> KAN:
    """Return a network that computes a formula, in float64, every edge symbolic or absent.

    Parameters
    ----------
    expression : sympy.Expr
    variables : sequence of sympy.Symbol
        The inputs, in order; others than these the expression must not have.

    Raises
    ------
    ValueError
        If the expression has a symbol or function that is not known, or there are no variables.

    Examples
    --------
    >>> x, y = sympy.symbols("x y")
    >>> network = network_of(x * sympy.sin(2 * y) + 1, [x, y])
    >>> network(torch.tensor([[3.0, 0.5]], dtype=torch.float64)).item()
    3.5244...
    """
    names = {symbol.name: symbol for symbol in variables}
    if not names:
        raise ValueError("variables is empty; a network needs at least one input.")
    unknown = sorted(s.name for s in expression.free_symbols if s.name not in names)
    if unknown:
        raise ValueError(f"the expression has symbols that are not in variables: {unknown}.")
    # Symbols are the same if their names are, whatever is assumed of them.
    plain = {symbol: sympy.Symbol(symbol.name) for symbol in expression.free_symbols}
    inputs = [sympy.Symbol(symbol.name) for symbol in variables]
    return _Compiler(expression.xreplace(plain), inputs).network()


class _Compiler:
    def __init__(self, expression: sympy.Expr, inputs: list[sympy.Symbol]) -> None:
        self.inputs = inputs
        self.depth = max(1, _depth(expression))
        # For every level the nodes it holds: an expression and which copy of it this is.
        self.levels: list[list[tuple[sympy.Expr, int]]] = [[] for _ in range(self.depth + 1)]
        self.levels[0] = [(symbol, 0) for symbol in inputs]
        self.levels[self.depth] = [(expression, 0)]
        for level in range(self.depth, 1, -1):
            for node, _ in self.levels[level]:
                for part in self.parts(node, level):
                    for edge, copy in _numbered(part.edges):
                        wanted = (edge.argument, copy)
                        if wanted not in self.levels[level - 1]:
                            self.levels[level - 1].append(wanted)
            # Sum nodes come before products.
            self.levels[level - 1].sort(
                key=lambda entry, below=level - 1: len(self.parts(entry[0], below)) > 1
            )

    def parts(self, node: sympy.Expr, level: int) -> list[_Sum]:
        """Return the sums that make up a node at a level: more than one are multiplied."""
        if level > max(1, _depth(node)):
            return [_Sum((_Edge(node),), 0.0)]
        return _parts(node)

    def network(self) -> KAN:
        width: list[Any] = [len(self.inputs)]
        for level in range(1, self.depth + 1):
            sizes = [len(self.parts(node, level)) for node, _ in self.levels[level]]
            width.append((sizes.count(1), [size for size in sizes if size > 1]))
        model = KAN(width, grid=1, k=1, residual=None, dtype=torch.float64)
        for level in range(1, self.depth + 1):
            layer, places = model.layer(level - 1), {}
            for place, entry in enumerate(self.levels[level - 1]):
                places[entry] = place
            subnode = 0
            for node, _ in self.levels[level]:
                for part in self.parts(node, level):
                    used: dict[int, tuple[_Edge, float]] = {}
                    for edge, copy in _numbered(part.edges):
                        used[places[edge.argument, copy]] = (edge, 0.0)
                    for i in range(len(places)):
                        if i in used:
                            edge = used[i][0]
                            layer.set_symbolic(
                                i, subnode, edge.function, edge.a, edge.b, edge.c, 0.0
                            )
                        else:
                            layer.remove_edge(i, subnode)
                    with torch.no_grad():
                        layer.bias[subnode] = part.bias
                    subnode += 1
        model.fresh = False
        return model


def _numbered(edges: Sequence[_Edge]) -> list[tuple[_Edge, int]]:
    """Pair edges with copies of their arguments: two functions of one value need two nodes."""
    seen: dict[sympy.Expr, int] = {}
    found: list[tuple[_Edge, int]] = []
    for edge in edges:
        copy = seen.get(edge.argument, 0)
        seen[edge.argument] = copy + 1
        found.append((edge, copy))
    return found


@cache
def _depth(node: sympy.Expr) -> int:
    """Return the level at which a value is there: 0 for inputs."""
    if isinstance(node, sympy.Symbol) or not node.free_symbols:
        return 0
    below = 0
    for part in _parts(node):
        for edge, copy in _numbered(part.edges):
            below = max(below, _depth(edge.argument), 1 if copy else 0)
    return below + 1


@cache
def _parts(node: sympy.Expr) -> list[_Sum]:
    if isinstance(node, sympy.Mul):
        number, rest = _split_number(node)
        factors = rest.args if isinstance(rest, sympy.Mul) else (rest,)
        if len(factors) > 1:
            sums = [_sum(factor) for factor in factors]
            first = sums[0]
            edges = tuple(
                _Edge(e.argument, e.function, e.a, e.b, e.c * number) for e in first.edges
            )
            return [_Sum(edges, first.bias * number), *sums[1:]]
    return [_sum(node)]


def _sum(node: sympy.Expr) -> _Sum:
    terms = node.args if isinstance(node, sympy.Add) else (node,)
    bias = sum(float(term) for term in terms if not term.free_symbols)
    return _Sum(tuple(_edge(term) for term in terms if term.free_symbols), bias)


def _split_number(node: sympy.Expr) -> tuple[float, sympy.Expr]:
    number, rest = node.as_independent(*node.free_symbols, as_Add=False)
    return float(number), rest


def _edge(term: sympy.Expr) -> _Edge:
    number, core = _split_number(term) if isinstance(term, sympy.Mul) else (1.0, term)
    if isinstance(core, sympy.Pow) and not core.args[1].free_symbols:
        a, b, argument = _affine(core.args[0])
        return _Edge(argument, _power(float(core.args[1])), a, b, number)
    if isinstance(core, sympy.Pow):
        # u^v = exp(v log u)
        return _Edge(core.args[1] * sympy.log(core.args[0]), LIBRARY["exp"], 1.0, 0.0, number)
    if isinstance(core, sympy.Add | sympy.Mul | sympy.Symbol):
        return _Edge(core, _LINEAR, 1.0, 0.0, number)
    function = _functions().get(core.func)
    inner = core.args[-1]
    if isinstance(core, sympy.besselj) and core.args[0] == 0:
        function = LIBRARY["J0"]
    if function is None:
        raise ValueError(f"the expression has a part that no edge can compute: {core}.")
    a, b, argument = _affine(inner)
    return _Edge(argument, function, a, b, number)


def _affine(node: sympy.Expr) -> tuple[float, float, sympy.Expr]:
    """Write a node as ``a*u + b``."""
    number, rest = node.as_independent(*node.free_symbols, as_Add=True)
    if isinstance(rest, sympy.Mul):
        factor, rest = _split_number(rest)
    else:
        factor = 1.0
    return factor, float(number), rest


@cache
def _functions() -> dict[Any, SymbolicFunction]:
    x = sympy.Symbol("x", real=True)
    found: dict[Any, SymbolicFunction] = {}
    for function in LIBRARY.values():
        form = function.sympy(x)
        if getattr(form, "args", None) == (x,):
            found.setdefault(form.func, function)
    return found


@cache
def _power(exponent: float) -> SymbolicFunction:
    for function in LIBRARY.values():
        plain = function.symmetry == "power" and function.name not in ("abs", "cbrt", "sign")
        if plain and function.degree == exponent:
            return function
    whole = exponent.is_integer()
    return SymbolicFunction(
        f"x^{exponent:g}",
        lambda x: x**exponent,
        lambda x: x ** sympy.nsimplify(exponent, rational=True),
        cost=5.0,
        domain=((-math.inf, math.inf),)
        if whole and exponent > 0
        else ((-math.inf, 0.0), (0.0, math.inf))
        if whole
        else ((0.0, math.inf),),
        symmetry="power",
        degree=exponent,
    )
