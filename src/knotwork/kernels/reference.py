r"""The spline layer in plain torch: what the compiled kernels are measured against.

.. math:: y_{nj} = \beta_j + \sum_i \sum_f \Phi_f(x_{ni})\, \Theta_{ifj}

where :math:`\Phi` are an input's basis functions and the residual, and :math:`\Theta` the edges'
weights on them.  Any device, dtype and order; differentiable as often as one wants.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from .. import splines
from ..residuals import RESIDUALS
from ..splines import Extrapolation

# Of the kinds of edges; the others have no part in this operation.
SPLINE = 1


class Rule(NamedTuple):
    """What a layer's splines are, apart from its tensors.

    Attributes
    ----------
    k : int
        Order of the splines.
    uniform : bool
        Whether every input's knots are evenly spaced.
    extrapolation : str
        What holds outside the knots, see `knotwork.splines.local_bases`.
    residual : str or None
        Function added to every spline.
    """

    k: int
    uniform: bool
    extrapolation: str
    residual: str | None


class SplineLayer(NamedTuple):
    """A layer of splines: what the operation takes beside the points.

    Attributes
    ----------
    knots : Tensor of shape (inputs, grid + 2 k + 1)
    coefficients : Tensor of shape (inputs, grid + k, outputs)
    residual_weight : Tensor of shape (inputs, outputs), or None if there is no residual
    bias : Tensor of shape (outputs,)
        May be None where gradients are asked for: they do not depend on it.
    kind : Tensor of shape (inputs, outputs), uint8
        1 where the edge is a spline; the others are left out.
    rule : Rule
        Order, knots' spacing, extrapolation and residual.
    """

    knots: Tensor
    coefficients: Tensor
    residual_weight: Tensor | None
    bias: Tensor | None
    kind: Tensor
    rule: Rule

    def contiguous(self) -> SplineLayer:
        """Return the layer with tensors as compiled code reads them."""
        return SplineLayer(
            self.knots.contiguous(),
            self.coefficients.contiguous(),
            None if self.residual_weight is None else self.residual_weight.contiguous(),
            None if self.bias is None else self.bias.contiguous(),
            self.kind.contiguous(),
            self.rule,
        )


class Moments(NamedTuple):
    """How every input's features vary over rows.

    Attributes
    ----------
    mean : Tensor of shape (inputs, features)
    covariance : Tensor of shape (inputs, features, features)
    """

    mean: Tensor
    covariance: Tensor


def features(
    x: Tensor, knots: Tensor, rule: Rule, derivatives: tuple[int, ...] = (0,)
) -> list[Tensor]:
    """Return the basis functions and the residual, or derivatives of them up to the second.

    Each is of shape (rows, inputs, features).
    """
    bases = splines.local_bases(
        x, knots, rule.k, derivatives, cast("Extrapolation", rule.extrapolation), rule.uniform
    )
    values = [splines.dense(local, knots.shape[1] - rule.k - 1) for local in bases]
    if rule.residual is None:
        return values
    residual = RESIDUALS[rule.residual]
    return [
        torch.cat([value, residual.at(x, derivative)[..., None]], dim=-1)
        for value, derivative in zip(values, derivatives, strict=True)
    ]


def moments(values: Tensor) -> Moments:
    """Return the moments of feature values of shape (rows, inputs, features)."""
    inputs_first = values.transpose(0, 1)
    mean = inputs_first.mean(dim=1)
    centred = inputs_first - mean[:, None, :]
    return Moments(mean, centred.transpose(1, 2) @ centred / len(values))


def feature_weights(layer: SplineLayer) -> Tensor:
    """Return every edge's weights, 0 where it is no spline: shape (inputs, features, outputs)."""
    weights = layer.coefficients
    if layer.residual_weight is not None:
        weights = torch.cat([weights, layer.residual_weight[:, None, :]], dim=1)
    return _of_splines(weights, layer.kind)


def _of_splines(weights: Tensor, kind: Tensor) -> Tensor:
    return weights * (kind == SPLINE).to(weights.dtype)[:, None, :]


def forward(x: Tensor, layer: SplineLayer) -> Tensor:
    """Return the layer's outputs, shape (rows, outputs)."""
    assert layer.bias is not None
    (values,) = features(x, layer.knots, layer.rule)
    return torch.addmm(layer.bias, values.flatten(1), feature_weights(layer).flatten(0, 1))


def backward(
    grad: Tensor, x: Tensor, layer: SplineLayer
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Return the gradients of x, coefficients, residual weights and bias, given that of `y`."""
    values, slopes = features(x, layer.knots, layer.rule, (0, 1))
    of_x = _pulled_back(grad, feature_weights(layer), slopes)
    of_coefficients, of_residual = _split(torch.einsum("nif,no->ifo", values, grad), layer)
    return of_x, of_coefficients, of_residual, grad.sum(dim=0)


def input_gradient(grad: Tensor, x: Tensor, layer: SplineLayer) -> Tensor:
    """Return the gradient of x alone."""
    (slopes,) = features(x, layer.knots, layer.rule, (1,))
    return _pulled_back(grad, feature_weights(layer), slopes)


def _pulled_back(grad: Tensor, weights: Tensor, slopes: Tensor) -> Tensor:
    # The weights first, so that rows x edges is never formed.
    return (torch.einsum("no,ifo->nif", grad, weights) * slopes).sum(dim=2)


def _split(weights: Tensor, layer: SplineLayer) -> tuple[Tensor, Tensor | None]:
    """Divide the weights' gradient into that of coefficients and that of residual weights."""
    weights = _of_splines(weights, layer.kind)
    if layer.residual_weight is None:
        return weights, None
    return weights[:, :-1], weights[:, -1]


def double_backward(
    given: tuple[Tensor | None, ...], grad: Tensor, x: Tensor, layer: SplineLayer
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    r"""Return the gradients of grad, x, coefficients and residual weights.

    `given` are the gradients of `backward`'s results: :math:`v` of the first, :math:`V` of the
    weights and :math:`b` of the bias.  Those asked for are the derivatives of
    :math:`\sum v_{ni} \Phi'_f \Theta_{ifj} g_{nj} + \sum V_{ifj} \Phi_f g_{nj} + \sum b_j g_{nj}`.
    """
    of_x, of_coefficients, of_residual, of_bias = given
    values, slopes, curvatures = features(x, layer.knots, layer.rule, (0, 1, 2))
    weights = feature_weights(layer)
    v = torch.zeros_like(x) if of_x is None else of_x
    if of_coefficients is None:
        of_coefficients = torch.zeros_like(layer.coefficients)
    if layer.residual_weight is not None and of_residual is None:
        of_residual = torch.zeros_like(layer.residual_weight)
    moves = layer._replace(coefficients=of_coefficients, residual_weight=of_residual)
    shift = feature_weights(moves)
    moved = v[..., None] * slopes
    to_grad = moved.flatten(1) @ weights.flatten(0, 1) + values.flatten(1) @ shift.flatten(0, 1)
    if of_bias is not None:
        to_grad = to_grad + of_bias
    back = torch.einsum("no,ifo->nif", grad, weights)
    to_x = v * (back * curvatures).sum(dim=2)
    to_x = to_x + (torch.einsum("no,ifo->nif", grad, shift) * slopes).sum(dim=2)
    to_weights = torch.einsum("nif,no->ifo", moved, grad)
    to_coefficients, to_residual = _split(to_weights, layer)
    return to_grad, to_x, to_coefficients, to_residual
