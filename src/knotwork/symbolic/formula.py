"""From a symbolic network to SymPy expressions that agree with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from ..network import KAN
from .gauge import fix_gauge
from .numbers import recognise
from .snapping import spline_edges

# Relative distance at which a constant is printed as a nicer number, coarsest first; whichever
# keeps the formula in agreement with the network is used.
_TOLERANCES = (1e-7, 1e-9, 1e-11)
# Largest difference between formula and network over the data, relative to the outputs' size.
AGREEMENT = 1e-8
_MOST_ROWS = 1000

Number = Callable[[float], sympy.Expr]


def symbolic_formula(
    model: KAN, var: Sequence[str | sympy.Symbol] | None = None
) -> tuple[list[sympy.Expr], list[sympy.Symbol]]:
    """Return the outputs' formulas and their variables.

    Constants are printed as nicer numbers (integers, fractions, multiples of pi, ...) only where
    the formula still agrees with the network to 1e-8 over the data it was fitted to.

    Parameters
    ----------
    model : KAN
        All edges symbolic or absent.
    var : sequence of str or sympy.Symbol, optional
        Names of the inputs; by default those of the data, or x_1, x_2, ...

    Returns
    -------
    expressions : list of sympy.Expr
        One an output.
    variables : list of sympy.Symbol

    Raises
    ------
    ValueError
        If some edge is still a spline, or `var` does not name every input once.
    """
    remaining = spline_edges(model)
    if remaining:
        listed = ", ".join(map(str, remaining[:4])) + (", ..." if len(remaining) > 4 else "")
        raise ValueError(
            f"symbolic_formula needs every edge to be symbolic, but {len(remaining)} are still "
            f"splines: {listed}. Call auto_symbolic(), fix_symbolic(l, i, j, name) or prune()."
        )
    variables = _variables(model, var)
    written = model.copy().double()
    fix_gauge(written)
    exact = _expressions(written, variables, sympy.Float)
    if model.dataset is None:
        return exact, variables
    x = model.dataset.train.inputs
    x = x[:: max(1, len(x) // _MOST_ROWS)].to("cpu", torch.float64)
    outputs = model.copy().cpu().double()(x).detach()
    for tolerance in _TOLERANCES:
        nicer = _expressions(written, variables, lambda value, t=tolerance: recognise(value, t))
        if _disagreement(nicer, variables, x, outputs) <= AGREEMENT:
            return nicer, variables
    return exact, variables


def _variables(model: KAN, var: Sequence[str | sympy.Symbol] | None) -> list[sympy.Symbol]:
    names: Sequence[str | sympy.Symbol]
    if isinstance(var, str):
        raise TypeError(f"var must be a list of names, one an input; got the text {var!r}.")
    names = var or model.input_names or [f"x_{i + 1}" for i in range(model.input_count)]
    # Symbols are made, never parsed: a name is text from a stranger.
    variables = [n if isinstance(n, sympy.Symbol) else sympy.Symbol(n) for n in names]
    if len(variables) != model.input_count or len(set(variables)) != len(variables):
        raise ValueError(
            f"var must name each of the {model.input_count} inputs once; got {list(names)}."
        )
    return variables


def _expressions(
    model: KAN, variables: Sequence[sympy.Symbol], number: Number
) -> list[sympy.Expr]:
    """Build the outputs' expressions, constants written by `number`."""
    values: list[sympy.Expr] = list(variables)
    for level, nodes in enumerate(model.nodes):
        layer = model.layer(level)
        sums = [number(value) for value in layer.bias.tolist()]
        for position, (i, j) in enumerate(layer.symbolic_edges.tolist()):
            function = layer.functions[position]
            a, b, c = (number(value) for value in layer.affine[position].tolist())
            sums[j] = sums[j] + c * function.sympy(a * values[i] + b)
        values = [
            sympy.Mul(*(sums[member] for member in nodes.members(node)))
            for node in range(nodes.count)
        ]
    return values


def _disagreement(
    expressions: Sequence[sympy.Expr], variables: Sequence[sympy.Symbol], x: Tensor, outputs: Tensor
) -> float:
    """Return the largest difference over rows x, relative to the outputs' size."""
    values = evaluate(expressions, variables, x)
    size = outputs.abs().amax(dim=0).clamp(min=torch.finfo(outputs.dtype).tiny)
    difference = ((values - outputs).abs() / size).max()
    return float(difference) if bool(difference.isfinite()) else float("inf")


def evaluate(
    expressions: Sequence[sympy.Expr], variables: Sequence[sympy.Symbol], x: Tensor
) -> Tensor:
    """Evaluate expressions at x of shape (rows, variables): shape (rows, expressions), float64."""
    columns: list[Tensor] = []
    modules: list[Any] = [{"besselj": _bessel, "erf": _erf}, "numpy"]
    for expression in expressions:
        function = sympy.lambdify(list(variables), expression, modules=modules)
        # Values that overflow or lie outside a domain come out as inf or nan, to be seen there.
        with np.errstate(all="ignore"):
            value = function(*(x[:, i].numpy() for i in range(x.shape[1])))
        columns.append(torch.as_tensor(value, dtype=torch.float64).expand(len(x)))
    return torch.stack(columns, dim=1)


def _bessel(order: int, values: Any) -> Any:
    from ..functions import get

    if order != 0:
        raise ValueError(f"only the Bessel function of order 0 can be evaluated; got {order}.")
    return get("J0").torch(torch.as_tensor(values, dtype=torch.float64)).numpy()


def _erf(values: Any) -> Any:
    return torch.erf(torch.as_tensor(values, dtype=torch.float64)).numpy()
