r"""The Jacobian of a network in its free parameters, and the normal equations built from it.

One sweep back from an output gives :math:`s_{nj} = \partial y_n / \partial u_{nj}` for every sum
:math:`u_j` of every layer.  A column of the Jacobian is then a product of known things: for the
weight of feature `f` on edge (i, j) it is :math:`\Phi_{f}(x_{ni})\, s_{nj}`.  The matrix is formed
in blocks of rows, of which only :math:`J^T J` and :math:`J^T r` are kept, so the number of rows is
unbounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers import KANLayer
from ..network import KAN


@dataclass(frozen=True)
class LayerParameters:
    """The free parameters of one layer and where they stand in the network's vector.

    Attributes
    ----------
    layer : KANLayer
    sources, targets : Tensors of shape (spline edges,)
        Input and output of every spline edge.
    free : Tensor of shape (symbolic edges, 3), bool
        Which of a, b, c are free on every symbolic edge.
    offset, size : int
        The layer's slice of the vector: spline edges (each its coefficients, then the residual's
        weight), free symbolic constants, biases.
    """

    layer: KANLayer
    sources: Tensor
    targets: Tensor
    free: Tensor
    offset: int

    @property
    def per_edge(self) -> int:
        """Number of weights of one spline edge."""
        return self.layer.coefficients.shape[1] + (self.layer.residual_weight is not None)

    @property
    def spline_size(self) -> int:
        """Number of weights of all spline edges."""
        return len(self.sources) * self.per_edge

    @property
    def size(self) -> int:
        """Number of free parameters of the layer."""
        return self.spline_size + int(self.free.sum()) + self.layer.out_features

    def read(self) -> Tensor:
        """Return the layer's slice of the vector."""
        layer = self.layer
        splines = layer.coefficients[self.sources, :, self.targets]
        if layer.residual_weight is not None:
            weight = layer.residual_weight[self.sources, self.targets]
            splines = torch.cat([splines, weight[:, None]], dim=1)
        return torch.cat([splines.flatten(), layer.affine[self.free], layer.bias])

    def write(self, values: Tensor) -> None:
        """Set the layer's parameters from its slice of the vector."""
        layer = self.layer
        splines = values[: self.spline_size].view(len(self.sources), self.per_edge)
        count = layer.coefficients.shape[1]
        layer.coefficients[self.sources, :, self.targets] = splines[:, :count]
        if layer.residual_weight is not None:
            layer.residual_weight[self.sources, self.targets] = splines[:, count]
        rest = values[self.spline_size :]
        constants = int(self.free.sum())
        if constants:
            layer.affine[self.free] = rest[:constants]
        layer.bias.copy_(rest[constants:])


class FreeParameters:
    """All free parameters of a network as one vector.

    Weights of absent edges, the splines beneath symbolic edges and constants that a function's
    symmetry makes redundant (``c * (a*x)**2`` needs no `a`) are left out.
    """

    def __init__(self, model: KAN) -> None:
        self.model = model
        self.parts: list[LayerParameters] = []
        offset = 0
        for index in range(model.depth):
            layer = model.layer(index)
            sources, targets = layer.spline_mask.nonzero().T
            free = torch.tensor(
                [[f.free_a, f.free_b, True] for f in layer.functions],
                dtype=torch.bool,
                device=model.device,
            ).reshape(-1, 3)
            part = LayerParameters(layer, sources, targets, free, offset)
            self.parts.append(part)
            offset += part.size
        self.size = offset

    @torch.no_grad()
    def read(self) -> Tensor:
        """Return the vector, shape (size,)."""
        return torch.cat([part.read() for part in self.parts])

    @torch.no_grad()
    def write(self, values: Tensor) -> None:
        """Set the network's parameters from a vector of shape (size,)."""
        for part in self.parts:
            part.write(values[part.offset : part.offset + part.size])

    def trainable(self) -> Tensor:
        """Tell which entries of the vector may change, those whose parameters require gradients."""
        flags: list[Tensor] = []
        for part in self.parts:
            layer, edges = part.layer, len(part.sources)
            columns = [layer.coefficients.requires_grad] * layer.coefficients.shape[1]
            if layer.residual_weight is not None:
                columns.append(layer.residual_weight.requires_grad)
            constants = [layer.affine.requires_grad] * int(part.free.sum())
            biases = [layer.bias.requires_grad] * layer.out_features
            flags.append(torch.tensor([*columns * edges, *constants, *biases]))
        return torch.cat(flags)

    def index_of(self, layer: int, kind: str, position: int) -> int | None:
        """Return where a constant stands in the vector, or None if it is not free.

        `kind` is "a", "b" or "c" of the symbolic edge at `position`, or "bias" of that output.
        """
        part = self.parts[layer]
        if kind == "bias":
            return part.offset + part.size - part.layer.out_features + position
        column = "abc".index(kind)
        if not bool(part.free[position, column]):
            return None
        before = int(part.free[:position].sum()) + int(part.free[position, :column].sum())
        return part.offset + part.spline_size + before

    @torch.no_grad()
    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the network and its Jacobian.

        Parameters
        ----------
        x : Tensor of shape (rows, inputs)

        Returns
        -------
        outputs : Tensor of shape (rows, outputs)
        jacobian : Tensor of shape (outputs, rows, size)
        """
        model = self.model
        sweeps: list[_Sweep] = []
        for part, nodes in zip(self.parts, model.nodes, strict=True):
            sweep = _Sweep(part, x)
            sweeps.append(sweep)
            x = nodes.combine(sweep.subnodes)
        jacobian = x.new_empty(model.output_count, len(x), self.size)
        for output in range(model.output_count):
            slope = torch.zeros_like(x)
            slope[:, output] = 1
            for sweep, nodes in zip(reversed(sweeps), reversed(model.nodes), strict=True):
                slope = slope[:, nodes.owners()] if nodes.products else slope
                if nodes.products:
                    slope = slope * nodes.slopes(sweep.subnodes)
                sweep.columns(slope, jacobian[output])
                if sweep is not sweeps[0]:
                    slope = sweep.back(slope)
        return x, jacobian


class _Sweep:
    """One layer's share of the Jacobian at given inputs."""

    def __init__(self, part: LayerParameters, x: Tensor) -> None:
        layer = part.layer
        self._part = part
        self._features = layer.features(x) if len(part.sources) else None
        self._weights = layer.feature_weights()
        self.subnodes = layer.bias.expand(len(x), -1)
        if self._features is not None:
            values = self._features.values.flatten(1)
            self.subnodes = torch.addmm(layer.bias, values, self._weights.flatten(0, 1))
        if layer.functions:
            self._evaluate_symbols(x)
            self.subnodes = self.subnodes.index_add(
                1, layer.symbolic_edges[:, 1], self._c * self._values
            )

    def _evaluate_symbols(self, x: Tensor) -> None:
        layer = self._part.layer
        a, b, self._c = layer.affine.detach().unbind(1)
        self._inputs = x[:, layer.symbolic_edges[:, 0]]
        argument = self._inputs * a + b
        self._values, self._derivatives = torch.empty_like(argument), torch.empty_like(argument)
        for function, where in layer.function_groups():
            self._values[:, where] = function.torch(argument[:, where])
            self._derivatives[:, where] = function.derivative(argument[:, where])

    def columns(self, slope: Tensor, jacobian: Tensor) -> None:
        """Fill the layer's columns of `jacobian`, (rows, size), from d output / d sums."""
        part, rows = self._part, len(slope)
        layer, at = part.layer, part.offset
        if self._features is not None:
            block = jacobian[:, at : at + part.spline_size].view(rows, -1, part.per_edge)
            torch.mul(
                self._features.values[:, part.sources], slope[:, part.targets, None], out=block
            )
        at += part.spline_size
        if layer.functions:
            through = slope[:, layer.symbolic_edges[:, 1]]
            inner = through * self._c * self._derivatives
            partials = torch.stack([inner * self._inputs, inner, through * self._values], dim=2)
            free = partials[:, part.free]
            jacobian[:, at : at + free.shape[1]] = free
            at += free.shape[1]
        jacobian[:, at : at + layer.out_features] = slope

    def back(self, slope: Tensor) -> Tensor:
        """Return d output / d inputs of the layer, shape (rows, inputs)."""
        layer = self._part.layer
        back = slope.new_zeros(len(slope), layer.in_features)
        if self._features is not None:
            # sum_j s_j phi'_ij(x_i), the weights first so that rows x edges is never formed.
            mixed = (slope @ self._weights.flatten(0, 1).T).view_as(self._features.slopes)
            back = (mixed * self._features.slopes).sum(dim=2)
        if layer.functions:
            inner = slope[:, layer.symbolic_edges[:, 1]] * self._c * self._derivatives
            a = layer.affine.detach()[:, 0]
            back = back.index_add(1, layer.symbolic_edges[:, 0], inner * a)
        return back
