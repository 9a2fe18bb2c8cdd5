r"""How an output of a network depends on every sum in it: one sweep forward, one back.

One sweep back from an output gives :math:`s_{nj} = \partial y_n / \partial u_{nj}` for every sum
:math:`u_j` of every layer.  All derivatives by parameters are products of these and of known
things: for the weight of feature `f` on edge (i, j) it is :math:`\Phi_{f}(x_{ni})\, s_{nj}`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..network import KAN
from .parameters import FreeParameters, LayerParameters


class LayerSweep:
    """One layer at given inputs.

    Attributes
    ----------
    part : LayerParameters
    x : Tensor of shape (rows, inputs)
    sums : Tensor of shape (rows, outputs)
        The layer's outputs.
    """

    def __init__(self, part: LayerParameters, x: Tensor) -> None:
        layer = part.layer
        self.part = part
        self.x = x
        self.sums = layer.spline_sums(x)
        if layer.functions:
            self._evaluate_symbols()
            self.sums = self.sums.index_add(1, layer.symbolic_edges[:, 1], self._c * self._values)

    def _evaluate_symbols(self) -> None:
        layer = self.part.layer
        a, b, self._c = layer.affine.detach().unbind(1)
        self._inputs = self.x[:, layer.symbolic_edges[:, 0]]
        argument = self._inputs * a + b
        self._values, self._derivatives = torch.empty_like(argument), torch.empty_like(argument)
        for function, where in layer.function_groups():
            self._values[:, where] = function.torch(argument[:, where])
            self._derivatives[:, where] = function.derivative(argument[:, where])

    def plain_columns(self, slope: Tensor) -> list[Tensor]:
        """Return the output's derivatives by free symbolic constants and by biases.

        Parameters
        ----------
        slope : Tensor of shape (rows, outputs)
            Derivatives of the network's output by the layer's sums.
        """
        layer = self.part.layer
        if not layer.functions:
            return [slope]
        through = slope[:, layer.symbolic_edges[:, 1]]
        inner = through * self._c * self._derivatives
        partials = torch.stack([inner * self._inputs, inner, through * self._values], dim=2)
        return [partials[:, self.part.free], slope]

    def back(self, slope: Tensor) -> Tensor:
        """Return the output's derivatives by the layer's inputs, shape (rows, inputs)."""
        layer = self.part.layer
        back = layer.spline_gradient(self.x, slope)
        if layer.functions:
            inner = slope[:, layer.symbolic_edges[:, 1]] * self._c * self._derivatives
            a = layer.affine.detach()[:, 0]
            back = back.index_add(1, layer.symbolic_edges[:, 0], inner * a)
        return back


def forward(parameters: FreeParameters, x: Tensor) -> tuple[list[LayerSweep], Tensor]:
    """Go through the network at rows `x`; return its layers and the outputs."""
    sweeps: list[LayerSweep] = []
    for part, nodes in zip(parameters.parts, parameters.model.nodes, strict=True):
        sweep = LayerSweep(part, x)
        sweeps.append(sweep)
        x = nodes.combine(sweep.sums)
    return sweeps, x


def backward(model: KAN, sweeps: Sequence[LayerSweep], output: int) -> list[Tensor]:
    """Return one output's derivatives by every layer's sums, each of shape (rows, sums)."""
    rows = sweeps[0].x
    slope = rows.new_zeros(len(rows), model.output_count)
    slope[:, output] = 1
    slopes: list[Tensor] = []
    for sweep, nodes in zip(reversed(sweeps), reversed(model.nodes), strict=True):
        if slopes:
            slope = sweeps[len(sweeps) - len(slopes)].back(slope)
        if nodes.products:
            slope = slope[:, nodes.owners()] * nodes.slopes(sweep.sums)
        slopes.append(slope)
    return slopes[::-1]
