"""The spline layer on a GPU, by Triton's programs in `gpu_programs`.

Every sum is made by one program, row after row in a fixed order, so results do not differ from one
run to the next: nothing is added atomically.  For the gradient of coefficients rows are sorted by
interval, stably; a program then owns one basis function of an input and passes over the rows where
it does not vanish.  Residuals are matrix products and left to torch.

The programs are checked against the reference in Triton's interpreter.  They have been neither run
nor timed on a GPU.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .. import splines
from ..residuals import RESIDUALS
from . import gpu_programs
from .reference import SPLINE, Rule, SplineLayer

# Rows and outputs of a tile: its sums fit into the registers of a program's four warps.
_ROWS = 32
_MOST_OUTPUTS = 64
# Powers of the end polynomials that go on beyond the knots.
_KEPT = {"zero": 0, "constant": 1, "linear": 2}


def pieces(knots: Tensor, k: int, extrapolation: str) -> Tensor:
    """Return the polynomials that the bases are below the knots, on every interval, and above.

    Their variable is the distance from the interval's left end (above the knots: from its right
    end), in units of its width.

    Parameters
    ----------
    knots : Tensor of shape (inputs, grid + 2 k + 1)
    k, extrapolation
        See `Rule`.

    Returns
    -------
    Tensor of shape (inputs, grid + 2, k + 1, k + 1)
        For each class of points and each of the bases that do not vanish the coefficients, powers
        in ascending order.
    """
    breaks = knots[:, k:-k].double()
    start = torch.cat([breaks[:, :1], breaks], dim=1)
    widths = breaks.diff()
    widths = torch.cat([widths[:, :1], widths, widths[:, -1:]], dim=1)
    taylor = splines.local_bases(start.T, knots.double(), k, tuple(range(k + 1)), "continue")
    found = torch.stack(
        [
            local.values * (widths.T**power / math.factorial(power))[..., None]
            for power, local in enumerate(taylor)
        ],
        dim=-1,
    )
    found[[0, -1], ..., _KEPT.get(extrapolation, k + 1) :] = 0
    return found.transpose(0, 1).to(knots.dtype).contiguous()


@cache
def _even_pieces(k: int, extrapolation: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the same for all evenly spaced knots: one interval stands for all."""
    return pieces(torch.arange(-k, k + 2, dtype=dtype, device=device)[None], k, extrapolation)


def _arguments(knots: Tensor, rule: Rule) -> tuple[tuple[Tensor, int], dict[str, Any]]:
    """Return the polynomials, how many numbers each input has of them, and what else is fixed."""
    grid = knots.shape[1] - 2 * rule.k - 1
    if rule.uniform:
        table = _even_pieces(rule.k, rule.extrapolation, knots.dtype, knots.device), 0
    else:
        found = pieces(knots, rule.k, rule.extrapolation)
        table = found, found[0].numel()
    constants = {
        "intervals": grid,
        "K": rule.k,
        "UNIFORM": rule.uniform,
        "CLAMPS": rule.extrapolation in ("constant", "zero"),
        "STEPS": (grid - 1).bit_length(),
        "ROWS": _ROWS,
    }
    return table, constants


def _tile(outputs: int) -> int:
    """Return how many outputs a program takes together, a power of two."""
    return min(_MOST_OUTPUTS, 1 << (outputs - 1).bit_length())


def _tiles(count: int, size: int) -> int:
    return -(-count // size)


def _launch(
    program: Any, shape: tuple[int, ...], arguments: tuple[Tensor | int, ...], **constants: Any
) -> None:
    with torch.cuda.device_of(arguments[0]):
        program[shape](*arguments, **constants)


def _residual_weight(residual_weight: Tensor, kind: Tensor) -> Tensor:
    return residual_weight * (kind == SPLINE)


def forward(x: Tensor, layer: SplineLayer) -> Tensor:
    """Return the layer's outputs, shape (rows, outputs); as `reference.forward`."""
    knots, coefficients, residual_weight, bias, kind, rule = layer.contiguous()
    assert bias is not None
    (rows, inputs), outputs = x.shape, coefficients.shape[2]
    if residual_weight is None or rule.residual is None:
        y = bias.repeat(rows, 1)
    else:
        values = RESIDUALS[rule.residual].at(x, 0)
        y = torch.addmm(bias, values, _residual_weight(residual_weight, kind))
    x = x.contiguous()
    table, constants = _arguments(knots, rule)
    tile, sizes = _tile(outputs), (rows, inputs, outputs)
    shape = _tiles(rows, _ROWS), _tiles(outputs, tile)
    arguments = x, knots, *table, coefficients, kind, y, *sizes
    _launch(gpu_programs.add_splines, shape, arguments, **constants, OUTPUTS=tile)
    return y


def backward(
    grad: Tensor, x: Tensor, layer: SplineLayer, wanted: tuple[Tensor | None, ...]
) -> None:
    """Write the gradients of x, coefficients, residual weights and bias where they are wanted.

    Parameters
    ----------
    grad : Tensor of shape (rows, outputs)
    x : Tensor of shape (rows, inputs)
    layer : SplineLayer
    wanted : tuple of four contiguous Tensors or None
    """
    grad, x, layer = grad.contiguous(), x.contiguous(), layer.contiguous()
    of_x, of_coefficients, of_residual, of_bias = wanted
    if of_x is not None:
        _input_gradient(grad, x, layer, of_x)
    if of_coefficients is not None:
        _coefficient_gradient(grad, x, layer, of_coefficients)
    if of_residual is not None and layer.rule.residual is not None:
        torch.mm(RESIDUALS[layer.rule.residual].at(x, 0).T, grad, out=of_residual)
        of_residual *= layer.kind == SPLINE
    if of_bias is not None:
        torch.sum(grad, 0, out=of_bias)


def _input_gradient(grad: Tensor, x: Tensor, layer: SplineLayer, of_x: Tensor) -> None:
    knots, coefficients, residual_weight, _, kind, rule = layer
    if residual_weight is None or rule.residual is None:
        of_x.zero_()
    else:
        torch.mm(grad, _residual_weight(residual_weight, kind).T, out=of_x)
        of_x *= RESIDUALS[rule.residual].at(x, 1)
    (rows, inputs), outputs = x.shape, coefficients.shape[2]
    table, constants = _arguments(knots, rule)
    shape = (_tiles(rows, _ROWS) * inputs,)
    arguments = grad, x, knots, *table, coefficients, kind, of_x, rows, inputs, outputs
    _launch(gpu_programs.add_input_gradient, shape, arguments, **constants, OUTPUTS=_tile(outputs))


def _coefficient_gradient(
    grad: Tensor, x: Tensor, layer: SplineLayer, of_coefficients: Tensor
) -> None:
    knots, kind, rule = layer.knots, layer.kind, layer.rule
    (rows, inputs), (_, functions, outputs) = x.shape, of_coefficients.shape
    table, constants = _arguments(knots, rule)
    tile = _tile(outputs)
    first = torch.empty(inputs, rows, dtype=torch.int32, device=x.device)
    shape = (_tiles(rows, _ROWS) * inputs,)
    _launch(gpu_programs.first_bases, shape, (x, knots, first, rows, inputs), **constants)
    in_order, order = first.sort(dim=1, stable=True)
    each = torch.arange(functions - rule.k + 1, dtype=torch.int32, device=x.device)
    begins = torch.searchsorted(in_order, each.repeat(inputs, 1))
    shape = inputs * functions, _tiles(outputs, tile)
    sizes = rows, inputs, outputs
    arguments = grad, x, knots, *table, order, begins, kind, of_coefficients, *sizes
    _launch(gpu_programs.coefficient_gradient, shape, arguments, **constants, OUTPUTS=tile)
