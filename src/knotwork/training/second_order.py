"""Training by Levenberg-Marquardt: networks with their own Jacobian, other modules with torch's."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ..network import KAN
from ..statistics import LayerStatistics, network_statistics
from .batches import Batches
from .least_squares import NetworkLeastSquares, Restricted
from .levenberg_marquardt import LeastSquaresProblem, LevenbergMarquardt
from .methods import STATISTICS_ROWS, Method
from .parameters import Remembered
from .penalties import PenaltyWeights, QuadraticPenalty, sparsity_measure
from .saved import Saved
from .smoothing import SMOOTHING_STEPS, choose_smoothness

# A loss this many times above what was promised shows that smoothness was chosen wrongly.
_MISLED = 4.0
_STEPS_TO_ARRIVE = 5
# Times that smoothness is chosen between two changes of grid.
_MOST_CHOICES = 8
# Steps in which the sparsity penalty finds its edges. Smoothness that is chosen while most of them
# are still there, on a linearised problem that will not last, drives the fit far away.
_STEPS_TO_SPARSE = 10
# Steps between renewals of the adaptive penalty's weights.
_RENEWAL_STEPS = 2


class LevenbergMarquardtMethod(Method):
    """Second-order steps with the structured Jacobian and quadratic penalties.

    The adaptive sparsity penalty is renewed every few steps, and smoothness is chosen from the data
    as the fit settles unless it is given; see `smoothing`.
    """

    def __init__(
        self, model: KAN, batches: Batches, variance: float, weights: PenaltyWeights
    ) -> None:
        self._model = model
        self._weights = weights
        self._batches = batches
        self._variance = variance
        self._rows = batches.sample(STATISTICS_ROWS).inputs
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
        self._variation = Remembered[list[LayerStatistics]](self._problem.parameters)
        # With a sparsity penalty the objective is without roughness and can be compared throughout.
        self.era += not self._weights.lamb

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on beside the network."""
        penalty = self._problem.penalty
        return {
            "era": self.era,
            "refused": self.refused,
            "solver": self._solver.state(),
            "penalty": None if penalty is None else penalty.blocks,
            "steps": self._steps,
            "chosen": self._chosen,
            "chosen_at": self._chosen_at,
            "smoothness": self._smoothness,
            "most_smoothness": self._most_smoothness,
            "expected": self._expected,
            "arriving": self._arriving,
            "before": self._before,
        }

    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave."""
        self.era, self.refused = saved.integer("era"), saved.integer("refused")
        self._solver.take_up(saved.part("solver"))
        if not saved.is_none("penalty"):
            parts, dtype = self._problem.parameters.parts, self._before.dtype
            shapes = [(len(part.sources), part.per_edge, part.per_edge) for part in parts]
            blocks = saved.tensors("penalty", dtype, shapes)
            self._problem.penalty = QuadraticPenalty(self._problem.parameters, blocks)
        self._steps = saved.integer("steps")
        self._chosen, self._chosen_at = saved.integer("chosen"), saved.integer("chosen_at")
        self._smoothness = None if saved.is_none("smoothness") else saved.number("smoothness")
        self._most_smoothness = saved.number("most_smoothness")
        self._expected, self._arriving = saved.number("expected"), saved.flag("arriving")
        self._before = saved.tensor("before", self._before.dtype, self._before.shape)

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

    def train_loss(self) -> float:
        """Return the mean squared error."""
        return 2 * self._variance * self._problem.data_objective()

    def sparsity(self) -> float:
        """Return what the quadratic penalties descend on."""
        if not self._weights.lamb:
            return 0.0
        return sparsity_measure(self._statistics(), self._weights)

    def step(self) -> str:
        """Take one damped Gauss-Newton step."""
        renews = bool(self._weights.lamb or self._weights.smoothness)
        renewed = renews and self._steps % _RENEWAL_STEPS == 0
        early = self._weights.lamb and self._steps < _STEPS_TO_SPARSE
        if self._smooths and self._steps in SMOOTHING_STEPS and not early:
            self._smooth()
        elif renewed:
            self._penalise()
        self._steps += 1
        before = self._solver.refused
        outcome = self._solver.step()
        self.refused += self._solver.refused - before
        if outcome.stopped and renews and not renewed:
            # This was the end for the penalty at hand, which the next step renews.
            self._solver = self._new_solver()
            return ""
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
        choice = choose_smoothness(self._problem, self._statistics())
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

    def _statistics(self) -> list[LayerStatistics]:
        """Return how the network varies at present."""
        return self._variation.value(lambda: network_statistics(self._model, self._rows))

    def _penalise(self) -> None:
        weights = self._weights
        if self._smooths:
            weights = replace(weights, smoothness=self._smoothness or 0.0)
        self._problem.penalty = QuadraticPenalty.of_statistics(
            self._problem.parameters, self._statistics(), weights
        )


class DenseLevenbergMarquardt(Method):
    """Second-order steps for any module, its Jacobian formed by torch.func; for small ones.

    `bold` is that of `LevenbergMarquardt`.
    """

    def __init__(self, problem: LeastSquaresProblem, bold: bool = False) -> None:
        self._problem = problem
        self._bold = bold
        self.reset()

    def reset(self) -> None:
        """Start with fresh damping."""
        self._solver = LevenbergMarquardt(self._problem, bold=self._bold)

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on beside the network."""
        return {"refused": self.refused, "solver": self._solver.state()}

    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave."""
        self.refused = saved.integer("refused")
        self._solver.take_up(saved.part("solver"))

    def step(self) -> str:
        """Take one damped Gauss-Newton step."""
        before = self._solver.refused
        outcome = self._solver.step()
        self.refused += self._solver.refused - before
        return outcome.stopped


def _alike(first: float | None, second: float | None) -> bool:
    """Tell whether two strengths are within a factor of ten."""
    if not first or not second:
        return first == second
    return 0.1 < first / second < 10
