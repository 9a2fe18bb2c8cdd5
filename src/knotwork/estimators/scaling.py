"""Units: networks are fitted to standardised numbers, and put into the user's units afterwards.

A spline whose knots move and stretch with its input keeps its coefficients, so a network in other
units is the same network with other knots, and other coefficients in its last layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network import KAN

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Standard:
    """A column's standard units.

    Attributes
    ----------
    mean, spread : arrays of shape (columns,)
        The weighted mean and standard deviation; the spread of a constant column is 1.
    """

    mean: Array
    spread: Array

    @classmethod
    def of(cls, values: Array, weights: Array) -> Standard:
        """Return the standard units of rows of shape (rows, columns)."""
        share = weights / weights.sum()
        # Numbers near the largest there are would overflow in the squares.
        size = np.abs(values).max(axis=0)
        size[size == 0] = 1.0
        scaled = values / size
        mean = share @ scaled
        spread = np.sqrt(share @ (scaled - mean) ** 2)
        constant = spread <= 1e3 * np.finfo(np.float64).eps
        return cls(mean * size, np.where(constant, 1.0, spread * size))

    @classmethod
    def unit(cls, columns: int) -> Standard:
        """Return units that change nothing."""
        return cls(np.zeros(columns), np.ones(columns))

    def standardised(self, values: Array) -> Array:
        """Return rows in these units."""
        return (values - self.mean) / self.spread


@torch.no_grad()
def from_standard(model: KAN, inputs: Standard, targets: Standard) -> None:
    """Put a network of standardised numbers into the user's units, in place."""
    _stretch_knots(model, *_tensors(inputs))
    mean, spread = _tensors(targets)
    last = model.layer(-1)
    last.coefficients.mul_(spread)
    last.bias.mul_(spread).add_(mean)


@torch.no_grad()
def to_standard(model: KAN, inputs: Standard, targets: Standard) -> None:
    """Put a network of the user's units into standard ones, in place."""
    mean, spread = _tensors(inputs)
    _stretch_knots(model, -mean / spread, 1 / spread)
    mean, spread = _tensors(targets)
    last = model.layer(-1)
    last.coefficients.div_(spread)
    last.bias.sub_(mean).div_(spread)


def _stretch_knots(model: KAN, shift: Tensor, factor: Tensor) -> None:
    first = model.layer(0)
    first.knots = first.knots * factor[:, None] + shift[:, None]


def _tensors(standard: Standard) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(standard.mean), torch.from_numpy(standard.spread)
