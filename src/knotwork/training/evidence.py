"""Fitting a network with priors that the data chooses: steps and precisions in turn.

This is Bayesian regularisation as for multilayer perceptrons (D. J. C. MacKay, "A practical
Bayesian framework for backpropagation networks", *Neural Computation* 4 (1992) 448-472), with the
splines' own priors.  Nothing in it is random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from scipy.optimize import minimize

from ..data import Samples
from .levenberg_marquardt import LevenbergMarquardt
from .posterior import Posterior

__all__ = ["EvidenceFit", "fit_by_evidence"]

# Beyond this many parameters steps are those of L-BFGS, this many at once.
MOST_SECOND_ORDER_PARAMETERS = 1500
_QUASI_NEWTON_STEPS = 30
# The share of the targets' variance that is taken for error until there is an estimate.
_FIRST_DISPERSION = 0.1
# Steps of a network with hidden layers before precisions are chosen: those of a network that has
# not learned anything yet would say that there is nothing to learn.
_SETTLING_STEPS = 15
# Times in a row that the evidence must hardly change.
_IDLE_STEPS = 3


@dataclass
class EvidenceFit:
    """The course of a fit and what it came to.

    Attributes
    ----------
    losses, validation_losses : list of float
        Mean loss of a row after every step.
    evidence : float
        Logarithm of the marginal likelihood.
    freedom : float
        Effective number of parameters.
    converged : bool
    """

    losses: list[float] = field(default_factory=list[float])
    validation_losses: list[float] = field(default_factory=list[float])
    evidence: float = -math.inf
    freedom: float = math.nan
    converged: bool = False

    def unfinished(self, tolerance: float) -> bool:
        """Tell whether the steps ran out while the loss of a row still changed by more than that.

        Without noise the evidence rises for as long as digits are left, long after the network
        does not change any more to speak of.
        """
        last = self.losses[-_IDLE_STEPS - 1 :]
        moving = len(last) <= _IDLE_STEPS or max(last) - min(last) > tolerance
        return not self.converged and moving


def fit_by_evidence(
    posterior: Posterior,
    *,
    steps: int,
    tolerance: float,
    settled: bool = False,
    renew: bool = True,
    validation: Samples | None = None,
    patience: int = 10,
) -> EvidenceFit:
    """Fit a network in place; it becomes the one of greatest evidence met.

    Parameters
    ----------
    posterior : Posterior
    steps : int
        At the most.
    tolerance : float
        Stop when the evidence changes by less than this a row for a few steps.
    settled : bool
        Whether precisions may be chosen from the first step on.
    renew : bool
        Whether to choose precisions at all.
    validation : Samples, optional
        Rows to judge by: the network becomes the one of least loss on them, and the fit stops when
        that has not fallen for `patience` steps.
    patience : int
    """
    whole = posterior.size <= MOST_SECOND_ORDER_PARAMETERS
    step = _second_order(posterior) if whole else _quasi_newton(posterior)
    if posterior.likelihood.dispersed and not settled:
        posterior.dispersion = _FIRST_DISPERSION
    settling = 0 if settled or posterior.model.depth == 1 else _SETTLING_STEPS
    found, best, worth, idle, waiting = EvidenceFit(), posterior.read(), -math.inf, 0, 0
    for number in range(1, steps + 1):
        stopped = step()
        found.losses.append(posterior.loss() / posterior.weight)
        if number <= settling and not stopped and number < steps:
            continue
        settling = 0
        before, state = found.evidence, posterior.read()
        evidence, freedom = posterior.renew(whole=whole, precisions=renew)
        value = evidence
        if validation is not None:
            mean = _mean_loss(posterior, validation)
            found.validation_losses.append(mean)
            value = -mean
        found.evidence = evidence
        waiting = 0 if value > worth else waiting + 1
        if value > worth:
            best, worth, found.freedom = state, value, freedom
        idle = idle + 1 if abs(evidence - before) <= tolerance * posterior.weight else 0
        if idle >= _IDLE_STEPS or (validation is not None and waiting >= patience):
            found.converged = True
            break
    posterior.write(best)
    if validation is None:
        found.evidence = worth
    return found


def _mean_loss(posterior: Posterior, samples: Samples) -> float:
    assert samples.weights is not None
    return posterior.loss(samples) / float(samples.weights.sum())


def _second_order(posterior: Posterior) -> Callable[[], bool]:
    solver = LevenbergMarquardt(posterior)
    return lambda: bool(solver.step().stopped)


def _quasi_newton(posterior: Posterior) -> Callable[[], bool]:
    def value(parameters: object) -> tuple[float, object]:
        posterior.write(torch.as_tensor(parameters, dtype=torch.float64))
        objective, gradient = posterior.value_and_gradient()
        return objective, gradient.numpy()

    def step() -> bool:
        found = minimize(
            value,
            posterior.read().numpy(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _QUASI_NEWTON_STEPS, "maxcor": 20},
        )
        posterior.write(torch.as_tensor(found.x))
        return bool(found.success)

    return step
