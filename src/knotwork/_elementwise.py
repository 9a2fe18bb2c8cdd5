"""Elementwise functions that torch lacks, or has slower, less accurate or without derivative."""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor


def bessel(order: int, x: Tensor) -> Tensor:
    """Return the Bessel function J0 or J1 to rounding; autograd differentiates it at will.

    (`torch.special.bessel_j0` has no derivative and errors up to 4e-7.) Below 25 the midpoint rule
    for the mean of ``cos(x sin t)``, or of ``sin t sin(x sin t)``, over t, which for a periodic
    integrand is exact to rounding; above it Hankel's asymptotic series.
    """
    limit, nodes, terms = 25.0, 16, 16
    angles = (torch.arange(nodes, dtype=x.dtype, device=x.device) + 0.5) * (math.pi / (2 * nodes))
    sines = torch.sin(angles)
    turns = x.clamp(-limit, limit).unsqueeze(-1) * sines
    near = (torch.cos(turns) if order == 0 else sines * torch.sin(turns)).mean(-1)

    far = x.abs().clamp_min(limit)
    cosine_part, sine_part = torch.ones_like(far), torch.zeros_like(far)
    term = torch.ones_like(far)
    for k in range(1, terms):
        term = term * ((4 * order**2 - (2 * k - 1) ** 2) / (8 * k)) / far
        signed = -term if k % 4 in (2, 3) else term
        if k % 2 == 0:
            cosine_part = cosine_part + signed
        else:
            sine_part = sine_part + signed
    phase = far - (order / 2 + 1 / 4) * math.pi
    wave = cosine_part * torch.cos(phase) - sine_part * torch.sin(phase)
    wave = wave * torch.sqrt(2 / (math.pi * far))
    if order == 1:
        wave = wave * x.sign()
    return torch.where(x.abs() < limit, near, wave)


def _away_from_zero(x: Tensor) -> Tensor:
    """Return the size of `x`, not below a tiny number whose powers are still finite numbers."""
    return x.abs().clamp_min(torch.finfo(x.dtype).eps ** 2)


def gaussian(x: Tensor) -> Tensor:
    return torch.exp(-x * x)


def softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


def sigmoid_slope(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * torch.sigmoid(-x)


def cube_root(x: Tensor) -> Tensor:
    # In this form autograd is right everywhere but at 0, and finite there too.
    return x * _away_from_zero(x).pow(-2 / 3)


def cube_root_slope(x: Tensor) -> Tensor:
    return _away_from_zero(x).pow(-2 / 3) / 3


def raised(x: Tensor, halves: int) -> Tensor:
    """Return ``x**(halves / 2)``, not 0, by products: several times faster than `torch.pow`."""
    if halves < 0:
        return raised(x.reciprocal(), -halves)
    return reduce(torch.mul, [x] * (halves // 2) + ([x.sqrt()] if halves % 2 else []))
