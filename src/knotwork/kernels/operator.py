"""The spline layer as an operation of torch, computed by the compiled library or by Triton.

Registered with torch.library: autograd, vmap, torch.compile and torch.export see one operation.
Its gradient is another one; the gradient of that, for physics losses, is the reference's formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from . import reference
from .backends import selection
from .reference import Rule, SplineLayer

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


def _compute(x: Tensor, layer: SplineLayer) -> Tensor:
    if selection.uses_triton(x):
        return _triton().forward(x, layer)
    compiled = selection.compiled(x)
    if compiled is None:
        return reference.forward(x, layer)
    y = torch.empty((x.shape[0], layer.coefficients.shape[2]), dtype=x.dtype)
    compiled.library.run(compiled.instruction_set, x.contiguous(), layer.contiguous(), y)
    return y


def _forward(
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    bias: Tensor,
    kind: Tensor,
    *rule: Any,
) -> Tensor:
    return _compute(x, SplineLayer(knots, coefficients, residual_weight, bias, kind, Rule(*rule)))


def _room(
    x: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    of_input: bool,
    of_weights: bool,
) -> tuple[Tensor | None, ...]:
    """Make room for the gradients that are wanted: of x, coefficients, residual and bias."""

    def like(tensor: Tensor | None, wanted: bool) -> Tensor | None:
        if tensor is None or not wanted:
            return None
        return torch.empty_like(tensor, memory_format=torch.contiguous_format)

    return (
        like(x, of_input),
        like(coefficients, of_weights),
        like(residual_weight, of_weights),
        coefficients.new_empty(coefficients.shape[2]) if of_weights else None,
    )


def gradients(
    grad: Tensor, x: Tensor, layer: SplineLayer, of_input: bool, of_weights: bool
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x, coefficients, residual weights and bias, past torch's dispatcher.

    Those that nobody wants are None.  The bias itself is not looked at.
    """
    room = _room(x, layer.coefficients, layer.residual_weight, of_input, of_weights)
    if x.shape[0] == 0:
        # Without rows nothing is written into the weights' gradients.
        return tuple(None if gradient is None else gradient.zero_() for gradient in room)
    if selection.uses_triton(x):
        _triton().backward(grad, x, layer, room)
        return room
    compiled = selection.compiled(x)
    if compiled is None:
        for to, gradient in zip(room, reference.backward(grad, x, layer), strict=True):
            if to is not None and gradient is not None:
                to.copy_(gradient)
        return room
    compiled.library.run(
        compiled.instruction_set, x.contiguous(), layer.contiguous(), grad.contiguous(), room
    )
    return room


def _whole(gradients: tuple[Tensor | None, ...], x: Tensor) -> tuple[Tensor, ...]:
    """Return tensors only, as an operation of torch must: without elements instead of None."""
    return tuple(x.new_empty(0) if gradient is None else gradient for gradient in gradients)


def _backward(
    grad: Tensor,
    x: Tensor,
    knots: Tensor,
    coefficients: Tensor,
    residual_weight: Tensor | None,
    kind: Tensor,
    *arguments: Any,
) -> tuple[Tensor, ...]:
    *rule, of_input, of_weights = arguments
    layer = SplineLayer(knots, coefficients, residual_weight, None, kind, Rule(*rule))
    return _whole(gradients(grad, x, layer, of_input, of_weights), x)


def _fake_forward(x: Tensor, knots: Tensor, coefficients: Tensor, *_: Any) -> Tensor:
    return x.new_empty(x.shape[0], coefficients.shape[2])


def _fake_backward(grad: Tensor, x: Tensor, knots: Tensor, *others: Any) -> tuple[Tensor, ...]:
    coefficients, residual_weight, *_, of_input, of_weights = others
    return _whole(_room(x, coefficients, residual_weight, of_input, of_weights), x)


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


# -- derivatives -----------------------------------------------------------------------------------


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor | None) -> None:
    x, knots, coefficients, residual_weight, _, kind, *rule = inputs
    ctx.save_for_backward(x, knots, coefficients, residual_weight, kind)
    ctx.rule = rule


def _is_followed(grad: Tensor) -> bool:
    # A graph of the gradient is only wanted for second derivatives.
    return torch.is_grad_enabled() or _watched(grad)


def _layer_gradients(
    grad: Tensor, x: Tensor, layer: SplineLayer, of_input: bool, of_weights: bool, watched: bool
) -> tuple[Tensor | None, ...]:
    """Return `gradients`, as an operation of torch where something wants to see it."""
    if not watched:
        return gradients(grad, x, layer, of_input, of_weights)
    knots, coefficients, residual_weight, _, kind, rule = layer
    of_x, of_coefficients, of_residual, of_bias = spline_layer_backward(
        grad, x, knots, coefficients, residual_weight, kind, *rule, of_input, of_weights
    )
    return (
        of_x if of_input else None,
        of_coefficients if of_weights else None,
        of_residual if of_weights and residual_weight is not None else None,
        of_bias if of_weights else None,
    )


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, knots, coefficients, residual_weight, kind = ctx.saved_tensors
    needed = ctx.needs_input_grad
    of_x, of_coefficients, of_residual, of_bias = _layer_gradients(
        grad,
        x,
        SplineLayer(knots, coefficients, residual_weight, None, kind, Rule(*ctx.rule)),
        needed[0],
        any(needed[2:5]),
        _is_followed(grad),
    )
    return (of_x, None, of_coefficients, of_residual, of_bias, *([None] * 5))


class _Direct(torch.autograd.Function):
    """Layers one after the other, without torch's dispatcher and as one node of its graph.

    Either takes longer than a small layer itself.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rules: list[Rule], *tensors: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs: list[Tensor] = []
        for layer in _layers(rules, tensors):
            inputs.append(x)
            x = _compute(x, layer)
        ctx.rules = rules
        # The last bias may change before the gradients are asked for: they do not depend on it.
        ctx.save_for_backward(*inputs, *tensors[:-1])
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        rules, needed, saved = ctx.rules, ctx.needs_input_grad, ctx.saved_tensors
        count = len(rules)
        inputs, layers = list(saved[:count]), _layers(rules, (*saved[count:], None))
        # Second derivatives go through what lies between the layers too.
        watched = _is_followed(grad)
        for at in range(1, count) if watched else ():
            inputs[at] = _watchable(inputs[at - 1], layers[at - 1])
        found: list[Tensor | None] = [None] * len(needed)
        for at in reversed(range(count)):
            first = 2 + 5 * at
            of_input, of_weights = any(needed[:first]), any(needed[first : first + 5])
            of_x, *of_layer = _layer_gradients(
                grad, inputs[at], layers[at], of_input, of_weights, watched
            )
            found[first + 1 : first + 3] = of_layer[:2]
            found[first + 4] = of_layer[2]
            if of_x is None:
                break
            grad = of_x
        else:
            found[0] = grad
        return tuple(found)


# Past Function.apply, which looks for transforms of torch.func: `_watched` has.
_apply_directly = cast(Any, super(torch.autograd.Function, _Direct)).apply


def _layers(rules: Sequence[Rule], tensors: Sequence[Any]) -> list[SplineLayer]:
    """Put layers together again from what `evaluate` gives to `_Direct`."""
    layers: list[SplineLayer] = []
    for at, rule in enumerate(rules):
        knots, coefficients, residual_weight, kind, bias = tensors[5 * at : 5 * at + 5]
        layers.append(SplineLayer(knots, coefficients, residual_weight, bias, kind, rule))
    return layers


def _watchable(x: Tensor, layer: SplineLayer) -> Tensor:
    *tensors, rule = layer
    return spline_layer(x, *tensors, *rule)


def evaluate(x: Tensor, *layers: SplineLayer) -> Tensor:
    """Evaluate layers one after the other."""
    if _watched(x):
        for layer in layers:
            x = _watchable(x, layer)
    elif torch.is_grad_enabled():
        rules: list[Rule] = []
        tensors: list[Tensor | None] = []
        for knots, coefficients, residual_weight, bias, kind, rule in layers:
            rules.append(rule)
            tensors += (knots, coefficients, residual_weight, kind, bias)
        x = _apply_directly(x, rules, *tensors)
    else:
        for layer in layers:
            x = _compute(x, layer)
    return x


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
    layer = SplineLayer(knots, coefficients, residual_weight, None, kind, ctx.rule)
    to_grad, to_x, to_coefficients, to_residual = reference.double_backward(given, grad, x, layer)
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
    library.impl("spline_layer_backward", _backward, _device)
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
