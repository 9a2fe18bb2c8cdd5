"""The course of one fit: step, follow the data with the grids, record, keep the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from ..data import Dataset
from ..network import KAN
from .batches import Batches, TensorBatches
from .checkpoint import Checkpoint
from .dense import DenseLeastSquares
from .first_order import AdamMethod, FirstOrderObjective, QuasiNewtonMethod
from .grids import grid_misfits
from .history import History
from .keeper import Evaluation, Keeper, copy_of_state, load_state, tensors_of
from .losses import target_variance, total_weight
from .methods import STATISTICS_ROWS, Method
from .options import FitOptions
from .penalties import sparsity_measure, sparsity_penalty
from .saved import Saved
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

    def run(
        self,
        callbacks: Sequence[Callback],
        show: bool,
        delay: bool,
        checkpoint: Checkpoint | None = None,
    ) -> History:
        """Go through the steps; whatever happens, leave the network at the best met.

        Parameters
        ----------
        callbacks : sequence of callables
        show, delay : bool
            Whether to show a bar of progress, and whether only after a second.
        checkpoint : Checkpoint, optional
            Where to keep the fit on its way, and what to go on from.
        """
        history, steps = self.history, self.options.steps
        began = time.perf_counter()
        origin = self._evaluate_start()
        keeper = Keeper(self.model, origin, self.options.patience)
        if checkpoint is None or checkpoint.saved is None:
            self._record(0, origin, began)
            if checkpoint is not None:
                checkpoint.save(None)
            if steps:
                self._start()
            method, step, stopped = self._method(), 0, ""
        else:
            method, step, stopped = self._take_up(checkpoint, checkpoint.saved, keeper)
            began -= history.seconds[-1]
        bar = tqdm(
            total=steps,
            initial=step,
            disable=not show,
            delay=1.0 if delay else 0.0,
            leave=False,
            unit="step",
        )
        try:
            with bar:
                while step < steps and not stopped:
                    step += 1
                    if self._follow(step):
                        method.reset()
                    stopped = method.step()
                    bar.update()
                    if step % self.every == 0 or step == steps or stopped:
                        now = self._evaluate(method)
                        self._record(step, now, began)
                        text = f"{history.metric} {history.train_loss[-1]:.3g}"
                        bar.set_postfix_str(
                            text, refresh=not delay and (step == steps or bool(stopped))
                        )
                        keeper.see(step, now, method.era)
                        asked = self._asked_to_stop(callbacks, step)
                        stopped = asked or keeper.patience_over or stopped
                    if checkpoint is not None:
                        over = step == steps or bool(stopped)
                        if over or checkpoint.due(step):
                            checkpoint.save(self._state(method, keeper, step, stopped))
        finally:
            history.best_step = keeper.restore()
        history.status = stopped or "all steps done"
        history.refused = method.refused
        return history

    def _state(self, method: Method, keeper: Keeper, step: int, stopped: str) -> dict[str, Any]:
        """Return all that the rest of the fit depends on."""
        return {
            "step": step,
            "stopped": stopped,
            "network": tensors_of(self.model.state_dict()),
            "history": self.history.state(),
            "keeper": keeper.state(),
            "method": method.state(),
        }

    def _take_up(
        self, checkpoint: Checkpoint, saved: Saved, keeper: Keeper
    ) -> tuple[Method, int, str]:
        """Go on from what `_state` gave; return the method, the step and why the fit stopped."""
        before = copy_of_state(self.model)
        try:
            step, stopped = saved.integer("step"), saved.text("stopped")
            if not 0 < step <= self.options.steps:
                raise ValueError(f"step is {step} of {self.options.steps}.")
            load_state(self.model, saved)
            self.history.take_up(saved.part("history"))
            keeper.take_up(saved.part("keeper"))
            method = self._method()
            method.take_up(saved.part("method"))
            return method, step, stopped
        except ValueError as error:
            self.model.load_state_dict(before)
            raise checkpoint.wrong(error) from error

    def _evaluate_start(self) -> Evaluation:
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
        state = copy_of_state(self.model)
        start_on_data(self.model, self.sample, self.options.loss, self.options.starts)
        if not math.isfinite(self._evaluate().objective):
            self.model.load_state_dict(state)

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

    def _evaluate(self, method: Method | None = None) -> Evaluation:
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
        return Evaluation(train, test, penalty, given, given + extra_penalty)

    @torch.no_grad()
    def _mean_loss(self, batches: Batches) -> float:
        total = weight = 0.0
        for batch in batches:
            total += float(self.options.loss.total(self.model(batch.inputs), batch))
            weight += total_weight(batch)
        return total / weight

    def _record(self, step: int, now: Evaluation, began: float) -> None:
        history = self.history
        history.steps.append(step)
        history.train_loss.append(self.options.loss.report(now.train))
        if self.test is not None:
            history.test_loss.append(self.options.loss.report(now.test))
        history.penalty.append(now.penalty)
        history.grid.append(self.model.grid if isinstance(self.model, KAN) else 0)
        history.seconds.append(time.perf_counter() - began)


def _record_every(options: FitOptions, batches: Batches) -> int:
    """Return how many steps lie between records: about an epoch for Adam, else 1."""
    if options.method != "Adam":
        return 1
    if isinstance(batches, TensorBatches):
        return max(1, min(len(batches), options.steps))
    return max(1, min(options.steps // 20, 100))
