"""Small networks of splines run as one operation: only the clock should tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from compiled import COMPILED
from knotwork import KAN, KANLayer, kernels
from knotwork._spline_chain import chain_of_splines


def taken(model: KAN, x: Tensor) -> bool:
    return chain_of_splines(model.layers, model.nodes, x) is not None


def layer_by_layer(model: KAN, x: Tensor) -> Tensor:
    for layer in model.layers:
        x = layer(x)
    return x


def points(rows: int, inputs: int, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.rand(rows, inputs, generator=source, dtype=torch.float64) * 3 - 1.5


widths = st.lists(st.integers(1, 4), min_size=2, max_size=4)


@settings(deadline=None)
@given(width=widths, rows=st.integers(0, 9), k=st.integers(1, 4), seed=st.integers(0, 99))
def test_values_and_gradients_are_those_of_the_layers(
    width: list[int], rows: int, k: int, seed: int
) -> None:
    model = KAN(width, grid=3, k=k, seed=seed)
    x = points(rows, width[0], seed).requires_grad_()
    assert taken(model, x)
    wanted = [x, *(value for value in model.parameters() if value.requires_grad)]
    found = []
    for run in (model, lambda x: layer_by_layer(model, x)):
        y = run(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), wanted)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@settings(deadline=None)
@given(width=widths, seed=st.integers(0, 99))
def test_second_derivatives_are_those_of_the_layers(width: list[int], seed: int) -> None:
    # A penalty on slopes, as in losses of differential equations.
    model = KAN(width, grid=3, seed=seed)
    x = points(5, width[0], seed).requires_grad_()
    wanted = [x, *(value for value in model.parameters() if value.requires_grad)]
    found = []
    for run in (model, lambda x: layer_by_layer(model, x)):
        (slope,) = torch.autograd.grad(run(x).sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), wanted, materialize_grads=True))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_numerical_gradients() -> None:
    model = KAN([2, 3, 1], grid=3)
    x = points(4, 2).requires_grad_()
    assert torch.autograd.gradcheck(model, (x,))
    assert torch.autograd.gradgradcheck(model, (x,))


@pytest.mark.parametrize("frozen", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("of_input", [True, False])
def test_only_what_is_asked_for_has_gradients(frozen: tuple[int, ...], of_input: bool) -> None:
    model = KAN([2, 3, 1], grid=3)
    for at in frozen:
        model.layers[at].requires_grad_(False)
    x = points(6, 2).requires_grad_(of_input)
    y = model(x)
    assert taken(model, x)
    if not of_input and len(frozen) == 2:
        assert not y.requires_grad
        return
    y.sum().backward()
    assert (x.grad is not None) == of_input
    for at in (0, 1):
        layer = model.layer(at)
        for value in (layer.coefficients, layer.residual_weight, layer.bias):
            assert value is not None
            assert (value.grad is not None) == (at not in frozen)


def test_the_last_bias_may_change_before_the_gradients_are_asked_for() -> None:
    model = KAN([2, 3, 1], grid=3)
    y = model(points(6, 2))
    with torch.no_grad():
        model.layer(1).bias.add_(1)
    y.sum().backward()


def hooked(model: KAN, called: list[str]) -> None:
    model.layers[0].register_forward_hook(lambda *_: called.append("forward"))


def hooked_before(model: KAN, called: list[str]) -> None:
    model.layers[1].register_forward_pre_hook(lambda *_: called.append("before"))


def hooked_backward(model: KAN, called: list[str]) -> None:
    model.layers[1].register_full_backward_hook(lambda *_: called.append("backward"))


def replaced(model: KAN, called: list[str]) -> None:
    layer = model.layer(0)
    forward = layer.forward

    def other(x: Tensor) -> Tensor:
        called.append("other")
        return forward(x)

    layer.forward = other  # pyright: ignore[reportAttributeAccessIssue]


def derived(model: KAN, called: list[str]) -> None:
    class Doubled(KANLayer):
        def forward(self, x: Tensor) -> Tensor:
            called.append("derived")
            return 2 * super().forward(x)

    model.layers[1] = Doubled(3, 1, grid=3, dtype=torch.float64)


@pytest.mark.parametrize("listen", [hooked, hooked_before, hooked_backward, replaced, derived])
def test_whoever_listens_is_heard(listen: Callable[[KAN, list[str]], None]) -> None:
    model = KAN([2, 3, 1], grid=3)
    called: list[str] = []
    listen(model, called)
    x = points(4, 2)
    assert not taken(model, x)
    model(x).sum().backward()
    assert len(called) == 1


def test_a_hook_for_all_modules_is_heard() -> None:
    model = KAN([2, 3, 1], grid=3)
    called: list[Any] = []
    hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: called.append(1))
    try:
        model(points(4, 2))
    finally:
        hook.remove()
    # Two layers and the network.
    assert len(called) == 3


def test_a_parametrized_layer_is_called() -> None:
    class Clipped(torch.nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight.clamp(-0.1, 0.1)

    model = KAN([2, 3, 1], grid=3)
    torch.nn.utils.parametrize.register_parametrization(model.layers[0], "coefficients", Clipped())
    x = points(4, 2)
    assert not taken(model, x)
    torch.testing.assert_close(model(x), layer_by_layer(model, x))


def test_large_work_and_products_go_layer_by_layer() -> None:
    assert not taken(KAN([2, 5, 1]), points(10_000, 2))
    assert not taken(KAN([2, (1, 1), 1]), points(4, 2))
    assert not taken(KAN([2, 3, 1], extrapolation="error"), points(4, 2) / 2)


def test_values_between_the_layers_are_still_checked() -> None:
    model = KAN([2, 3, 1], grid=3, extrapolation="error")
    with torch.no_grad():
        model.layer(0).bias.fill_(100)
    with pytest.raises(ValueError, match="outside"):
        model(points(4, 2) / 2)


def test_layers_that_do_not_fit_together_are_refused() -> None:
    model = KAN([2, 3, 1], grid=3)
    x = points(4, 2)
    model.layers[1] = KANLayer(4, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="takes 4 features"):
        model(x)
    model.layers[1] = KANLayer(3, 1, dtype=torch.float32)
    with pytest.raises(TypeError, match="float32"):
        model(x)


def test_autocast_still_converts() -> None:
    model = KAN([2, 3, 1], grid=3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(points(4, 2).float()).dtype == torch.bfloat16


def test_torch_func_and_compiling_see_the_layers() -> None:
    model = KAN([2, 3, 1], grid=3)
    x = points(6, 2)
    torch.testing.assert_close(torch.func.vmap(model)(x[:, None])[:, 0], model(x))
    slopes = torch.func.vmap(torch.func.jacrev(model))(x[:, None])
    inputs = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(model(inputs).sum(), inputs)
    torch.testing.assert_close(slopes.reshape(6, 2), expected)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.parametrize("choice", ["reference", *COMPILED])
def test_every_backend(choice: str) -> None:
    model = KAN([2, 3, 1], grid=3)
    x = points(6, 2)
    with kernels.use(choice):
        torch.testing.assert_close(model(x), layer_by_layer(model, x))
