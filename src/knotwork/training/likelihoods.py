r"""What outputs say about targets: minus the log-likelihood of a row, its slope and curvature.

The curvature of a likelihood of the exponential family is a product :math:`B B^T`, so a
Gauss-Newton step needs only the columns of :math:`B` as directions to go back from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

# Probabilities closer to 0 than this count as this where they are divided by.
_LEAST_PROBABILITY = 1e-12


class Likelihood(ABC):
    """Minus a log-likelihood, as a function of the network's outputs.

    Attributes
    ----------
    dispersed : bool
        Whether there is a variance to estimate beside it.
    """

    dispersed = False

    @abstractmethod
    def outputs(self, targets: Tensor) -> int:
        """Return how many outputs the network needs for these targets."""

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return minus the log-likelihood of each row, shape (rows,), up to a constant."""

    @abstractmethod
    def slopes(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the losses' derivatives by the outputs, shape (rows, outputs)."""

    @abstractmethod
    def curvature_roots(self, outputs: Tensor) -> Tensor:
        """Return `B` of every row, shape (rows, outputs, directions)."""


class Gaussian(Likelihood):
    """Numbers with errors of one variance: targets of shape (rows, outputs)."""

    dispersed = True

    def outputs(self, targets: Tensor) -> int:
        """Return the number of targets."""
        return targets.shape[1]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return half the squared errors; see `Likelihood`."""
        return 0.5 * (outputs - targets).square().sum(dim=1)

    def slopes(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the errors; see `Likelihood`."""
        return outputs - targets

    def curvature_roots(self, outputs: Tensor) -> Tensor:
        """Return unit matrices; see `Likelihood`."""
        one = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
        return one.expand(len(outputs), -1, -1)


class Bernoulli(Likelihood):
    """One of two classes: targets of shape (rows,) that are 0 or 1, the output their log-odds."""

    def outputs(self, targets: Tensor) -> int:
        """Return 1."""
        return 1

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy; see `Likelihood`."""
        return functional.binary_cross_entropy_with_logits(
            outputs[:, 0], targets.to(outputs), reduction="none"
        )

    def slopes(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the probabilities' errors; see `Likelihood`."""
        return outputs.sigmoid() - targets.to(outputs)[:, None]

    def curvature_roots(self, outputs: Tensor) -> Tensor:
        """Return the root of p (1 - p); see `Likelihood`."""
        p = outputs.sigmoid()
        return (p * (1 - p)).clamp(min=_LEAST_PROBABILITY).sqrt()[:, :, None]


class Categorical(Likelihood):
    """One of several classes: targets of shape (rows,) from 0, outputs their log-odds."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def outputs(self, targets: Tensor) -> int:
        """Return the number of classes."""
        return self.classes

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy; see `Likelihood`."""
        return functional.cross_entropy(outputs, targets, reduction="none")

    def slopes(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the probabilities' errors; see `Likelihood`."""
        return outputs.softmax(dim=1) - functional.one_hot(targets, self.classes).to(outputs)

    def curvature_roots(self, outputs: Tensor) -> Tensor:
        r"""Return :math:`\mathrm{diag}(u)(I - u u^T)` for :math:`u = \sqrt p`.

        Its product with its transpose is :math:`\mathrm{diag}(p) - p p^T`, since
        :math:`I - u u^T` is a projection.
        """
        u = outputs.softmax(dim=1).clamp(min=_LEAST_PROBABILITY).sqrt()
        one = torch.eye(self.classes, dtype=outputs.dtype, device=outputs.device)
        return u[:, :, None] * (one - u[:, :, None] * u[:, None, :])
