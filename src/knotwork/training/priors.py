r"""What is believed of a network's functions before the data: that they are small and smooth.

Every spline edge has the Gaussian prior with the energy

.. math:: \tfrac12 \alpha \, \overline{\varphi^2} + \tfrac12 \beta \, \overline{(\varphi'')^2},

means over the data for the first layer, over a standard normal behind it.  Each input has its own
precisions :math:`\alpha, \beta`, so an input without influence is found out by its :math:`\alpha`
and one with a straight line by its :math:`\beta`; each hidden layer has one pair.  The precisions
are chosen by the fixed-point iteration for the marginal likelihood,

.. math:: \alpha \leftarrow \alpha\,
          \frac{\mathrm{tr}\, P^{-1} S - \mathrm{tr}\, V S}{c^T S c},

with the prior's precision matrix `P`, the posterior's covariance `V` and the form `S` that
:math:`\alpha` is the factor of.

References
----------
D. J. C. MacKay, "Bayesian interpolation", *Neural Computation* 4 (1992) 415-447.
S. N. Wood, M. Fasiolo, "A generalized Fellner-Schall method for smoothing parameter optimization
with application to Tweedie location, scale and shape models", *Biometrics* 73 (2017) 1071-1081.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import splines
from ..layers import KANLayer

_FIRST_SIZE = 1.0
_FIRST_ROUGHNESS = 1e-2
# The share of the mean diagonal that coefficients no row meets get of their own.
_UNSEEN = 1e-6
# A precision changes by no more than this factor at once, and stays within these bounds.
_MOST_CHANGE = 10.0
_LEAST_PRECISION, _MOST_PRECISION = 1e-8, 1e8
_TINY = 1e-12
# Standard deviations and points of the normal distribution that stands for hidden data.
_NORMAL_RANGE, _NORMAL_POINTS = 3.0, 201


class LayerPrior:
    """The prior of one layer's edges.

    Parameters
    ----------
    layer : KANLayer
    x : Tensor of shape (rows, inputs)
        The layer's data.
    weights : Tensor of shape (rows,)
    tied : bool
        Whether all inputs share their precisions.

    Attributes
    ----------
    precisions : Tensor of shape (2, groups)
        Of size and of roughness.
    """

    def __init__(self, layer: KANLayer, x: Tensor, weights: Tensor, *, tied: bool) -> None:
        self.outputs = layer.out_features
        order = min(layer.k, 2)
        change = splines.difference_matrix(layer.knots, layer.k, order)
        values = layer.feature_values(x)
        size = torch.einsum("n,nif,nig->ifg", weights / weights.sum(), values, values)
        own = size.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
        size = size + _UNSEEN * own * torch.eye(size.shape[1], dtype=size.dtype)
        self._forms = torch.stack([size, change.transpose(1, 2) @ change / change.shape[1]])
        inputs = torch.arange(layer.in_features)
        self._group = torch.zeros_like(inputs) if tied else inputs
        first = torch.tensor([[_FIRST_SIZE], [_FIRST_ROUGHNESS]], dtype=size.dtype)
        self.precisions = first.repeat(1, 1 if tied else layer.in_features)

    @classmethod
    def hidden(cls, layer: KANLayer) -> LayerPrior:
        """Return the prior of a layer behind the first, for standard normal data."""
        points = torch.linspace(
            -_NORMAL_RANGE, _NORMAL_RANGE, _NORMAL_POINTS, dtype=layer.knots.dtype
        )
        density = torch.exp(-points.square() / 2)
        return cls(layer, points[:, None].expand(-1, layer.in_features), density, tied=True)

    def blocks(self) -> Tensor:
        """Return every input's precision matrix, shape (inputs, coefficients, coefficients)."""
        return (self.precisions[:, self._group, None, None] * self._forms).sum(dim=0)

    def fix(self, size: float) -> None:
        """Set the precision of size; that of roughness keeps its ratio to it."""
        self.precisions[0] = size
        self.precisions[1] = size * _FIRST_ROUGHNESS / _FIRST_SIZE

    def renew(self, coefficients: Tensor, covariance: Tensor) -> None:
        """Choose the precisions anew.

        Parameters
        ----------
        coefficients : Tensor of shape (outputs, inputs, coefficients)
        covariance : Tensor of shape (inputs, coefficients, coefficients)
            Of the posterior, summed over outputs.
        """
        inverse = torch.linalg.inv(self.blocks())
        left = self.outputs * inverse - covariance
        freedom = self._by_group(torch.einsum("ifg,sifg->si", left, self._forms))
        squares = self._by_group(
            torch.einsum("jif,sifg,jig->si", coefficients, self._forms, coefficients)
        )
        change = freedom.clamp(min=_TINY) / squares.clamp(min=_TINY**2)
        change = change.clamp(1 / _MOST_CHANGE, _MOST_CHANGE)
        self.precisions = (self.precisions * change).clamp(_LEAST_PRECISION, _MOST_PRECISION)

    def _by_group(self, values: Tensor) -> Tensor:
        return torch.zeros_like(self.precisions).index_add(1, self._group, values)
