"""The compiled kernel as an operation of torch: derivatives, transforms, compiling."""

import logging

import pytest
import torch
from problems import layer_of, rows_for
from torch.func import functional_call, grad, hessian, jacrev, vmap

from compiled import needs_library
from knotwork import KAN, kernels

pytestmark = needs_library

QUICK_CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor")


@pytest.fixture(autouse=True)
def quiet():
    """Torch writes a trace for whoever listens to all logs, as pytest does; it takes minutes."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def arguments(layer, x):
    tensors = (x, layer.knots, layer.coefficients, layer.residual_weight, layer.bias, layer.kind)
    return (*tensors, layer.k, layer.uniform, layer.extrapolation, layer.residual)


def same_on_the_reference(function):
    found = function()
    with kernels.use("reference"):
        expected = function()
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("residual", ["silu", None])
def test_torch_finds_nothing_wrong_with_the_operations(residual):
    layer = layer_of(3, 4, residual=residual)
    x = rows_for(layer, 6).requires_grad_()
    inputs = arguments(layer, x)
    torch.library.opcheck(torch.ops.knotwork.spline_layer.default, inputs)
    gradient = torch.ones(6, 4, dtype=torch.float64, requires_grad=True)
    inputs = (gradient, *inputs[:4], *inputs[5:])
    backward = torch.ops.knotwork.spline_layer_backward.default
    torch.library.opcheck(backward, (*inputs, True, True))
    for wanted in ((True, False), (False, True)):
        torch.library.opcheck(backward, (*inputs, *wanted), test_utils=QUICK_CHECKS)


@pytest.mark.parametrize("residual", ["silu", "identity", "tanh", "sin", None])
@pytest.mark.parametrize("extrapolation", ["linear", "constant", "continue", "zero"])
def test_derivatives_are_those_of_finite_differences(residual, extrapolation):
    layer = layer_of(2, 3, 4, residual=residual, extrapolation=extrapolation, absent=0.2)
    x = rows_for(layer, 5).requires_grad_()
    weights = [layer.coefficients, layer.residual_weight, layer.bias]
    inputs = [x, *(weight for weight in weights if weight is not None)]

    def outputs(x, coefficients, *others):
        residual_weight, bias = others if len(others) == 2 else (None, *others)
        return torch.ops.knotwork.spline_layer(
            x,
            layer.knots,
            coefficients,
            residual_weight,
            bias,
            layer.kind,
            *arguments(layer, x)[6:],
        )

    assert torch.autograd.gradcheck(outputs, inputs)
    assert torch.autograd.gradgradcheck(outputs, inputs)


def test_second_and_third_derivatives_are_the_references():
    layer = layer_of(2, 3, k=4)
    x = rows_for(layer, 20).requires_grad_()

    def derivatives():
        value, found = layer(x).square().sum(), []
        for _ in range(3):
            (slope,) = torch.autograd.grad(value, x, create_graph=True)
            found.append(slope)
            value = slope.square().sum()
        return [*found, *torch.autograd.grad(value, list(layer.parameters())[:3])]

    same_on_the_reference(derivatives)


def test_only_what_is_asked_for_is_differentiated():
    layer = layer_of(2, 3)
    x = rows_for(layer, 5)
    layer(x).sum().backward()
    assert layer.coefficients.grad is not None
    layer.requires_grad_(False)
    x.requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).sum(), x)
    assert slope.shape == x.shape
    assert not layer(x.detach()).requires_grad


def test_vmap_over_rows_and_over_weights():
    layer = layer_of(3, 2)
    x = rows_for(layer, 12)
    torch.testing.assert_close(vmap(layer)(x), layer(x))
    torch.testing.assert_close(
        vmap(layer, in_dims=1)(x.reshape(4, 3, 3)), layer(x).reshape(4, 3, 2).transpose(0, 1)
    )
    several = torch.stack([layer.coefficients.detach(), -layer.coefficients.detach()])

    def outputs(coefficients):
        return functional_call(layer, {"coefficients": coefficients}, (x,))

    expected = torch.stack([outputs(coefficients) for coefficients in several])
    torch.testing.assert_close(vmap(outputs)(several), expected)


def test_vmap_over_gradients():
    layer = layer_of(3, 2)
    x = rows_for(layer, 6).requires_grad_()
    y = layer(x)
    directions = torch.eye(12, dtype=torch.float64).reshape(12, 6, 2)
    for inputs in ([x], [x, layer.coefficients, layer.residual_weight, layer.bias]):
        found = torch.autograd.grad(y, inputs, directions, is_grads_batched=True, retain_graph=True)
        for index, direction in enumerate(directions):
            expected = torch.autograd.grad(y, inputs, direction, retain_graph=True)
            for a, b in zip(found, expected, strict=True):
                torch.testing.assert_close(a[index], b)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_transforms_of_torch_func_work():
    layer = layer_of(2, 1)
    x = rows_for(layer, 5)
    parameters = {name: value.detach() for name, value in layer.named_parameters()}

    def loss(parameters, row):
        return functional_call(layer, parameters, (row,)).sum()

    def transformed():
        per_sample = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
        return [
            vmap(jacrev(layer))(x).detach(),
            vmap(hessian(lambda row: layer(row).sum()))(x).detach(),
            *per_sample.values(),
        ]

    same_on_the_reference(transformed)


def test_compiling_sees_one_operation():
    model = KAN([2, 3, 1])
    x = torch.rand(10, 2, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x))
    (found,) = torch.autograd.grad(compiled(x).sum(), x)
    (expected,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(found, expected)


def test_exporting_sees_one_operation():
    layer = layer_of(3, 2)
    x = rows_for(layer, 4)
    program = torch.export.export(layer, (x,))
    names = {str(node.target) for node in program.graph.nodes}
    assert "knotwork.spline_layer.default" in names
    torch.testing.assert_close(program.module()(x), layer(x))
