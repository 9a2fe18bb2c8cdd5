"""The course of a fit, whatever it is to: step, record, keep the best, stop when asked."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .._progress import progress_display
from ..network import KAN
from .history import History
from .methods import Method


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


@dataclass(frozen=True)
class Evaluation:
    """Mean losses, the penalty, and the objectives: as `given`, and with the method's own part."""

    train: float
    test: float
    penalty: float
    given: float
    objective: float


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

    def run(self, callbacks: Sequence[Callback], progress: bool | None) -> History:
        """Go through the steps; whatever happens, leave the network at the best met."""
        history, steps = self.history, self.steps
        began = time.perf_counter()
        origin = self._evaluate_start()
        keeper = _Keeper(self.model, origin, self.patience)
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

    def _remark(self) -> str:
        return f"{self.history.metric} {self.history.train_loss[-1]:.3g}"

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


class _Keeper:
    """Keeps the best parameters met.

    The best is judged by the test loss if there is patience for it, otherwise by the objective.
    Where a method changes what it minimises (smoothness chosen anew, knots moved), values from
    before say nothing any more: a new era begins with the parameters it finds.  Whatever came
    between, the network never ends worse than its `origin`, as the fit was given it.
    """

    def __init__(self, model: nn.Module, origin: Evaluation, patience: int | None) -> None:
        self._model = model
        self._patience = patience
        self._origin = origin
        self._origin_state = self._best_state = copy_of_state(model)
        self._best, self._best_step, self._era = origin, 0, 0
        self._idle = 0

    def _judge(self, evaluation: Evaluation) -> float:
        value = evaluation.objective if self._patience is None else evaluation.test
        return value if math.isfinite(value) else math.inf

    def see(self, step: int, now: Evaluation, era: int) -> None:
        """Look at the network after a step."""
        new_era = era != self._era and self._patience is None and math.isfinite(now.objective)
        better = self._judge(now) < self._judge(self._best)
        self._idle = 0 if better else self._idle + 1
        if better or new_era:
            self._best, self._best_step, self._era = now, step, era
            self._best_state = copy_of_state(self._model)

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


def copy_of_state(model: nn.Module) -> dict[str, Any]:
    """Return a copy of a module's state that its training leaves alone."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else value
        for name, value in model.state_dict().items()
    }
