"""The course of a fit, whatever it is to: step, record, keep the best, stop when asked."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from .._progress import progress_display
from ..network import KAN
from .checkpoint import Checkpoint
from .history import History
from .keeper import Evaluation, Keeper, copy_of_state, load_state, tensors_of
from .methods import Method
from .saved import Saved


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


class Course(ABC):
    """One fit under way.

    Parameters
    ----------
    model : nn.Module
    steps : int
    every : int
        Steps between records.
    patience : int, optional
        Records without a better test loss after which to stop.
    tested : bool
        Whether there is a test loss.
    metric : str
        What the losses in the history are.
    report : callable
        Turns a mean loss into what the history shows.
    """

    def __init__(
        self,
        model: nn.Module,
        steps: int,
        *,
        every: int = 1,
        patience: int | None = None,
        tested: bool = False,
        metric: str,
        report: Callable[[float], float],
    ) -> None:
        self.model = model
        self.steps = steps
        self.every = every
        self.patience = patience
        self.tested = tested
        self.history = History(metric=metric)
        self._report = report

    @abstractmethod
    def _method(self) -> Method:
        """Return the method that takes the steps, once the start is made."""

    @abstractmethod
    def _evaluate(self, method: Method | None = None) -> Evaluation:
        """Judge the network as it is now."""

    @abstractmethod
    def _start(self) -> None:
        """Bring an untrained network to the scale of what it is fitted to."""

    @abstractmethod
    def _follow(self, step: int) -> bool:
        """Move the knots if they no longer fit; tell whether they moved."""

    def run(
        self,
        callbacks: Sequence[Callback],
        progress: bool | None,
        checkpoint: Checkpoint | None = None,
    ) -> History:
        """Go through the steps; whatever happens, leave the network at the best met.

        Parameters
        ----------
        callbacks : sequence of callables
        progress : bool or None
            Whether to show how far the fit is; see `progress_display`.
        checkpoint : Checkpoint, optional
            Where to keep the fit on its way, and what to go on from.
        """
        history, steps = self.history, self.steps
        began = time.perf_counter()
        origin = self._evaluate_start()
        keeper = Keeper(self.model, origin, self.patience)
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
        try:
            with progress_display(progress, name="fitting", total=steps, unit="steps") as display:
                while step < steps and not stopped:
                    step += 1
                    if self._follow(step):
                        method.reset()
                    stopped = method.step()
                    if step % self.every == 0 or step == steps or stopped:
                        now = self._evaluate(method)
                        self._record(step, now, began)
                        keeper.see(step, now, method.era)
                        asked = self._asked_to_stop(callbacks, step)
                        stopped = asked or keeper.patience_over or stopped
                    display.show(step, self._remark(stopped))
                    if checkpoint is not None:
                        over = step == steps or bool(stopped)
                        if over or checkpoint.due(step):
                            checkpoint.save(self._state(method, keeper, step, stopped))
        finally:
            history.best_step = keeper.restore()
        history.status = stopped or "all steps done"
        history.refused = method.refused
        return history

    def _remark(self, stopped: str) -> str:
        loss = f"{self.history.metric} {self.history.train_loss[-1]:.3g}"
        return f"{loss}, {stopped}" if stopped else loss

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
            if not 0 < step <= self.steps:
                raise ValueError(f"step is {step} of {self.steps}.")
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

    def _asked_to_stop(self, callbacks: Sequence[Callback], step: int) -> str:
        progress = Progress(self.model, self.history, step, self.steps)
        # Every callback is called, whatever the ones before it say.
        answers = [callback(progress) for callback in callbacks]
        return "stopped by a callback" if any(answer is True for answer in answers) else ""

    def _record(self, step: int, now: Evaluation, began: float) -> None:
        history = self.history
        history.steps.append(step)
        history.train_loss.append(self._report(now.train))
        if self.tested:
            history.test_loss.append(self._report(now.test))
        history.penalty.append(now.penalty)
        history.grid.append(self.model.grid if isinstance(self.model, KAN) else 0)
        history.seconds.append(time.perf_counter() - began)
