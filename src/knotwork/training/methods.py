"""What a method of training is: a thing that takes one step at a time.

The loop knows nothing of how a step is made; a method knows nothing of histories, grids or early
stopping.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from ..network import KAN
from .parameters import FreeParameters
from .saved import Saved

# Rows over which the spread of edges is measured.
STATISTICS_ROWS = 4096


class Method(ABC):
    """One way of improving a network, a step at a time."""

    refused = 0

    # Goes up whenever what is minimised changes, so that earlier values no longer compare.
    era = 0

    def extra_penalty(self) -> float:
        """Return what the method adds to the objective of its own accord, at the present."""
        return 0.0

    def train_loss(self) -> float | None:
        """Return the mean loss over the rows, if the method has a quicker way than the network."""
        return None

    def sparsity(self) -> float | None:
        """Return the sparsity penalty at the present, if the method has a measure of its own."""
        return None

    @abstractmethod
    def step(self) -> str:
        """Improve the network; return "" or, if there is nothing more to gain, why."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what was learned about the surface, after the network was changed."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return all that later steps depend on beside the network, as a tree for `saved.pack`."""

    @abstractmethod
    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave, in a network of the same parameters.

        Raises
        ------
        ValueError
            If it is not such a state.
        """


def parameter_count(model: nn.Module) -> int:
    """Count the parameters that a second-order step would have to solve for."""
    if isinstance(model, KAN):
        return FreeParameters(model).size
    return sum(parameter.numel() for parameter in model.parameters())
