"""The one hot operation, a spline layer, by the fastest backend that can do it here.

*reference* is plain torch: the definition, on any device, in any dtype.  *cpu* is a small C++
library for float32 and float64.  `use` and the environment variable ``KNOTWORK_KERNEL`` choose.
"""

from __future__ import annotations

from torch import Tensor

from .. import splines
from . import operator, reference
from .backends import selection as selection
from .backends import use as use
from .reference import Rule as Rule
from .reference import feature_weights as feature_weights
from .reference import features as features


def spline_layer(
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    bias: Tensor,
    kind: Tensor,
    rule: Rule,
) -> Tensor:
    """Evaluate a layer of splines.

    Parameters
    ----------
    x : Tensor of shape (rows, inputs)
    knots : Tensor of shape (inputs, grid + 2 k + 1)
    coefficients : Tensor of shape (inputs, grid + k, outputs)
    residual_weight : Tensor of shape (inputs, outputs), or None if there is no residual
    bias : Tensor of shape (outputs,)
    kind : Tensor of shape (inputs, outputs), uint8
        1 where the edge is a spline; the others are left out.
    rule : Rule
        Order, knots' spacing, extrapolation and residual.

    Returns
    -------
    Tensor of shape (rows, outputs)
    """
    if selection.applies(x, knots):
        extrapolation = rule.extrapolation
        if extrapolation == "error":
            splines.check_inside(x, knots, rule.k)
            extrapolation = "continue"
        return operator.evaluate(
            x,
            knots,
            coefficients,
            residual_weight,
            bias,
            kind,
            rule.k,
            rule.uniform,
            extrapolation,
            rule.residual,
        )
    return reference.forward(x, knots, coefficients, residual_weight, bias, kind, rule)
