"""The methods a fit can use, each a thing that takes one step at a time.

The loop in `fit` knows nothing of how a step is made; a method knows nothing of histories, grids
or early stopping.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..data import Samples
from ..network import KAN
from .batches import Batches, TensorBatches
from .jacobian import FreeParameters
from .least_squares import NetworkLeastSquares, Restricted
from .levenberg_marquardt import LeastSquaresProblem, LevenbergMarquardt
from .losses import Loss, total_weight
from .penalties import PenaltyWeights, QuadraticPenalty, sparsity_penalty
from .smoothing import SMOOTHING_STEPS, choose_smoothness

# Rows over which the spread of edges is measured.
STATISTICS_ROWS = 4096
# An L-BFGS step that lowers the loss by less than this share gained nothing.
_QUASI_NEWTON_TOLERANCE = 1e-4
# A loss this many times above what was promised shows that smoothness was chosen wrongly.
_MISLED = 4.0
_STEPS_TO_ARRIVE = 5
# Times that smoothness is chosen between two changes of grid.
_MOST_CHOICES = 8
# Steps between renewals of the adaptive penalty's weights.
_RENEWAL_STEPS = 2


class Method(ABC):
    """One way of improving a network, a step at a time."""

    refused = 0

    # Goes up whenever what is minimised changes, so that earlier values no longer compare.
    era = 0

    def extra_penalty(self) -> float:
        """Return what the method adds to the objective of its own accord, at the present."""
        return 0.0

    @abstractmethod
    def step(self) -> str:
        """Improve the network; return "" or, if there is nothing more to gain, why."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was learned about the surface, after the network was changed."""


class LevenbergMarquardtMethod(Method):
    """Second-order steps with the structured Jacobian and quadratic penalties.

    The adaptive sparsity penalty is renewed every few steps.  Without one, smoothness is chosen
    from the data as the fit settles; see `smoothing`.
    """

    def __init__(
        self, model: KAN, batches: Batches, variance: float, weights: PenaltyWeights
    ) -> None:
        self._model = model
        self._weights = weights
        self._batches = batches
        self._variance = variance
        self.reset()

    def reset(self) -> None:
        """Start with fresh damping and penalty."""
        self._problem = NetworkLeastSquares(self._model, self._batches, self._variance)
        self._solver = self._new_solver()
        self._steps = self._chosen = 0
        self._smoothness: float | None = None
        self._most_smoothness = math.inf
        self._expected = math.inf
        self._chosen_at = 0
        self._arriving = False
        self._before = self._problem.read()
        self.era += 1

    def _new_solver(self) -> LevenbergMarquardt:
        trainable = self._problem.parameters.trainable()
        if bool(trainable.all()):
            return LevenbergMarquardt(self._problem, self._problem.data_diagonal)
        return LevenbergMarquardt(
            Restricted(self._problem, trainable), lambda: self._problem.data_diagonal()[trainable]
        )

    @property
    def _smooths(self) -> bool:
        """Whether smoothness is being chosen from the data."""
        return self._weights.smoothness is None

    def extra_penalty(self) -> float:
        """Return the roughness penalty; the sparsity penalty is the objective's own."""
        penalty = self._problem.penalty
        if penalty is None or self._weights.lamb:
            return 0.0
        return 2 * penalty.value(self._problem.read())

    def step(self) -> str:
        """Take one damped Gauss-Newton step."""
        renewed = self._weights.lamb or self._weights.smoothness
        if self._smooths and self._steps in SMOOTHING_STEPS:
            self._smooth()
        elif renewed and self._steps % _RENEWAL_STEPS == 0:
            self._penalise()
        self._steps += 1
        before = self._solver.refused
        outcome = self._solver.step()
        self.refused += self._solver.refused - before
        # The sparsity penalty is judged apart from roughness.
        smooths = self._smooths and not self._weights.lamb
        if smooths and self._arriving:
            self._arriving = self._far_from_promised(outcome.objective)
            # A new era begins once the fit is where the new penalty leads.
            self.era += not self._arriving
            late = bool(outcome.stopped) or self._steps >= self._chosen_at + _STEPS_TO_ARRIVE
            if self._arriving and late:
                self._go_back()
                return ""
        settled = outcome.stopped and smooths
        if settled and self._chosen < _MOST_CHOICES:
            # The end is the best place to judge from: go on if that changes the choice.
            before_choice = self._smoothness
            self._smooth()
            if not _alike(before_choice, self._smoothness):
                return ""
        return outcome.stopped

    def _smooth(self) -> None:
        self._chosen += 1
        self._chosen_at = self._steps
        self._arriving = True
        self._before = self._problem.read()
        # What was learned about damping was learned with another penalty.
        self._solver = self._new_solver()
        choice = choose_smoothness(self._problem, self._sample())
        self._smoothness = min(choice.strength, self._most_smoothness)
        self._expected = max(choice.predicted_loss, 2 * self._problem.data_objective())
        self._penalise()

    def _far_from_promised(self, objective: float) -> bool:
        """Tell whether the data's loss is far above what the choice of smoothness promised."""
        penalty = self._problem.penalty
        if penalty is None or not self._smoothness:
            return False
        loss = 2 * (objective - penalty.value(self._problem.read()))
        return loss > _MISLED * self._expected

    def _go_back(self) -> None:
        """Return to before the choice, with less smoothness from now on.

        The choice is made on the linearised problem, which far from the solution can be wrong.
        """
        self._problem.write(self._before)
        self._most_smoothness = (self._smoothness or 0.0) / 100
        self._smoothness = self._most_smoothness
        self._chosen_at = self._steps
        self._penalise()
        self._solver = self._new_solver()

    def _sample(self) -> Tensor:
        return self._batches.sample(STATISTICS_ROWS).inputs

    def _penalise(self) -> None:
        weights = self._weights
        if self._smooths:
            weights = replace(weights, smoothness=self._smoothness or 0.0)
        self._problem.penalty = QuadraticPenalty.of_network(
            self._model, self._problem.parameters, self._sample(), weights
        )


class DenseLevenbergMarquardt(Method):
    """Second-order steps for any module, its Jacobian formed by torch.func; for small ones."""

    def __init__(self, problem: LeastSquaresProblem) -> None:
        self._problem = problem
        self.reset()

    def reset(self) -> None:
        """Start with fresh damping."""
        self._solver = LevenbergMarquardt(self._problem)

    def step(self) -> str:
        """Take one damped Gauss-Newton step."""
        before = self._solver.refused
        outcome = self._solver.step()
        self.refused += self._solver.refused - before
        return outcome.stopped


class FirstOrderObjective:
    """Mean loss relative to the targets' variance, plus the penalty, for autograd."""

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        loss: Loss,
        variance: float,
        weights: PenaltyWeights,
    ) -> None:
        self.model = model
        self.batches = batches
        self.loss = loss
        self.variance = variance
        self.weights = weights

    def backward(self) -> Tensor:
        """Evaluate over all rows, adding gradients batch by batch; return the objective."""
        total = sum(total_weight(batch) for batch in self.batches)
        objective = torch.zeros((), dtype=torch.float64)
        for batch in self.batches:
            # Each batch's share of the penalty is that of its rows; over one batch it is exact.
            part = self._objective(batch, total_weight(batch) / total)
            part.backward()
            objective += part.detach().double().cpu()
        return objective

    def backward_batch(self, batch: Samples) -> Tensor:
        """Evaluate over one mini-batch and add its gradients."""
        objective = self._objective(batch, 1.0)
        objective.backward()
        return objective.detach()

    def _objective(self, batch: Samples, share: float) -> Tensor:
        scale = share / (total_weight(batch) * self.variance)
        if self.weights.lamb == 0 or not isinstance(self.model, KAN):
            return self.loss.total(self.model(batch.inputs), batch) * scale
        penalty, outputs = sparsity_penalty(self.model, batch.inputs, self.weights)
        return self.loss.total(outputs, batch) * scale + share * penalty


class QuasiNewtonMethod(Method):
    """L-BFGS with a strong Wolfe line search; a step is up to 20 of its iterations."""

    def __init__(self, objective: FirstOrderObjective, lr: float) -> None:
        self._objective = objective
        self._lr = lr
        self._idle = 0
        self.reset()

    def reset(self) -> None:
        """Forget the curvature."""
        self._optimizer = torch.optim.LBFGS(
            self._objective.model.parameters(),
            lr=self._lr,
            history_size=10,
            line_search_fn="strong_wolfe",
            tolerance_grad=1e-32,
            tolerance_change=1e-32,
        )
        self._last = math.inf

    def step(self) -> str:
        """Take up to 20 iterations; return to the start of the step if they end nowhere."""
        parameters = [p for p in self._objective.model.parameters() if p.requires_grad]
        saved = [p.detach().clone() for p in parameters]

        def closure() -> float:
            self._optimizer.zero_grad()
            return float(self._objective.backward())

        started = float(self._optimizer.step(closure))
        finite = all(bool(p.isfinite().all()) for p in parameters) and math.isfinite(started)
        if not finite:
            with torch.no_grad():
                for parameter, value in zip(parameters, saved, strict=True):
                    parameter.copy_(value)
            self.refused += 1
            self.reset()
            if self.refused > 3:
                return "stopped: steps kept leading to values that are not finite; lower lr"
            return ""
        moved = any(
            not torch.equal(parameter, value)
            for parameter, value in zip(parameters, saved, strict=True)
        )
        if not moved:
            self._idle += 1
            self.reset()
            return "converged: the line search finds no lower loss" if self._idle > 1 else ""
        # The optimizer reports the loss before its iterations, so a gain shows one step later.
        gained = self._last - started > _QUASI_NEWTON_TOLERANCE * abs(started)
        self._idle = 0 if gained else self._idle + 1
        self._last = started
        if self._idle > 2:
            return "converged: a step of 20 iterations gains less than 0.01 %"
        return ""


class AdamMethod(Method):
    """Adam on mini-batches; a step is one mini-batch."""

    def __init__(
        self, objective: FirstOrderObjective, lr: float, generator: torch.Generator
    ) -> None:
        self._objective = objective
        self._lr = lr
        self._generator = generator
        self._batches = self._endless()
        self.reset()

    def reset(self) -> None:
        """Forget the moments."""
        self._optimizer = torch.optim.Adam(self._objective.model.parameters(), lr=self._lr)

    def _endless(self) -> Iterator[Samples]:
        batches = self._objective.batches
        while True:
            if isinstance(batches, TensorBatches):
                yield from batches.shuffled(self._generator)
            else:
                yield from batches

    def step(self) -> str:
        """Take one step on the next mini-batch, unless its gradient is not finite."""
        self._optimizer.zero_grad()
        self._objective.backward_batch(next(self._batches))
        gradients = [p.grad for p in self._objective.model.parameters() if p.grad is not None]
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            self.refused += 1
            if self.refused > 100:
                return "stopped: gradients are not finite; lower lr or check the loss"
            return ""
        self._optimizer.step()
        return ""


def _alike(first: float | None, second: float | None) -> bool:
    """Tell whether two strengths are within a factor of ten."""
    if not first or not second:
        return first == second
    return 0.1 < first / second < 10


def parameter_count(model: nn.Module) -> int:
    """Count the parameters that a second-order step would have to solve for."""
    if isinstance(model, KAN):
        return FreeParameters(model).size
    return sum(parameter.numel() for parameter in model.parameters())
