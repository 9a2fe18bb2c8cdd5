"""When a network is no more than splines after splines, which the kernels take in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules import module

from ._checks import autocast_converts
from .kernels import SplineLayer
from .layers import KANLayer
from .nodes import Nodes

# Rows times edges; beyond, what a layer computes takes longer than the upkeep that one go saves,
# and gradients should be handed on, and memory back, layer by layer.
_MOST_WORK = 100_000


def chain_of_splines(
    layers: Iterable[nn.Module], nodes: Sequence[Nodes], x: Tensor
) -> list[SplineLayer] | None:
    """Return the layers' splines if calling the layers on small `x` would do no more than those.

    None if there are symbols, products or hooks, if somebody's own layer stands in for one, if
    values between the layers are to be checked or converted, if the network is being compiled, or
    if the work is large.
    """
    if (
        torch.compiler.is_compiling()
        or x.dim() != 2
        or any(part.products for part in nodes)
        or autocast_converts(x, x.dtype)
        or module._has_any_global_hook()
    ):
        return None
    chain: list[KANLayer] = []
    width, work = x.shape[1], 0
    for layer in layers:
        if not _is_bare(layer) or layer.in_features != width:
            return None
        width = layer.out_features
        work += layer.in_features * width * x.shape[0]
        chain.append(layer)
    if work > _MOST_WORK:
        return None
    splines = [layer.splines for layer in chain]
    return splines if all(part.knots.dtype == x.dtype for part in splines) else None


def _is_bare(layer: nn.Module) -> TypeGuard[KANLayer]:
    """Tell whether calling the layer means its splines, and nobody else hears of it."""
    return (
        type(layer) is KANLayer
        and not layer.functions
        and layer.extrapolation != "error"
        and "forward" not in vars(layer)
        and not layer._forward_pre_hooks
        and not layer._forward_hooks
        and not layer._backward_pre_hooks
        and not layer._backward_hooks
        and layer._compiled_call_impl is None
    )
