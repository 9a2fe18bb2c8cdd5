"""The start of a fit: an untrained network brought to the scale of its data."""

from __future__ import annotations

import torch

from .._checks import MOST_SEED
from ..data import Samples
from ..network import KAN
from .losses import Loss
from .polish import polish

# Rows by which random starts are compared, and the steps of each round; half of them go on.
_ROWS = 1000
_ROUNDS = (8, 16)
# Seeds of further starts lie this far apart, so that neighbouring seeds share none.
SEED_STRIDE = 1_000_003


def is_fresh(model: KAN) -> bool:
    """Tell whether the network's parameters are still those of its constructor's start.

    Those that are held, which ask for no gradient, are meant to be what they are.
    """
    if not all(parameter.requires_grad for parameter in model.parameters() if parameter.numel()):
        return False
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
        Levenberg-Marquardt, and the network becomes the best of them.  In networks of more than
        two layers the better half take some more before that is decided.
    """
    if starts == 1:
        _scale_to(model, sample, loss, model.seed)
        return
    few = sample.thinned(_ROWS)
    field: list[KAN] = []
    for number in range(starts):
        field.append(model.copy())
        _scale_to(field[-1], sample, loss, model.seed + number * SEED_STRIDE)
    # The first steps tell which of two layers will do, but little of deeper networks.
    for steps in _ROUNDS if model.depth > 2 else _ROUNDS[:1]:
        reached = [polish(twin, few, steps, tolerance=0.0) for twin in field]
        order = sorted(range(len(field)), key=reached.__getitem__)
        field = [field[number] for number in order[: max(1, len(field) // 2)]]
    model.load_state_dict(field[0].state_dict())


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
