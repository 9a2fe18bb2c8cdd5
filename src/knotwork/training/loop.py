"""The course of one fit: step, follow the data with the grids, record, keep the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._progress import progress_display
from ..data import Dataset
from ..network import KAN
from .batches import Batches, TensorBatches
from .dense import DenseLeastSquares
from .first_order import AdamMethod, FirstOrderObjective, QuasiNewtonMethod
from .grids import grid_misfits
from .history import History
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


@dataclass(frozen=True)
class Progress:
    """What a callback is given after every recorded step.

    Attributes
    ----------
    model : nn.Module
    history : History
        With this step already recorded.
    step, steps : int
        The step just done and the number asked for.
    """

    model: nn.Module
    history: History
    step: int
    steps: int


Callback = Callable[[Progress], bool | None]


class Loop:
    """One fit under way."""

    def __init__(
        self, model: nn.Module, dataset: Dataset | None, batches: Batches, options: FitOptions
    ) -> None:
        self.model = model
        self.batches = batches
        self.options = options
        self.sample = batches.sample(STATISTICS_ROWS)
        self.variance = target_variance(self.sample, options.loss)
        self.test = None
        if dataset is not None and dataset.test is not None:
            self.test = TensorBatches(dataset.test.to(self.sample.inputs.dtype))
        self.every = _record_every(options, batches)
        self.history = History(metric=options.loss.metric)

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

    def run(self, callbacks: Sequence[Callback], progress: bool | None) -> History:
        """Go through the steps; whatever happens, leave the network at the best met."""
        history, steps = self.history, self.options.steps
        began = time.perf_counter()
        origin = self._evaluate_start()
        keeper = _Keeper(self.model, origin, self.options.patience)
        self._record(0, origin, began)
        if steps:
            self._start()
        method = self._method()
        history.status = "all steps done"
        try:
            with progress_display(progress, name="fitting", total=steps, unit="steps") as display:
                for step in range(1, steps + 1):
                    if self._follow(step):
                        method.reset()
                    stopped = method.step()
                    if step % self.every and step != steps and not stopped:
                        display.show(step, self._remark())
                        continue
                    now = self._evaluate(method)
                    self._record(step, now, began)
                    display.show(step, self._remark())
                    keeper.see(step, now, method.era)
                    asked = self._asked_to_stop(callbacks, step)
                    stopped = asked or keeper.patience_over or stopped
                    if stopped:
                        history.status = stopped
                        display.show(step, f"{self._remark()}, {stopped}")
                        break
        finally:
            history.best_step = keeper.restore()
        history.refused = method.refused
        return history

    def _evaluate_start(self) -> _Evaluation:
        first = self._evaluate()
        if not math.isfinite(first.objective):
            raise FloatingPointError(
                "the loss is not finite at the start: check the network's parameters and that the "
                "inputs lie where its functions are defined."
            )
        return first

    def _start(self) -> None:
        """Bring an untrained network to the scale of the data."""
        if not (self.options.update_grid and isinstance(self.model, KAN)):
            return
        if not is_fresh(self.model):
            return
        state = _copy_of_state(self.model)
        start_on_data(self.model, self.sample, self.options.loss, self.options.starts)
        if not math.isfinite(self._evaluate().objective):
            self.model.load_state_dict(state)

    def _remark(self) -> str:
        return f"{self.history.metric} {self.history.train_loss[-1]:.3g}"

    def _asked_to_stop(self, callbacks: Sequence[Callback], step: int) -> str:
        progress = Progress(self.model, self.history, step, self.options.steps)
        # Every callback is called, whatever the ones before it say.
        answers = [callback(progress) for callback in callbacks]
        return "stopped by a callback" if any(answer is True for answer in answers) else ""

    def _follow(self, step: int) -> bool:
        """Move the knots to the data if they no longer fit it; tell whether they moved."""
        model, options = self.model, self.options
        interval = _GRID_INTERVALS.get(options.method, 1) * self.every
        last = min(_MOST_GRID_STEPS * self.every, int(options.steps * _GRID_SHARE))
        if not options.update_grid or not isinstance(model, KAN):
            return False
        if step % interval or step > last:
            return False
        if not grid_misfits(model, self.sample.inputs):
            return False
        try:
            model.update_grid(self.sample.inputs, shrink=options.method != "Adam")
        except FloatingPointError:
            # Values too large to re-fit; the layers are as they were, and the step is judged bad.
            return False
        return True

    def _evaluate(self, method: Method | None = None) -> _Evaluation:
        train = None if method is None else method.train_loss()
        train = self._mean_loss(self.batches) if train is None else train
        extra_penalty = 0.0 if method is None else method.extra_penalty()
        test = math.nan if self.test is None else self._mean_loss(self.test)
        penalty = 0.0
        weights = self.options.penalty
        if weights.lamb and isinstance(self.model, KAN):
            with torch.no_grad():
                rows = self.sample.inputs
                if self.options.method == "LM":
                    penalty = float(sparsity_measure(self.model, rows, weights))
                else:
                    penalty = float(sparsity_penalty(self.model, rows, weights)[0])
        given = train / self.variance + penalty
        return _Evaluation(train, test, penalty, given, given + extra_penalty)

    @torch.no_grad()
    def _mean_loss(self, batches: Batches) -> float:
        total = weight = 0.0
        for batch in batches:
            total += float(self.options.loss.total(self.model(batch.inputs), batch))
            weight += total_weight(batch)
        return total / weight

    def _record(self, step: int, now: _Evaluation, began: float) -> None:
        history = self.history
        history.steps.append(step)
        history.train_loss.append(self.options.loss.report(now.train))
        if self.test is not None:
            history.test_loss.append(self.options.loss.report(now.test))
        history.penalty.append(now.penalty)
        history.grid.append(self.model.grid if isinstance(self.model, KAN) else 0)
        history.seconds.append(time.perf_counter() - began)


@dataclass(frozen=True)
class _Evaluation:
    """Mean losses, the penalty, and the objectives: as `given`, and with the method's own part."""

    train: float
    test: float
    penalty: float
    given: float
    objective: float


class _Keeper:
    """Keeps the best parameters met.

    The best is judged by the test loss if there is patience for it, otherwise by the objective.
    Where a method changes what it minimises (smoothness chosen anew, knots moved), values from
    before say nothing any more: a new era begins with the parameters it finds.  Whatever came
    between, the network never ends worse than its `origin`, as the fit was given it.
    """

    def __init__(self, model: nn.Module, origin: _Evaluation, patience: int | None) -> None:
        self._model = model
        self._patience = patience
        self._origin = origin
        self._origin_state = self._best_state = _copy_of_state(model)
        self._best, self._best_step, self._era = origin, 0, 0
        self._idle = 0

    def _judge(self, evaluation: _Evaluation) -> float:
        value = evaluation.objective if self._patience is None else evaluation.test
        return value if math.isfinite(value) else math.inf

    def see(self, step: int, now: _Evaluation, era: int) -> None:
        """Look at the network after a step."""
        new_era = era != self._era and self._patience is None and math.isfinite(now.objective)
        better = self._judge(now) < self._judge(self._best)
        self._idle = 0 if better else self._idle + 1
        if better or new_era:
            self._best, self._best_step, self._era = now, step, era
            self._best_state = _copy_of_state(self._model)

    @property
    def patience_over(self) -> str:
        """Why to stop, if the test loss has not improved for too long."""
        if self._patience is None or self._idle < self._patience:
            return ""
        return f"stopped early: no better test loss for {self._patience} records"

    def restore(self) -> int:
        """Give the network the best parameters, the first ones included; return their step."""
        worse = self._judge(self._origin) < self._judge(self._best)
        if self._patience is None:
            # Roughness apart: it was not known at the start.
            worse = self._origin.given < self._best.given
        if worse:
            self._best_state, self._best_step = self._origin_state, 0
        self._model.load_state_dict(self._best_state)
        return self._best_step


def _copy_of_state(model: nn.Module) -> dict[str, Any]:
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else value
        for name, value in model.state_dict().items()
    }


def _record_every(options: FitOptions, batches: Batches) -> int:
    """Return how many steps lie between records: about an epoch for Adam, else 1."""
    if options.method != "Adam":
        return 1
    if isinstance(batches, TensorBatches):
        return max(1, min(math.ceil(len(batches.samples) / batches.rows), options.steps))
    return max(1, min(options.steps // 20, 100))
