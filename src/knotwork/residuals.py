"""The functions that may be added to every spline, as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor


@dataclass(frozen=True)
class Residual:
    """The function added to every spline, with its first two derivatives, all elementwise."""

    name: str
    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    curvature: Callable[[Tensor], Tensor]

    def at(self, x: Tensor, derivative: int) -> Tensor:
        """Return the value (0), the first (1) or the second derivative (2)."""
        return (self.value, self.derivative, self.curvature)[derivative](x)


def _silu_derivative(x: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    return gate * (1 + x * (1 - gate))


def _silu_curvature(x: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    return gate * (1 - gate) * (2 + x * (1 - 2 * gate))


def _tanh_curvature(x: Tensor) -> Tensor:
    value = torch.tanh(x)
    return -2 * value * (1 - value**2)


RESIDUALS: Mapping[str, Residual] = MappingProxyType(
    {
        residual.name: residual
        for residual in (
            Residual("silu", torch.nn.functional.silu, _silu_derivative, _silu_curvature),
            Residual("identity", lambda x: x, torch.ones_like, torch.zeros_like),
            Residual("tanh", torch.tanh, lambda x: 1 - torch.tanh(x) ** 2, _tanh_curvature),
            Residual("sin", torch.sin, torch.cos, lambda x: -torch.sin(x)),
        )
    }
)
