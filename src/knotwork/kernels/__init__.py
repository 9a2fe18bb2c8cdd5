"""The one hot operation, a spline layer, by the fastest backend that can do it here.

*reference* is plain torch: the definition, on any device, in any dtype.  *cpu* is a small C++
library for float32 and float64.  `use` and the environment variable ``KNOTWORK_KERNEL`` choose.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import splines
from . import operator, reference
from .backends import selection as selection
from .backends import use as use
from .reference import Moments as Moments
from .reference import Rule as Rule
from .reference import SplineLayer as SplineLayer
from .reference import feature_weights as feature_weights
from .reference import features as features
from .reference import moments as moments


def spline_layer(x: Tensor, layer: SplineLayer) -> Tensor:
    """Evaluate a layer of splines.

    Parameters
    ----------
    x : Tensor of shape (rows, inputs)
    layer : SplineLayer

    Returns
    -------
    Tensor of shape (rows, outputs)
    """
    if selection.applies(x, layer.knots):
        rule = _checked(x, layer.knots, layer.rule)
        return operator.evaluate(x, layer if rule is layer.rule else layer._replace(rule=rule))
    return reference.forward(x, layer)


def spline_layers(x: Tensor, layers: Sequence[SplineLayer]) -> Tensor:
    """Evaluate layers one after the other, as a single node of autograd's graph if possible.

    Parameters
    ----------
    x : Tensor of shape (rows, inputs)
    layers : sequence of SplineLayer
        None of them with extrapolation "error".

    Returns
    -------
    Tensor of shape (rows, outputs)
    """
    if selection.applies(x, layers[0].knots):
        return operator.evaluate(x, *layers)
    for layer in layers:
        x = reference.forward(x, layer)
    return x


def input_gradient(grad: Tensor, x: Tensor, layer: SplineLayer) -> Tensor:
    """Return the gradient of `x`, given `grad` of shape (rows, outputs); for no graph of torch's.

    The other parameters are those of `spline_layer`.
    """
    if selection.applies(x, layer.knots):
        layer = layer._replace(rule=_checked(x, layer.knots, layer.rule))
        of_x, *_ = operator.gradients(grad, x, layer, of_input=True, of_weights=False)
        assert of_x is not None
        return of_x
    return reference.input_gradient(grad, x, layer)


def feature_moments(x: Tensor, knots: Tensor, rule: Rule) -> Moments:
    """Return how every input's features vary over rows; for no graph of torch's.

    Of a layer its knots and rule matter; see `SplineLayer`.  The compiled library adds up within
    every interval of the knots, where few features differ from zero; the intervals' means then
    vary among themselves, which costs the same however many rows there are.
    """
    compiled = selection.compiled(x) if selection.applies(x, knots) else None
    if compiled is None:
        return reference.moments(reference.features(x, knots, rule)[0])
    rule = _checked(x, knots, rule)
    columns = x.T.to(torch.float64).contiguous()
    knots = knots.to(torch.float64).contiguous()
    library, instruction_set = compiled
    count, means, scatter = library.interval_moments(instruction_set, columns, knots, rule)
    share = (count / len(x))[..., None]
    mean = (share * means).sum(dim=1)
    apart = share.sqrt() * (means - mean[:, None])
    covariance = scatter / len(x) + apart.transpose(1, 2) @ apart
    return Moments(mean.to(x.dtype), covariance.to(x.dtype))


def inside(rule: Rule) -> Rule:
    """Return the rule for points that lie inside the knots, as the compiled library knows it."""
    return rule._replace(extrapolation="continue") if rule.extrapolation == "error" else rule


def _checked(x: Tensor, knots: Tensor, rule: Rule) -> Rule:
    if rule.extrapolation == "error":
        splines.check_inside(x, knots, rule.k)
    return inside(rule)
