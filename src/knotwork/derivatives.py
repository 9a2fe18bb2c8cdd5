"""Derivatives of a network by its inputs, row by row, as differential equations need them.

Reverse mode twice, by torch.func, so any module will do, and what comes out can be differentiated
by the parameters again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import vjp

Function = Callable[[Tensor], Tensor]


class Derivatives(NamedTuple):
    """A function of several inputs at given rows, and its first two derivatives.

    Attributes
    ----------
    value : Tensor of shape (rows, outputs)
    gradient : Tensor of shape (rows, outputs, inputs)
    hessian : Tensor of shape (rows, outputs, inputs, inputs)
    """

    value: Tensor
    gradient: Tensor
    hessian: Tensor

    @property
    def laplacian(self) -> Tensor:
        """The sum of all second derivatives by one input, shape (rows, outputs)."""
        return self.hessian.diagonal(dim1=-2, dim2=-1).sum(dim=-1)


def derivatives(u: Function, x: Tensor) -> Derivatives:
    """Return the values of `u` with its first and second derivatives, row by row.

    Parameters
    ----------
    u : callable
        Takes rows, shape (rows, inputs), and returns shape (rows, outputs), as networks do; a row's
        outputs depend on no other row.
    x : Tensor of shape (rows, inputs)

    Returns
    -------
    Derivatives

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> found = derivatives(lambda x: x[:, :1] ** 2 * x[:, 1:], x)
    >>> found.gradient[:, 0]
    tensor([[ 4.,  1.],
            [24.,  9.]])
    >>> found.laplacian
    tensor([[4.],
            [8.]])
    """
    pulled: Any = vjp(lambda rows: _gradient(u, rows), x, has_aux=True)
    slopes, back, value = pulled
    hessian = [
        torch.stack([back(_unit(slopes, output, by))[0] for by in range(slopes.shape[-1])], dim=-2)
        for output in range(slopes.shape[-2])
    ]
    return Derivatives(value, slopes, torch.stack(hessian, dim=-3))


def _gradient(u: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient, shape (rows, outputs, inputs), and the values."""
    pulled: Any = vjp(u, x)
    value, back = pulled
    if value.dim() != 2 or len(value) != len(x):
        raise ValueError(
            f"u must return shape (rows, outputs), here ({len(x)}, ...); it returned "
            f"{tuple(value.shape)}: keep the rows first and the outputs last."
        )
    rows = [back(_unit(value, output))[0] for output in range(value.shape[-1])]
    return torch.stack(rows, dim=-2), value


def _unit(like: Tensor, *place: int) -> Tensor:
    """Return zeros of that shape with a one at `place` of every row."""
    unit = torch.zeros_like(like)
    unit[(..., *place)] = 1
    return unit
