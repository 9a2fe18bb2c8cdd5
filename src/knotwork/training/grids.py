"""When a network's knots no longer fit the data that reaches them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .. import splines
from ..layers import KANLayer
from ..network import KAN

# Knots are moved when the data leaves them or fills less than this share of them.
_LEAST_FILL = 0.9


@torch.no_grad()
def grid_misfits(model: KAN, x: Tensor) -> bool:
    """Tell whether some layer's data leaves its knots or fills too small a part of them."""
    traces, _ = model.trace(x)
    if not all(bool(trace.inputs.isfinite().all()) for trace in traces):
        return False
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


def follow_data(model: KAN, x: Tensor, shrink: bool = True) -> bool:
    """Move the knots to the data if they no longer fit it; tell whether they moved."""
    if not grid_misfits(model, x):
        return False
    try:
        model.update_grid(x, shrink)
    except FloatingPointError:
        # Values too large to re-fit; the layers are as they were, and the step is judged bad.
        return False
    return True


@contextmanager
def lenient_extrapolation(model: nn.Module) -> Generator[None]:
    """Let layers that raise outside their knots extrapolate linearly while they are trained.

    Hidden values move before the knots follow; the policy is for the finished network.
    """
    strict = [m for m in model.modules() if isinstance(m, KANLayer) and m.extrapolation == "error"]
    for layer in strict:
        layer.extrapolation = "linear"
    try:
        yield
    finally:
        for layer in strict:
            layer.extrapolation = "error"
