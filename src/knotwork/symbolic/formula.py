"""From a symbolic network to SymPy expressions that agree with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import sympy
import torch
from torch import Tensor

from ..functions import LIBRARY, SymbolicFunction, get
from ..network import KAN
from .gauge import fix_gauge
from .numbers import recognise
from .snapping import spline_edges

# Relative distance at which a constant is printed as a nicer number, coarsest first; whichever
# keeps the formula in agreement with the network is used.
_TOLERANCES = (1e-7, 1e-9, 1e-11)
# Largest difference between formula and network over the data, relative to the outputs' size.
AGREEMENT = 1e-8
# Relative distance at which a nicer number is the same double, give or take its last bits.
_ROUNDING = 1e-15
_MOST_ROWS = 1000
_LARGEST_DENOMINATOR = 100

# Writes a constant that is added to something of the given size.
Number = Callable[[float, float], sympy.Expr]


def symbolic_formula(
    model: KAN, var: Sequence[str | sympy.Symbol] | None = None
) -> tuple[list[sympy.Expr], list[sympy.Symbol]]:
    """Return the outputs' formulas and their variables.

    Constants are printed as nicer numbers (integers, fractions, multiples of pi, ...) only where
    they are the same to rounding, or the formula still agrees with the network to 1e-8 over the
    data it was fitted to.

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
    exact = partial(_nicer, _ROUNDING)
    if model.dataset is None:
        return _expressions(written, variables, exact), variables
    x = model.dataset.train.inputs
    x = x[:: max(1, len(x) // _MOST_ROWS)].to("cpu", torch.float64)
    outputs = model.copy().cpu().double()(x).detach()
    own = _own_functions(model)
    computed = {str(name): partial(_computed, function) for function, name in own.items()}
    for tolerance in _TOLERANCES:
        nicer = partial(_nicer, tolerance)
        tried = _expressions(written.cpu(), variables, nicer, x, own)
        if _disagreement(tried, variables, x, outputs, computed) <= AGREEMENT:
            return _expressions(written, variables, nicer, x), variables
    return _expressions(written, variables, exact), variables


def _own_functions(model: KAN) -> dict[SymbolicFunction, Any]:
    """Return names for functions of the user's own: NumPy may not know what SymPy makes of them."""
    functions = [f for level in range(model.depth) for f in model.layer(level).functions]
    own = [f for f in dict.fromkeys(functions) if LIBRARY.get(f.name) != f]
    return {function: sympy.Function(f"own_{number}") for number, function in enumerate(own)}


def _nicer(tolerance: float, value: float, size: float) -> sympy.Expr:
    """Write `value` as a nicer number within the tolerance, 0 if that changes `size` as little."""
    if abs(value) <= tolerance * size:
        return sympy.Integer(0)
    return recognise(value, tolerance)


def _variables(model: KAN, var: Sequence[str | sympy.Symbol] | None) -> list[sympy.Symbol]:
    names: Sequence[str | sympy.Symbol]
    if isinstance(var, str):
        raise TypeError(f"var must be a list of names, one an input; got the text {var!r}.")
    default = model.input_names or [f"x_{i + 1}" for i in range(model.input_count)]
    names = default if var is None else list(var)
    strange = [name for name in names if not isinstance(cast("object", name), str | sympy.Symbol)]
    if strange:
        raise TypeError(f"var must hold names or SymPy symbols; got {strange[0]!r}.")
    # Symbols are made, never parsed: a name is text from a stranger.
    variables = [n if isinstance(n, sympy.Symbol) else sympy.Symbol(n) for n in names]
    if len(variables) != model.input_count or len(set(variables)) != len(variables):
        raise ValueError(
            f"var must name each of the {model.input_count} inputs once; got {list(names)}."
        )
    return variables


@torch.no_grad()
def _expressions(
    model: KAN,
    variables: Sequence[sympy.Symbol],
    number: Number,
    x: Tensor | None = None,
    names: Mapping[SymbolicFunction, Any] | None = None,
) -> list[sympy.Expr]:
    """Build the outputs' expressions, constants written by `number`.

    Rows `x` of shape (rows, inputs) tell the size of what a constant is added to.  Functions with
    `names` are called by them; others are written out.
    """
    values: list[sympy.Expr] = list(variables)
    names = {} if names is None else names
    traces = None if x is None else model.trace(x)[0]
    for level, nodes in enumerate(model.nodes):
        layer = model.layer(level)
        arguments, totals = [0.0] * len(layer.functions), [0.0] * layer.out_features
        if traces is not None:
            inputs = traces[level].inputs[:, layer.symbolic_edges[:, 0]]
            arguments = (inputs * layer.affine[:, 0]).abs().amax(dim=0).tolist()
            totals = (traces[level].subnodes - layer.bias).abs().amax(dim=0).tolist()
        sums = [number(v, size) for v, size in zip(layer.bias.tolist(), totals, strict=True)]
        for position, (i, j) in enumerate(layer.symbolic_edges.tolist()):
            function = layer.functions[position]
            a, b, c = layer.affine[position].tolist()
            argument = number(a, 0.0) * values[i] + number(b, arguments[position])
            sums[j] = sums[j] + number(c, 0.0) * names.get(function, function.sympy)(argument)
        values = [
            sympy.Mul(*(sums[member] for member in nodes.members(node)))
            for node in range(nodes.count)
        ]
    return [_with_plain_decimals(value) for value in values]


def _with_plain_decimals(expression: Any) -> sympy.Expr:
    """Write fractions such as 319431/1000 as decimals."""
    fractions = expression.atoms(sympy.Rational)
    decimals = {f: sympy.Float(f, 15) for f in fractions if f.q > _LARGEST_DENOMINATOR}
    return expression.xreplace(decimals)


def _disagreement(
    expressions: Sequence[sympy.Expr],
    variables: Sequence[sympy.Symbol],
    x: Tensor,
    outputs: Tensor,
    functions: Mapping[str, Callable[[Any], Any]],
) -> float:
    """Return the largest difference over rows x, relative to the outputs' size."""
    values = evaluate(expressions, variables, x, functions)
    size = outputs.abs().amax(dim=0).clamp(min=torch.finfo(outputs.dtype).tiny)
    difference = ((values - outputs).abs() / size).max()
    return float(difference) if bool(difference.isfinite()) else float("inf")


def evaluate(
    expressions: Sequence[sympy.Expr],
    variables: Sequence[sympy.Symbol],
    x: Tensor,
    functions: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Tensor:
    """Evaluate expressions at x of shape (rows, variables): shape (rows, expressions), float64.

    `functions` computes functions that SymPy knows by name only.
    """
    columns: list[Tensor] = []
    stand_ins = [sympy.Dummy(f"v{i}") for i in range(len(variables))]
    renamed = dict(zip(variables, stand_ins, strict=True))
    known = {"besselj": _bessel, "erf": partial(_computed, get("erf")), **(functions or {})}
    modules: list[Any] = [known, "numpy"]
    for expression in expressions:
        # Variables may have the names of functions or constants, hence the stand-ins.
        function = sympy.lambdify(stand_ins, expression.xreplace(renamed), modules=modules)
        # Values that overflow or lie outside a domain come out as inf or nan, to be seen there.
        with np.errstate(all="ignore"):
            value = function(*(x[:, i].numpy() for i in range(x.shape[1])))
        columns.append(torch.as_tensor(value, dtype=torch.float64).expand(len(x)))
    return torch.stack(columns, dim=1)


def _bessel(order: int, values: Any) -> Any:
    if order != 0:
        raise ValueError(f"only the Bessel function of order 0 can be evaluated; got {order}.")
    return _computed(get("J0"), values)


def _computed(function: SymbolicFunction, values: Any) -> Any:
    return function.torch(torch.as_tensor(values, dtype=torch.float64)).numpy()
