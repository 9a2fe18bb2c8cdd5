"""The start of a fit: an untrained network brought to the scale of its data."""

from __future__ import annotations

import torch

from .._checks import MOST_SEED
from ..data import Samples
from ..network import KAN
from .losses import Loss
from .polish import polish

# Rows and steps by which random starts are compared.
_ROWS = 1000
_STEPS = 8
# Seeds of further starts lie this far apart, so that neighbouring seeds share none.
_SEED_STRIDE = 1_000_003


def is_fresh(model: KAN) -> bool:
    """Tell whether the network's parameters are still those of its constructor's start."""
    layers = [model.layer(index) for index in range(model.depth)]
    if not model.fresh or not all(bool(layer.spline_mask.all()) for layer in layers):
        return False
    twin = model.copy()
    generator = torch.Generator().manual_seed(model.seed)
    for index in range(twin.depth):
        twin.layer(index).reset_parameters(generator)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    return all(torch.allclose(mine, drawn) for mine, drawn in pairs)


@torch.no_grad()
def start_on_data(model: KAN, sample: Samples, loss: Loss, starts: int) -> None:
    """Start an untrained network on the scale of the data, in place.

    Parameters
    ----------
    model : KAN
    sample : Samples
    loss : Loss
    starts : int
        If more than one, this many random starts are trained for a few steps of
        Levenberg-Marquardt, and the network becomes the best of them.
    """
    if starts == 1:
        _scale_to(model, sample, loss, model.seed)
        return
    few = sample.thinned(_ROWS)
    best, least = model, float("inf")
    for number in range(starts):
        twin = model.copy()
        _scale_to(twin, sample, loss, model.seed + number * _SEED_STRIDE)
        reached = polish(twin, few, _STEPS, tolerance=0.0)
        if reached < least:
            best, least = twin, reached
    model.load_state_dict(best.state_dict())


def _scale_to(model: KAN, sample: Samples, loss: Loss, seed: int) -> None:
    """Draw a start from a seed, its outputs with the targets' mean and spread."""
    own_seed = model.seed
    model.restart(sample.inputs, seed % (MOST_SEED + 1))
    model.seed = own_seed
    last, nodes = model.layer(-1), model.nodes[-1]
    if loss.classes or loss.name == "custom" or nodes.products:
        return
    outputs, targets = model(sample.inputs), sample.targets
    tiny = torch.finfo(outputs.dtype).tiny
    ratio = targets.std(dim=0, correction=0) / outputs.std(dim=0, correction=0).clamp(min=tiny)
    ratio = torch.where(ratio.isfinite() & (ratio > 0), ratio, torch.ones_like(ratio))
    last.coefficients.mul_(ratio)
    if last.residual_weight is not None:
        last.residual_weight.mul_(ratio)
    last.bias += targets.mean(dim=0) - model(sample.inputs).mean(dim=0)
