"""The functions that may be added to every spline, as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor


@dataclass(frozen=True)
class Residual:
    """The function added to every spline, with its first derivative, both elementwise."""

    name: str
    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]


def _silu_derivative(x: Tensor) -> Tensor:
    gate = torch.sigmoid(x)
    return gate * (1 + x * (1 - gate))


RESIDUALS: Mapping[str, Residual] = MappingProxyType(
    {
        residual.name: residual
        for residual in (
            Residual("silu", torch.nn.functional.silu, _silu_derivative),
            Residual("identity", lambda x: x, torch.ones_like),
            Residual("tanh", torch.tanh, lambda x: 1 - torch.tanh(x) ** 2),
            Residual("sin", torch.sin, torch.cos),
        )
    }
)
