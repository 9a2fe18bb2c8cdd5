"""What happened during a fit, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from .saved import Saved

_COUNTS = ("steps", "grid")
_NUMBERS = ("train_loss", "test_loss", "penalty", "seconds")


@dataclass
class History:
    """The course of a fit, one entry a recorded step.

    Attributes
    ----------
    metric : str
        What the losses are: "RMSE" for least squares (in the targets' units), otherwise the name
        of the loss.
    steps : list of int
        Numbers of the recorded steps, counted over this fit; 0 is the network as it was given.
    train_loss, test_loss : list of float
        Losses on the training and test rows; `test_loss` is empty without test rows.
    penalty : list of float
        Value of the penalty terms, relative to the targets' variance.
    grid : list of int
        Intervals of the first layer's grid.
    seconds : list of float
        Time since the fit began.
    best_step : int
        The step whose parameters the network has now.
    status : str
        How the fit ended, in words, with what to do about it where that helps.
    refused : int
        Steps that were refused because the loss would have risen or not been finite.
    """

    metric: str = "RMSE"
    steps: list[int] = field(default_factory=list[int])
    train_loss: list[float] = field(default_factory=list[float])
    test_loss: list[float] = field(default_factory=list[float])
    penalty: list[float] = field(default_factory=list[float])
    grid: list[int] = field(default_factory=list[int])
    seconds: list[float] = field(default_factory=list[float])
    best_step: int = 0
    status: str = ""
    refused: int = 0

    def __str__(self) -> str:
        if not self.steps:
            return "History(empty)"
        train = self.train_loss[self._best_entry()]
        text = f"train {self.metric} {train:.3g}"
        if self.test_loss and math.isfinite(self.test_loss[self._best_entry()]):
            text += f", test {self.metric} {self.test_loss[self._best_entry()]:.3g}"
        return f"{text} after {self.steps[-1]} steps in {self.seconds[-1]:.2f} s: {self.status}"

    def _repr_html_(self) -> str | None:
        from ..notebook import history_html

        return history_html(self)

    def _best_entry(self) -> int:
        return self.steps.index(self.best_step) if self.best_step in self.steps else -1

    def state(self) -> dict[str, Any]:
        """Return the entries, for a checkpoint of the fit."""
        return {
            "count": len(self.steps),
            "tested": bool(self.test_loss),
            **{name: torch.tensor(getattr(self, name), dtype=torch.int64) for name in _COUNTS},
            **{name: torch.tensor(getattr(self, name), dtype=torch.float64) for name in _NUMBERS},
        }

    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave."""
        count, tested = saved.integer("count"), saved.flag("tested")
        if not count:
            raise ValueError("the history has no entry.")
        for name in (*_COUNTS, *_NUMBERS):
            dtype = torch.int64 if name in _COUNTS else torch.float64
            length = 0 if name == "test_loss" and not tested else count
            setattr(self, name, saved.tensor(name, dtype, (length,)).tolist())
