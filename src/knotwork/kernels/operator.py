"""The spline layer as an operation of torch, computed by the compiled library.

Registered with torch.library: autograd, vmap, torch.compile and torch.export see one operation.
Its gradient is another one; the gradient of that, for physics losses, is the reference's formula.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import reference
from .reference import Rule
from .selection import selection

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


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _forward(
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    bias: Tensor,
    kind: Tensor,
    *rule: Any,
) -> Tensor:
    compiled, instruction_set = selection.library, selection.instruction_set
    if compiled is None or instruction_set is None:
        return reference.forward(x, knots, coefficients, residual_weight, bias, kind, Rule(*rule))
    y = x.new_empty(x.shape[0], coefficients.shape[2])
    compiled.run(
        instruction_set,
        x.contiguous(),
        knots.contiguous(),
        coefficients.contiguous(),
        _contiguous(residual_weight),
        bias.contiguous(),
        kind.contiguous(),
        Rule(*rule),
        y,
    )
    return y


def _gradients(
    x: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    of_input: bool,
    of_weights: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return room for the gradients, without elements for those that nobody wants."""
    # Without rows nothing is written into the weights' gradients.
    room = torch.empty if x.shape[0] else torch.zeros
    options: dict[str, Any] = {"dtype": x.dtype, "device": x.device}
    residual = of_weights and residual_weight is not None
    return (
        room(x.shape if of_input else (0,), **options),
        room(coefficients.shape if of_weights else (0,), **options),
        room(coefficients.shape[::2] if residual else (0,), **options),
        room(coefficients.shape[2:] if of_weights else (0,), **options),
    )


def _backward(
    grad: Tensor,
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    kind: Tensor,
    *arguments: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *rule, of_input, of_weights = arguments
    room = _gradients(x, coefficients, residual_weight, of_input, of_weights)
    compiled, instruction_set = selection.library, selection.instruction_set
    if compiled is None or instruction_set is None:
        found = reference.backward(grad, x, knots, coefficients, residual_weight, kind, Rule(*rule))
        for empty, gradient in zip(room, found, strict=True):
            if gradient is not None and empty.numel():
                empty.copy_(gradient)
        return room
    of_x, of_coefficients, of_residual, of_bias = room
    compiled.run(
        instruction_set,
        x.contiguous(),
        knots.contiguous(),
        coefficients.contiguous(),
        _contiguous(residual_weight),
        None,
        kind.contiguous(),
        Rule(*rule),
        grad.contiguous(),
        (
            of_x if of_input else None,
            of_coefficients if of_weights else None,
            of_residual if of_weights and residual_weight is not None else None,
            of_bias if of_weights else None,
        ),
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
    residual = of_weights and residual_weight is not None
    return (
        x.new_empty(x.shape if of_input else (0,)),
        x.new_empty(coefficients.shape if of_weights else (0,)),
        x.new_empty(coefficients.shape[::2] if residual else (0,)),
        x.new_empty(coefficients.shape[2:] if of_weights else (0,)),
    )


# -- derivatives -----------------------------------------------------------------------------------


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, knots, coefficients, residual_weight, _, kind, *rule = inputs
    ctx.save_for_backward(x, knots, coefficients, residual_weight, kind)
    ctx.rule = rule


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, knots, coefficients, residual_weight, kind = ctx.saved_tensors
    of_input = ctx.needs_input_grad[0]
    of_weights = any(ctx.needs_input_grad[2:5])
    of_x, of_coefficients, of_residual, of_bias = spline_layer_backward(
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
    given = (grad if wanted else None for grad, wanted in zip(grads, ctx.wanted, strict=True))
    to_grad, to_x, to_coefficients, to_residual = reference.double_backward(
        *given, *ctx.saved_tensors, ctx.rule
    )
    return (to_grad, to_x, None, to_coefficients, to_residual, *([None] * 7))


# -- vmap ------------------------------------------------------------------------------------------


def _map(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
    x, *others = inputs
    if any(dim is not None for dim in in_dims[1:]):
        # Weights that differ from sample to sample.
        def reference_forward(*tensors: Tensor) -> Tensor:
            return reference.forward(*tensors, Rule(*inputs[6:]))

        return torch.vmap(reference_forward, in_dims[:6])(*inputs[:6]), 0
    rows = x.movedim(in_dims[0], 0)
    y = spline_layer(rows.flatten(0, 1), *others)
    return y.unflatten(0, rows.shape[:2]), 0


def _map_backward(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
    grad, x, *others = inputs
    *_, of_input, of_weights = inputs
    if of_weights or any(dim is not None for dim in in_dims[2:]):

        def reference_backward(*tensors: Tensor) -> tuple[Tensor, ...]:
            found = reference.backward(*tensors, Rule(*inputs[6:10]))
            wanted = (of_input, of_weights, of_weights, of_weights)
            return tuple(
                gradient if asked and gradient is not None else tensors[0].new_empty(0)
                for gradient, asked in zip(found, wanted, strict=True)
            )

        return torch.vmap(reference_backward, in_dims[:6])(*inputs[:6]), (0, 0, 0, 0)
    size = info.batch_size
    grad, x = (
        tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip((grad, x), in_dims[:2], strict=True)
    )
    of_x, *rest = spline_layer_backward(grad.flatten(0, 1), x.flatten(0, 1), *others)
    return (of_x.unflatten(0, x.shape[:2]), *rest), (0, None, None, None)


library.impl("spline_layer", _forward, "CPU")
library.impl("spline_layer_backward", _backward, "CPU")
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
