"""When a network's knots no longer fit the data that reaches them."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import splines
from ..network import KAN

# Knots are moved when the data leaves them or fills less than this share of them.
_LEAST_FILL = 0.9


@torch.no_grad()
def grid_misfits(model: KAN, x: Tensor) -> bool:
    """Tell whether some layer's data leaves its knots or fills too small a part of them."""
    traces, _ = model.trace(x)
    for index, trace in enumerate(traces):
        layer = model.layer(index)
        if not len(trace.inputs):
            return False
        low, high = splines.domain(layer.knots, layer.k)
        least, most = trace.inputs.amin(dim=0), trace.inputs.amax(dim=0)
        varies = most > least
        outside = (least < low) | (most > high)
        empty = (most - least) < _LEAST_FILL * (high - low)
        if bool(((outside | empty) & varies).any()):
            return True
    return False
