"""The best parameters that a fit met."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from .saved import Saved

__all__ = ["Evaluation", "Keeper", "copy_of_state", "load_state", "tensors_of"]


@dataclass(frozen=True)
class Evaluation:
    """Mean losses, the penalty, and the objectives: as `given`, and with the method's own part."""

    train: float
    test: float
    penalty: float
    given: float
    objective: float


class Keeper:
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

    def state(self) -> dict[str, Any]:
        """Return all but the origin, which a fit that goes on begins with again."""
        return {
            "best": asdict(self._best),
            "best_step": self._best_step,
            "era": self._era,
            "idle": self._idle,
            "network": tensors_of(self._best_state),
        }

    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave."""
        best = saved.part("best")
        names = ("train", "test", "penalty", "given", "objective")
        self._best = Evaluation(*(best.number(name) for name in names))
        self._best_step = saved.integer("best_step")
        self._era, self._idle = saved.integer("era"), saved.integer("idle")
        self._best_state = {**self._origin_state, **_like(self._origin_state, saved)}


def copy_of_state(model: nn.Module) -> dict[str, Any]:
    """Return the network's state, which what happens to the network no longer changes."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else value
        for name, value in model.state_dict().items()
    }


def tensors_of(state: dict[str, Any]) -> dict[str, Tensor]:
    """Return what a fit can change of a network's state."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def load_state(model: nn.Module, saved: Saved) -> None:
    """Give a network the tensors that are saved as "network"."""
    state = model.state_dict()
    model.load_state_dict({**state, **_like(state, saved)})


def _like(state: dict[str, Any], saved: Saved) -> dict[str, Tensor]:
    """Return the saved network's tensors, which must be like those of `state`."""
    network = saved.part("network")
    return {
        name: network.tensor(name, value.dtype, value.shape).to(value.device)
        for name, value in tensors_of(state).items()
    }
