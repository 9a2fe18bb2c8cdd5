r"""How much every edge and node varies over data, without storing anything per edge and sample.

A spline edge is linear in its input's features, so its mean and spread follow exactly from their
mean and covariance, one small matrix an input: :math:`\sigma^2 = c^T \mathrm{Cov}(\Phi)\, c`.
Where no gradient is wanted, `kernels.feature_moments` finds them without dense features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import kernels
from .layers import KANLayer
from .network import KAN


@dataclass(frozen=True)
class LayerStatistics:
    """Means and spreads over the data within one layer.

    Attributes
    ----------
    covariance : Tensor of shape (inputs, features, features)
        Of every input's features.
    edge_mean, edge_spread : Tensors of shape (inputs, outputs)
        Mean and standard deviation of every edge's output; 0 for absent edges.
    node_mean, node_spread : Tensors of shape (outputs,)
        The same of the layer's sums.
    input_low, input_high : Tensors of shape (inputs,)
        The data's range at the layer's inputs.
    """

    covariance: Tensor
    edge_mean: Tensor
    edge_spread: Tensor
    node_mean: Tensor
    node_spread: Tensor
    input_low: Tensor
    input_high: Tensor

    @property
    def relative_spread(self) -> Tensor:
        """Every edge's spread relative to its node's, 0 where the node is constant."""
        return self.edge_spread / positive(self.node_spread)


def positive(values: Tensor) -> Tensor:
    """Replace zeros (and what is too small to divide by) by infinity."""
    return torch.where(values > torch.finfo(values.dtype).tiny, values, torch.inf)


def layer_statistics(
    layer: KANLayer, x: Tensor, moments: kernels.Moments, subnodes: Tensor
) -> LayerStatistics:
    """Compute the statistics of one layer.

    Differentiable in the layer's parameters and in `x`, for penalties in first-order training.

    Parameters
    ----------
    layer : KANLayer
    x : Tensor of shape (rows, inputs)
    moments : Moments
        Of the layer's features at `x`.
    subnodes : Tensor of shape (rows, outputs)
        The layer's outputs at `x`.
    """
    mean, covariance = moments
    weights = layer.feature_weights()
    edge_mean = torch.einsum("if,ifo->io", mean, weights)
    centred = _centred(layer, mean, weights)
    variance = (centred * (covariance @ centred)).sum(dim=1)
    # The gradient of a square root at 0 is infinite; absent edges must not spread nan.
    safe = torch.where(variance > 0, variance, torch.ones_like(variance))
    edge_spread = torch.where(variance > 0, safe.sqrt(), torch.zeros_like(variance))
    if layer.functions:
        values = layer.symbolic_values(x)
        i, j = layer.symbolic_edges.T
        edge_mean = edge_mean.index_put((i, j), values.mean(dim=0))
        edge_spread = edge_spread.index_put((i, j), values.std(dim=0, correction=0))
    return LayerStatistics(
        covariance,
        edge_mean,
        edge_spread,
        subnodes.mean(dim=0),
        subnodes.std(dim=0, correction=0),
        x.amin(dim=0),
        x.amax(dim=0),
    )


def _centred(layer: KANLayer, mean: Tensor, weights: Tensor) -> Tensor:
    """Subtract from every edge's coefficients the spline's mean, shape (inputs, features, outputs).

    Basis functions sum to one, so the variance stays what it is; but where a mean is much larger
    than the spread, it would be the difference of huge numbers.
    """
    if layer.extrapolation == "zero":  # outside the knots they sum to zero
        return weights
    count = layer.coefficients.shape[1]
    coefficients = weights[:, :count]
    shift = torch.einsum("if,ifo->io", mean[:, :count], coefficients).detach()
    return torch.cat([coefficients - shift[:, None], weights[:, count:]], dim=1)


def traced_statistics(model: KAN, x: Tensor) -> tuple[list[LayerStatistics], Tensor]:
    """Evaluate the network on x of shape (rows, inputs): every layer's statistics, the outputs."""
    statistics: list[LayerStatistics] = []
    for index, nodes in enumerate(model.nodes):
        layer = model.layer(index)
        values = layer.feature_values(x)
        subnodes = layer.mix(values, x)
        statistics.append(layer_statistics(layer, x, kernels.moments(values), subnodes))
        x = nodes.combine(subnodes)
    return statistics, x


@torch.no_grad()
def network_statistics(model: KAN, x: Tensor) -> list[LayerStatistics]:
    """Compute every layer's statistics over rows `x` of shape (rows, inputs); no gradients."""
    statistics: list[LayerStatistics] = []
    for index, nodes in enumerate(model.nodes):
        layer = model.layer(index)
        moments = kernels.feature_moments(x, layer.knots, layer.rule)
        subnodes = layer(x)
        statistics.append(layer_statistics(layer, x, moments, subnodes))
        x = nodes.combine(subnodes)
    return statistics
