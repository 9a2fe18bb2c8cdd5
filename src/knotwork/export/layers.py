"""A layer of edges, and the nodes behind it, as operations of ONNX.

Splines are computed densely: all basis functions at every point, by the recurrence of Cox and de
Boor, which takes no more than products, sums and comparisons that every runtime has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..layers import KANLayer
from ..nodes import Nodes
from .functions import RESIDUALS, form
from .graph import Graph

Array = NDArray[np.float64]


def add_layer(graph: Graph, x: str, layer: KANLayer) -> str:
    """Add a layer of edges to the graph.

    Parameters
    ----------
    graph : Graph
    x : str
        The layer's inputs, of shape (rows, inputs).
    layer : KANLayer

    Returns
    -------
    str
        The name of its sums, of shape (rows, outputs).
    """
    parts = _spline_sums(graph, x, layer)
    if layer.functions:
        parts.append(_symbolic_sums(graph, x, layer))
    if not parts:
        # Nothing but biases: zeros for as many rows as come in.
        parts.append(graph.apply("MatMul", x, np.zeros(layer.kind.shape)))
    total = parts[0]
    for part in parts[1:]:
        total = graph.apply("Add", total, part)
    return graph.apply("Add", total, _array(layer.bias))


def add_nodes(graph: Graph, sums: str, nodes: Nodes) -> str:
    """Turn a layer's sums, of shape (rows, sums), into the values of nodes, (rows, nodes)."""
    if not nodes.products:
        return sums
    members = [nodes.members(node) for node in range(nodes.count)]
    return graph.reduced("ReduceProd", sums, members, nodes.subnodes)


def _array(tensor: Tensor) -> Array:
    return tensor.detach().to("cpu", torch.float64).numpy()


# -- splines ---------------------------------------------------------------------------------------


def _spline_sums(graph: Graph, x: str, layer: KANLayer) -> list[str]:
    """Add what comes through spline edges; nothing where there are none."""
    inputs = layer.spline_mask.any(dim=1).nonzero()[:, 0].tolist()
    if not inputs:
        return []
    weights = _array(layer.feature_weights())[inputs]
    count = layer.coefficients.shape[1]
    points = graph.columns(x, inputs, layer.in_features)
    bases = _bases(graph, points, _array(layer.knots)[inputs], layer.k, layer.extrapolation)
    # A zero in a shape keeps the number of rows.
    flat = graph.apply("Reshape", bases, np.array([0, len(inputs) * count]))
    coefficients = weights[:, :count].reshape(-1, layer.out_features)
    parts = [graph.apply("MatMul", flat, coefficients)]
    if layer.residual is not None:
        values = RESIDUALS[layer.residual](graph, points)
        parts.append(graph.apply("MatMul", values, weights[:, count]))
    return parts


def _bases(graph: Graph, x: str, knots: Array, k: int, extrapolation: str) -> str:
    """Add all basis functions at each point: shape (rows, inputs, grid + k)."""

    def apply(operation: str, *inputs: Any) -> str:
        return graph.apply(operation, *inputs)

    def before(values: str, value: float = 0.0) -> str:
        return graph.padded(values, 1, 0, dims=3, value=value)

    def behind(values: str) -> str:
        return graph.padded(values, 0, 1, dims=3)

    grid = knots.shape[1] - 2 * k - 1
    low, high = knots[:, [k]], knots[:, [-k - 1]]
    x = apply("Unsqueeze", x, np.array([2]))
    clamped = apply("Min", apply("Max", x, low), high)
    point = x if extrapolation == "continue" else clamped
    # Order 0: which interval a point lies in, from the inner breakpoints that it has passed.
    passed = graph.cast(apply("GreaterOrEqual", clamped, knots[:, k + 1 : k + grid]))
    values = apply("Sub", before(passed, 1.0), behind(passed))
    ratio = values
    for order in range(1, k + 1):
        left, right = knots[:, k + 1 - order : k + grid], knots[:, k + 1 : k + grid + order]
        ratio = apply("Mul", values, 1 / (right - left))
        rising = apply("Mul", ratio, apply("Sub", point, left))
        falling = apply("Mul", ratio, apply("Sub", right, point))
        values = apply("Add", before(rising), behind(falling))
    if extrapolation == "zero":
        return apply("Mul", values, graph.cast(apply("Equal", x, clamped)))
    if extrapolation == "linear":
        slopes = apply("Mul", apply("Sub", before(ratio), behind(ratio)), np.array(float(k)))
        return apply("Add", values, apply("Mul", apply("Sub", x, clamped), slopes))
    return values


# -- symbolic edges --------------------------------------------------------------------------------


def _symbolic_sums(graph: Graph, x: str, layer: KANLayer) -> str:
    """Add what comes through symbolic edges: shape (rows, outputs)."""
    edges, affine = layer.symbolic_edges.tolist(), _array(layer.affine)
    values: list[str] = []
    order: list[int] = []
    for function, where in layer.function_groups():
        group = where.tolist()
        a, b, c = affine[group].T
        inputs = graph.columns(x, [edges[position][0] for position in group], layer.in_features)
        arguments = graph.apply("Add", graph.apply("Mul", inputs, a), b)
        values.append(graph.apply("Mul", form(function)(graph, arguments), c))
        order += group
    members: list[list[int]] = [[] for _ in range(layer.out_features)]
    for column, position in enumerate(order):
        members[edges[position][1]].append(column)
    together = values[0] if len(values) == 1 else graph.apply("Concat", *values, axis=1)
    return graph.reduced("ReduceSum", together, members, len(order))
