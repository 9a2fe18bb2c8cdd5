r"""Penalties that make a network sparse and smooth, for both kinds of training.

*First order and L-BFGS* get the reference implementation's penalty (arXiv 2404.19756, section 2.5):
the L1 norm of edge magnitudes and the entropy of their distribution, differentiated by autograd.

*Levenberg-Marquardt* gets a quadratic one that drives towards counting edges,

.. math:: \tfrac{\lambda}{2} \sum_e
          \frac{|\varphi_e|^2}{|\varphi_e|_{\text{prev}}^2 + \delta^2},

with :math:`|\varphi_e|` the spread of the edge's output over the data relative to its node's.  For
fixed weights it is a quadratic form in the coefficients, so it joins the normal equations exactly;
the weights are renewed every few steps, which descends on a sum of logarithms
:math:`\\log(1 + |\\varphi_e|^2 / \\delta^2)`: nearly a count of the edges much larger than delta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import splines
from ..network import KAN
from ..statistics import LayerStatistics, positive, traced_statistics
from .parameters import FreeParameters, LayerParameters

DELTA = 0.03


@dataclass(frozen=True)
class PenaltyWeights:
    """How much each term counts; all are relative to the targets' variance.

    Attributes
    ----------
    lamb : float
        Overall strength of the sparsity penalty.
    l1, entropy, coefficients, differences : float
        Relative strengths of its terms in first-order training: edge magnitudes, their entropy,
        absolute coefficients, absolute differences of neighbouring coefficients.
    smoothness : float or None
        Strength of the roughness term in Levenberg-Marquardt; None chooses it from the data.
    """

    lamb: float = 0.0
    l1: float = 1.0
    entropy: float = 2.0
    coefficients: float = 0.0
    differences: float = 0.0
    smoothness: float | None = 0.0


class QuadraticPenalty:
    """A quadratic form on every spline edge's weights, centred at zero.

    Parameters
    ----------
    parameters : FreeParameters
    blocks : list of Tensor
        For each layer the forms of its spline edges, shape (spline edges, weights, weights).
    """

    def __init__(self, parameters: FreeParameters, blocks: list[Tensor]) -> None:
        self._parts = parameters.parts
        self.blocks = blocks

    @classmethod
    @torch.no_grad()
    def of_statistics(
        cls,
        parameters: FreeParameters,
        statistics: Sequence[LayerStatistics],
        weights: PenaltyWeights,
    ) -> QuadraticPenalty:
        """Build the penalty from how the network's edges vary at present."""
        blocks: list[Tensor] = []
        for part, layer in zip(parameters.parts, statistics, strict=True):
            node = positive(layer.node_spread)[part.targets]
            relative = layer.relative_spread[part.sources, part.targets]
            strength = weights.lamb / (relative**2 + DELTA**2) / node**2
            form = strength[:, None, None] * layer.covariance[part.sources]
            if weights.smoothness:
                form = form + weights.smoothness * roughness(part, node)
            blocks.append(form)
        return cls(parameters, blocks)

    def _edges(self, values: Tensor) -> list[Tensor]:
        return [
            values[part.offset : part.offset + part.spline_size].view(-1, part.per_edge)
            for part in self._parts
        ]

    def value(self, parameters: Tensor) -> float:
        """Evaluate the penalty at a vector of free parameters."""
        return 0.5 * sum(
            float((edge * (block @ edge[..., None])[..., 0]).sum())
            for edge, block in zip(self._edges(parameters), self.blocks, strict=True)
        )

    def add_to(self, parameters: Tensor, gradient: Tensor, matrix: Tensor) -> None:
        """Add the penalty's gradient and second derivatives to the normal equations."""
        edges = self._edges(parameters)
        for part, edge, block in zip(self._parts, edges, self.blocks, strict=True):
            span = slice(part.offset, part.offset + part.spline_size)
            gradient[span] += (block @ edge[..., None]).flatten()
            size = part.per_edge
            # The diagonal blocks of the layer's square of the matrix, as a view.
            square = matrix[span, span].unflatten(0, (-1, size)).unflatten(2, (-1, size))
            square.diagonal(dim1=0, dim2=2).add_(block.permute(1, 2, 0))


def roughness(part: LayerParameters, node: Tensor) -> Tensor:
    r"""Return how far each spline edge is from one polynomial, as a form on its weights.

    The jumps of the k-th derivative over the knots' distance estimate derivative k + 1; their mean
    square is small for smooth functions and zero for polynomials of degree k, so what the data
    leaves open is filled in as smoothly as the splines can.

    Parameters
    ----------
    part : LayerParameters
    node : Tensor of shape (spline edges,)
        Spread of every edge's node, which roughness is relative to.

    Returns
    -------
    Tensor of shape (spline edges, weights, weights)
    """
    layer = part.layer
    form = node.new_zeros(len(part.sources), part.per_edge, part.per_edge)
    if layer.grid > 1:
        jumps = splines.difference_matrix(layer.knots, layer.k, layer.k).diff(dim=1) * layer.grid
        square = jumps.transpose(1, 2) @ jumps / jumps.shape[1]
        count = square.shape[1]
        form[:, :count, :count] = square[part.sources] / node[:, None, None] ** 2
    return form


def sparsity_measure(statistics: Sequence[LayerStatistics], weights: PenaltyWeights) -> float:
    """Evaluate what the renewed quadratic penalties descend on: lamb * sum log(1 + s^2 / delta^2).

    Its slope in an edge's relative spread s^2 is the weight that the quadratic form gives it.
    """
    logarithms = [
        torch.log1p(layer.relative_spread.square() / DELTA**2).sum() for layer in statistics
    ]
    return weights.lamb * sum(map(float, logarithms))


def sparsity_penalty(model: KAN, x: Tensor, weights: PenaltyWeights) -> tuple[Tensor, Tensor]:
    """Evaluate the reference's penalty over rows `x`, differentiable in all parameters.

    Returns
    -------
    penalty : Tensor of shape ()
    outputs : Tensor of shape (rows, outputs)
        The network's outputs at `x`, which come with it.
    """
    layers, outputs = traced_statistics(model, x)
    total = x.new_zeros(())
    for index, statistics in enumerate(layers):
        layer = model.layer(index)
        total = total + _layer_penalty(statistics, weights)
        if weights.coefficients or weights.differences:
            masked = layer.coefficients * layer.spline_mask[:, None, :]
            total = total + weights.coefficients * masked.abs().mean(dim=1).sum()
            total = total + weights.differences * masked.diff(dim=1).abs().mean(dim=1).sum()
    return weights.lamb * total, outputs


def _layer_penalty(statistics: LayerStatistics, weights: PenaltyWeights) -> Tensor:
    size = statistics.edge_spread
    penalty = weights.l1 * size.sum()
    if weights.entropy:
        # The 1 keeps the distribution of a vanishing row or column from being magnified.
        for axis in (0, 1):
            share = size / (size.sum(dim=axis, keepdim=True) + 1)
            entropy = -(share * torch.log2(share + 1e-4)).sum(dim=axis).mean()
            penalty = penalty + weights.entropy * entropy
    return penalty
