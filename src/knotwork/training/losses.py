"""What a fit minimises on the data, as records: the loss of each row, and how it is reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from .._checks import check_choice
from ..data import Samples


@dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes
    ----------
    name : str
        Its name.
    rows : callable
        ``rows(prediction, target)`` gives the loss of each row, shape (rows,), or their mean.
    metric : str
        What `report` gives.
    report : callable
        Turns the mean loss into what the history shows.
    classes : bool
        Whether targets are class labels.
    """

    name: str
    rows: Callable[[Tensor, Tensor], Tensor]
    metric: str
    report: Callable[[float], float] = lambda value: value
    classes: bool = False

    def total(self, prediction: Tensor, samples: Samples) -> Tensor:
        """Sum the loss over rows, weighted if they have weights."""
        losses = self.rows(prediction, samples.targets)
        if not isinstance(losses, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"loss returned {type(losses).__name__}: return a tensor, one number (the mean "
                f"over rows) or the loss of each row, shape ({len(samples)},)."
            )
        if losses.dim() == 0:
            if samples.weights is not None:
                raise ValueError(
                    "loss returned one number, but weights are given: return the loss of each row, "
                    "shape (rows,), so that it can be weighted."
                )
            return losses * len(samples)
        if losses.shape != (len(samples),):
            raise ValueError(
                f"loss returned shape {tuple(losses.shape)}: return one number (the mean over "
                f"rows) or the loss of each row, shape ({len(samples)},)."
            )
        return losses.sum() if samples.weights is None else losses @ samples.weights


def _squared(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square().mean(dim=1)


def _huber(prediction: Tensor, target: Tensor) -> Tensor:
    return functional.huber_loss(prediction, target, reduction="none").mean(dim=1)


def _cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(prediction, target, reduction="none")


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        loss.name: loss
        for loss in (
            Loss("mse", _squared, "RMSE", lambda value: value**0.5),
            Loss("huber", _huber, "Huber loss"),
            Loss("cross_entropy", _cross_entropy, "cross-entropy", classes=True),
        )
    }
)


def resolve_loss(loss: str | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """Return the loss of that name, or the record of a callable of (prediction, target)."""
    if callable(loss):
        return Loss("custom", loss, "loss")
    return LOSSES[check_choice(loss, "loss", LOSSES)]


def total_weight(samples: Samples) -> float:
    """Return the sum of the rows' weights."""
    return float(len(samples)) if samples.weights is None else float(samples.weights.sum())


def target_variance(samples: Samples, loss: Loss) -> float:
    """Return the scale that penalties are relative to: the targets' mean variance, or 1."""
    if loss.name != "mse":
        return 1.0
    weights = samples.weights
    weights = torch.ones_like(samples.targets[:, 0]) if weights is None else weights
    centred = samples.targets - weights @ samples.targets / weights.sum()
    variance = float((weights @ centred.square() / weights.sum()).mean())
    return variance if variance > torch.finfo(samples.targets.dtype).tiny else 1.0
