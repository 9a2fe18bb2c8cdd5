"""Short joint re-fits of a whole network, the inner step of pruning and snapping."""

from __future__ import annotations

import math

from ..data import Samples
from ..network import KAN
from ..statistics import network_statistics
from .batches import TensorBatches
from .grids import follow_data
from .least_squares import NetworkLeastSquares
from .levenberg_marquardt import LevenbergMarquardt
from .losses import LOSSES, target_variance
from .penalties import PenaltyWeights, QuadraticPenalty

_GRID_STEPS = 5
_RENEWAL_STEPS = 2
# A run of this many steps that each gain less than this share counts as converged.
_IDLE_STEPS = 3


def relative_loss(model: KAN, samples: Samples) -> float:
    """Return the mean squared error relative to the targets' variance."""
    return 2 * _problem(model, samples).data_objective()


def polish(
    model: KAN,
    samples: Samples,
    steps: int,
    *,
    lamb: float = 0.0,
    tolerance: float = 1e-3,
    follow: bool = True,
) -> float:
    """Fit all free parameters by Levenberg-Marquardt, in place.

    Parameters
    ----------
    model : KAN, float64
    samples : Samples
    steps : int
        At the most.
    lamb : float
        Strength of the adaptive sparsity penalty.
    tolerance : float
        Stop after a few steps that each lower the objective by less than this share.
    follow : bool
        Let the knots follow the data.

    Returns
    -------
    float
        The relative loss reached; infinite if the network's values are not finite.
    """
    problem = _problem(model, samples)
    weights = PenaltyWeights(lamb=lamb)
    solver, idle, last = LevenbergMarquardt(problem, problem.data_diagonal), 0, math.inf
    for step in range(steps):
        if follow and step % _GRID_STEPS == 0 and follow_data(model, samples.inputs):
            problem.penalty = None
            solver, idle, last = LevenbergMarquardt(problem, problem.data_diagonal), 0, math.inf
        if lamb and (problem.penalty is None or step % _RENEWAL_STEPS == 0):
            problem.penalty = QuadraticPenalty.of_statistics(
                problem.parameters, network_statistics(model, samples.inputs), weights
            )
        outcome = solver.step()
        if outcome.stopped and not lamb:
            break
        idle = idle + 1 if outcome.objective > last * (1 - tolerance) else 0
        if idle >= _IDLE_STEPS and not lamb:
            break
        last = outcome.objective
    loss = 2 * problem.data_objective()
    return loss if math.isfinite(loss) else math.inf


def _problem(model: KAN, samples: Samples) -> NetworkLeastSquares:
    variance = target_variance(samples, LOSSES["mse"])
    return NetworkLeastSquares(model, TensorBatches(samples), variance)
