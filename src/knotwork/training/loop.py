"""A fit to data: what it starts from, how it is judged, and how the grids follow."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..data import Dataset
from ..network import KAN
from ..statistics import network_statistics
from .batches import Batches, TensorBatches
from .course import Course
from .dense import DenseLeastSquares
from .first_order import AdamMethod, FirstOrderObjective, QuasiNewtonMethod
from .grids import follow_data
from .keeper import Evaluation, copy_of_state
from .losses import target_variance, total_weight
from .methods import STATISTICS_ROWS, Method
from .options import FitOptions
from .penalties import sparsity_measure, sparsity_penalty
from .second_order import DenseLevenbergMarquardt, LevenbergMarquardtMethod
from .start import is_fresh, start_on_data

# The grid follows the data until this share of the steps is done, so that the rest can settle.
_GRID_SHARE = 0.5
_MOST_GRID_STEPS = 50
# Records between looks at whether the grid still fits.
_GRID_INTERVALS = {"LM": 4, "LBFGS": 2}


class Loop(Course):
    """One fit to data under way."""

    def __init__(
        self, model: nn.Module, dataset: Dataset | None, batches: Batches, options: FitOptions
    ) -> None:
        super().__init__(
            model,
            options.steps,
            every=_record_every(options, batches),
            patience=options.patience,
            tested=dataset is not None and dataset.test is not None,
            metric=options.loss.metric,
            report=options.loss.report,
        )
        self.batches = batches
        self.options = options
        self.sample = batches.sample(STATISTICS_ROWS)
        self.variance = target_variance(self.sample, options.loss)
        self.test = None
        if dataset is not None and dataset.test is not None:
            self.test = TensorBatches(dataset.test.to(self.sample.inputs.dtype))

    def _method(self) -> Method:
        options = self.options
        if options.method == "LM" and isinstance(self.model, KAN):
            return LevenbergMarquardtMethod(
                self.model, self.batches, self.variance, options.penalty
            )
        if options.method == "LM":
            return DenseLevenbergMarquardt(
                DenseLeastSquares(self.model, self.batches, self.variance)
            )
        objective = FirstOrderObjective(
            self.model, self.batches, options.loss, self.variance, options.penalty
        )
        if options.method == "LBFGS":
            return QuasiNewtonMethod(objective, options.rate)
        return AdamMethod(objective, options.rate, torch.Generator().manual_seed(options.seed))

    def _start(self) -> None:
        """Bring an untrained network to the scale of the data."""
        if not (self.options.update_grid and isinstance(self.model, KAN)):
            return
        if not is_fresh(self.model):
            return
        state = copy_of_state(self.model)
        start_on_data(self.model, self.sample, self.options.loss, self.options.starts)
        if not math.isfinite(self._evaluate().objective):
            self.model.load_state_dict(state)

    def _follow(self, step: int) -> bool:
        """Move the knots to the data if they no longer fit it; tell whether they moved."""
        model, options = self.model, self.options
        interval = _GRID_INTERVALS.get(options.method, 1) * self.every
        last = min(_MOST_GRID_STEPS * self.every, int(options.steps * _GRID_SHARE))
        if not options.update_grid or not isinstance(model, KAN):
            return False
        if step % interval or step > last:
            return False
        return follow_data(model, self.sample.inputs, shrink=options.method != "Adam")

    def _evaluate(self, method: Method | None = None) -> Evaluation:
        train = None if method is None else method.train_loss()
        train = self._mean_loss(self.batches) if train is None else train
        extra_penalty = 0.0 if method is None else method.extra_penalty()
        test = math.nan if self.test is None else self._mean_loss(self.test)
        penalty = None if method is None else method.sparsity()
        penalty = self._sparsity() if penalty is None else penalty
        given = train / self.variance + penalty
        return Evaluation(train, test, penalty, given, given + extra_penalty)

    @torch.no_grad()
    def _sparsity(self) -> float:
        rows, weights = self.sample.inputs, self.options.penalty
        if not weights.lamb or not isinstance(self.model, KAN):
            return 0.0
        if self.options.method == "LM":
            return sparsity_measure(network_statistics(self.model, rows), weights)
        return float(sparsity_penalty(self.model, rows, weights)[0])

    @torch.no_grad()
    def _mean_loss(self, batches: Batches) -> float:
        total = weight = 0.0
        for batch in batches:
            total += float(self.options.loss.total(self.model(batch.inputs), batch))
            weight += total_weight(batch)
        return total / weight


def _record_every(options: FitOptions, batches: Batches) -> int:
    """Return how many steps lie between records: about an epoch for Adam, else 1."""
    if options.method != "Adam":
        return 1
    if isinstance(batches, TensorBatches):
        return max(1, min(len(batches), options.steps))
    return max(1, min(options.steps // 20, 100))
