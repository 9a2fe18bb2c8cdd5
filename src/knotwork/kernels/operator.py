"""The spline layer as an operation of torch, computed by the compiled library or by Triton.

Registered with torch.library: autograd, vmap, torch.compile and torch.export see one operation.
Its gradient is another one; the gradient of that, for physics losses, is the reference's formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from . import reference
from .backends import selection
from .compiled import SplineLayer
from .reference import Rule

_RULE = "int k, bool uniform, str extrapolation, str? residual"
_WEIGHTS = "Tensor knots, Tensor coefficients, Tensor? residual_weight"

library = torch.library.Library("knotwork", "FRAGMENT")
library.define(f"spline_layer(Tensor x, {_WEIGHTS}, Tensor bias, Tensor kind, {_RULE}) -> Tensor")
library.define(
    f"spline_layer_backward(Tensor grad, Tensor x, {_WEIGHTS}, Tensor kind, {_RULE}, "
    "bool of_input, bool of_weights) -> (Tensor, Tensor, Tensor, Tensor)"
)
spline_layer = torch.ops.knotwork.spline_layer.default
spline_layer_backward = torch.ops.knotwork.spline_layer_backward.default


def _triton() -> ModuleType:
    # Only once there is something on a GPU: Triton takes a while to load.
    from . import cuda

    return cuda


def _forward(
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    bias: Tensor,
    kind: Tensor,
    *rule: Any,
) -> Tensor:
    weights = knots, coefficients, residual_weight, bias, kind
    if selection.uses_triton(x):
        return _triton().forward(x, *weights, Rule(*rule))
    compiled = selection.compiled(x)
    if compiled is None:
        return reference.forward(x, *weights, Rule(*rule))
    y = x.new_empty(x.shape[0], coefficients.shape[2])
    compiled.library.run(
        compiled.instruction_set,
        x.contiguous(),
        SplineLayer(knots, coefficients, residual_weight, bias, kind, Rule(*rule)).contiguous(),
        y,
    )
    return y


def _gradients(
    make: Callable[[Sequence[int | torch.SymInt]], Tensor],
    x: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    of_input: bool,
    of_weights: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Make room for the gradients, without elements for those that nobody wants."""
    residual = of_weights and residual_weight is not None
    return (
        make(x.shape if of_input else (0,)),
        make(coefficients.shape if of_weights else (0,)),
        make(coefficients.shape[::2] if residual else (0,)),
        make(coefficients.shape[2:] if of_weights else (0,)),
    )


def gradients(
    grad: Tensor,
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    kind: Tensor,
    *arguments: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute what the operation `spline_layer_backward` is defined to, past torch's dispatcher."""
    *rule, of_input, of_weights = arguments
    # Without rows nothing is written into the weights' gradients.
    make = x.new_empty if x.shape[0] else x.new_zeros
    room = _gradients(make, x, coefficients, residual_weight, of_input, of_weights)
    of_x, of_coefficients, of_residual, of_bias = room
    wanted = (
        of_x if of_input else None,
        of_coefficients if of_weights else None,
        of_residual if of_weights and residual_weight is not None else None,
        of_bias if of_weights else None,
    )
    weights = knots, coefficients, residual_weight, kind
    if selection.uses_triton(x):
        _triton().backward(grad, x, *weights, Rule(*rule), wanted)
        return room
    compiled = selection.compiled(x)
    if compiled is None:
        found = reference.backward(grad, x, *weights, Rule(*rule))
        for to, gradient in zip(wanted, found, strict=True):
            if to is not None and gradient is not None:
                to.copy_(gradient)
        return room
    compiled.library.run(
        compiled.instruction_set,
        x.contiguous(),
        SplineLayer(knots, coefficients, residual_weight, None, kind, Rule(*rule)).contiguous(),
        grad.contiguous(),
        wanted,
    )
    return room


def _fake_forward(x: Tensor, knots: Tensor, coefficients: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape[0], coefficients.shape[2])


def _fake_backward(
    grad: Tensor,
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    kind: Tensor,
    *arguments: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *_, of_input, of_weights = arguments
    return _gradients(x.new_empty, x, coefficients, residual_weight, of_input, of_weights)


class _Direct(torch.autograd.Function):
    """The same without torch's dispatcher, whose Python side takes longer than a small layer."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        _save(ctx, inputs, None)
        return _forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _differentiate(ctx, grad)


# Past Function.apply, which looks for transforms of torch.func: `_watched` has.
_apply_directly = cast(Any, super(torch.autograd.Function, _Direct)).apply


def _watched(tensor: Tensor) -> bool:
    """Tell whether something wants to see operations of torch, as tracing and vmap do."""
    return (
        torch.compiler.is_compiling()
        or type(tensor) not in (Tensor, torch.nn.Parameter)
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        # torch.autograd.grad(..., is_grads_batched=True) has a vmap of its own.
        or not torch._C._has_storage(tensor)
    )


def evaluate(x: Tensor, *others: Any) -> Tensor:
    """Evaluate the layer; the arguments are those of the operation."""
    if _watched(x):
        return spline_layer(x, *others)
    return _apply_directly(x, *others) if torch.is_grad_enabled() else _forward(x, *others)


# -- derivatives -----------------------------------------------------------------------------------


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor | None) -> None:
    x, knots, coefficients, residual_weight, _, kind, *rule = inputs
    ctx.save_for_backward(x, knots, coefficients, residual_weight, kind)
    ctx.rule = rule


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, knots, coefficients, residual_weight, kind = ctx.saved_tensors
    of_input = ctx.needs_input_grad[0]
    of_weights = any(ctx.needs_input_grad[2:5])
    # A graph of the gradient is only wanted for second derivatives.
    watched = torch.is_grad_enabled() or _watched(grad)
    operation = spline_layer_backward if watched else gradients
    of_x, of_coefficients, of_residual, of_bias = operation(
        grad, x, knots, coefficients, residual_weight, kind, *ctx.rule, of_input, of_weights
    )
    return (
        of_x if of_input else None,
        None,
        of_coefficients if of_weights else None,
        of_residual if of_weights and residual_weight is not None else None,
        of_bias if of_weights else None,
        *([None] * 5),
    )


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, k, uniform, extrapolation, residual, of_input, of_weights = inputs
    ctx.save_for_backward(*tensors)
    ctx.set_materialize_grads(False)
    ctx.rule = Rule(k, uniform, extrapolation, residual)
    residual_too = of_weights and tensors[4] is not None
    ctx.wanted = (of_input, of_weights, residual_too, of_weights)


def _differentiate_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    given = tuple(grad if wanted else None for grad, wanted in zip(grads, ctx.wanted, strict=True))
    grad, x, knots, coefficients, residual_weight, kind = ctx.saved_tensors
    to_grad, to_x, to_coefficients, to_residual = reference.double_backward(
        given, grad, x, knots, coefficients, residual_weight, kind, ctx.rule
    )
    return (to_grad, to_x, None, to_coefficients, to_residual, *([None] * 7))


# -- vmap ------------------------------------------------------------------------------------------


def _batched(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    return tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _samples(size: int, in_dims: tuple[int | None, ...], inputs: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the inputs sample by sample, where weights or their gradients differ among them."""
    for index in range(size):
        yield [
            value if dim is None else value.select(dim, index)
            for value, dim in zip(inputs, in_dims, strict=True)
        ]


def _map(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
    if any(dim is not None for dim in in_dims[1:]):
        samples = _samples(info.batch_size, in_dims, inputs)
        return torch.stack([spline_layer(*sample) for sample in samples]), 0
    rows = inputs[0].movedim(in_dims[0], 0)
    return spline_layer(rows.flatten(0, 1), *inputs[1:]).unflatten(0, rows.shape[:2]), 0


def _map_backward(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
    of_weights, size = inputs[-1], info.batch_size
    if of_weights or any(dim is not None for dim in in_dims[2:]):
        found = [spline_layer_backward(*sample) for sample in _samples(size, in_dims, inputs)]
        return tuple(map(torch.stack, zip(*found, strict=True))), (0, 0, 0, 0)
    grad, x = (_batched(inputs[at], in_dims[at], size) for at in (0, 1))
    of_x, *rest = spline_layer_backward(grad.flatten(0, 1), x.flatten(0, 1), *inputs[2:])
    return (of_x.unflatten(0, x.shape[:2]), *rest), (0, None, None, None)


for _device in ("CPU", "CUDA"):
    library.impl("spline_layer", _forward, _device)
    library.impl("spline_layer_backward", gradients, _device)
torch.library.register_fake("knotwork::spline_layer", _fake_forward, lib=library)
torch.library.register_fake("knotwork::spline_layer_backward", _fake_backward, lib=library)
torch.library.register_autograd(
    "knotwork::spline_layer", _differentiate, setup_context=_save, lib=library
)
torch.library.register_autograd(
    "knotwork::spline_layer_backward",
    _differentiate_backward,
    setup_context=_save_backward,
    lib=library,
)
torch.library.register_vmap("knotwork::spline_layer", _map, lib=library)
torch.library.register_vmap("knotwork::spline_layer_backward", _map_backward, lib=library)
