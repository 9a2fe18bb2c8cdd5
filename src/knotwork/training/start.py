"""The start of a fit: an untrained network brought to the scale of its data."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .._checks import MOST_SEED
from ..data import Samples
from ..network import KAN
from .losses import Loss
from .polish import polish

# Rows by which random starts are compared, and the steps of each round; half of them go on.
_ROWS = 1000
_ROUNDS = (8, 16)
# The grid on which deep networks are started too if theirs is at least twice as fine, its rounds,
# and the steps after which its winner is compared with that of the network's own grid.
_COARSE = 2
_COARSE_ROUNDS = (12, 24)
_FINAL_STEPS = 16
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

    Networks of more than two layers that are started on a fine grid often end where some hidden
    function folds back and forth; on a grid of two intervals it cannot, but neither can it follow
    a quick oscillation.  They are started on both.

    Parameters
    ----------
    model : KAN
    sample : Samples
    loss : Loss
    starts : int
        If more than one, this many random starts are trained for a few steps of
        Levenberg-Marquardt, and the network becomes the best of them.  In networks of more than
        two layers the better half take some more before that is decided, and as many starts on a
        coarse grid compete with them.
    """
    if starts == 1:
        _scale_to(model, sample, loss, model.seed)
        return
    few = sample.thinned(_ROWS)
    # The first steps tell which of two layers will do, but little of deeper networks.
    deep = model.depth > 2
    best = _best_of(model, sample, few, loss, starts, _ROUNDS if deep else _ROUNDS[:1])
    grids = {model.layer(index).grid for index in range(model.depth)}
    if deep and grids == {model.grid} and model.grid >= 2 * _COARSE:
        coarse = model.refine(_COARSE)
        finer = _best_of(coarse, sample, few, loss, starts, _COARSE_ROUNDS).refine(model.grid)
        best = min(best, finer, key=lambda twin: polish(twin, few, _FINAL_STEPS, tolerance=0.0))
    model.load_state_dict(best.state_dict())


def _best_of(
    model: KAN, sample: Samples, few: Samples, loss: Loss, starts: int, rounds: Sequence[int]
) -> KAN:
    """Return the best of random starts of the network's shape, half of them left every round."""
    field: list[KAN] = []
    for number in range(starts):
        field.append(model.copy())
        _scale_to(field[-1], sample, loss, model.seed + number * SEED_STRIDE)
    for steps in rounds:
        reached = [polish(twin, few, steps, tolerance=0.0) for twin in field]
        order = sorted(range(len(field)), key=reached.__getitem__)
        field = [field[number] for number in order[: max(1, len(field) // 2)]]
    return field[0]


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
