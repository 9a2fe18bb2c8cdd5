"""Nicer constants in a symbolic network, each kept only if the loss does not get worse."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Samples
from ..network import KAN
from ..training.batches import TensorBatches
from ..training.least_squares import NetworkLeastSquares, Restricted
from ..training.levenberg_marquardt import LevenbergMarquardt
from ..training.losses import LOSSES, target_variance
from .gauge import fix_gauge
from .numbers import nice_numbers
from .snapping import EXACT

# On exact data constants are known to about this, in their effect on the output.
_EXACT_EFFECT = 1e-7
_STANDARD_ERRORS = 2.0
# How much smaller than the spacing of equally nice numbers the uncertainty must be.
_SPACING_SHARE = 0.02
_STEPS = 6


@dataclass
class _Constants:
    """A symbolic network's constants during rounding: which are still free."""

    problem: NetworkLeastSquares
    free: Tensor
    rows: int

    def fit(self, steps: int) -> float:
        """Fit what is free; return the relative loss."""
        if bool(self.free.any()):
            solver = LevenbergMarquardt(Restricted(self.problem, self.free))
            for _ in range(steps):
                if solver.step().stopped:
                    break
        return 2 * self.problem.objective()

    def uncertainty(self, loss: float) -> Tensor:
        """Return how far every constant may be off."""
        _, _, matrix = self.problem.normal_equations()
        part = matrix[self.free][:, self.free]
        inverse = torch.linalg.pinv(part, hermitian=True).diagonal().clamp(min=0)
        degrees = max(1, self.rows - int(self.free.sum()))
        error = torch.zeros_like(self.free, dtype=torch.float64)
        error[self.free] = _STANDARD_ERRORS * (loss / degrees * inverse).sqrt()
        effect = matrix.diagonal().clamp(min=0).sqrt()
        exact = _EXACT_EFFECT / effect.clamp(min=torch.finfo(torch.float64).tiny)
        return torch.maximum(error, exact)


@torch.no_grad()
def round_constants(model: KAN, samples: Samples) -> float:
    """Write the network canonically and make its constants nicer, in place.

    A constant becomes an integer, a small fraction, or a multiple of pi, e or a square root if
    that lies within its uncertainty, if the uncertainty is far below the distance of equally nice
    numbers, and if the loss, everything else fitted again, does not get significantly worse (an F
    test at about two standard errors).

    Parameters
    ----------
    model : KAN, float64
        All edges symbolic or absent.
    samples : Samples

    Returns
    -------
    float
        The relative loss reached.
    """
    fixed = fix_gauge(model)
    variance = target_variance(samples, LOSSES["mse"])
    problem = NetworkLeastSquares(model, TensorBatches(samples), variance)
    free = torch.ones(problem.parameters.size, dtype=torch.bool)
    for layer, kind, position in fixed:
        index = problem.parameters.index_of(layer, kind, position)
        if index is not None:
            free[index] = False
    constants = _Constants(problem, free, len(samples) * model.output_count)
    loss = reference = constants.fit(_STEPS)
    rounded = 0
    for index, value in _candidates(constants, loss):
        if not constants.free[index]:
            continue
        before = problem.read()
        trial = before.clone()
        trial[index] = value
        problem.write(trial)
        constants.free[index] = False
        reached = constants.fit(_STEPS)
        allowed = reference * (1 + _STANDARD_ERRORS**2 * (rounded + 1) / constants.rows)
        if reached <= max(allowed, EXACT):
            loss, rounded = reached, rounded + 1
        else:
            problem.write(before)
            constants.free[index] = True
    return loss


def _candidates(constants: _Constants, loss: float) -> list[tuple[int, float]]:
    """List constants and the nice numbers to try for them, the plainest and surest first."""
    values, within = constants.problem.read(), constants.uncertainty(loss)
    found: list[tuple[float, int, float]] = []
    for index in constants.free.nonzero()[:, 0].tolist():
        value, tolerance = float(values[index]), float(within[index])
        for nice in nice_numbers(value, 2 * tolerance):
            near = abs(nice.value - value) <= tolerance
            if near and tolerance <= _SPACING_SHARE * nice.spacing:
                found.append((-nice.spacing, index, nice.value))
    return [(index, value) for _, index, value in sorted(found)]
