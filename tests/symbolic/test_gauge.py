import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from knotwork import KAN
from knotwork.functions import LIBRARY, get
from knotwork.symbolic.gauge import fix_gauge

WIDTHS: list[list[Any]] = [
    [1, 1, 1], [2, 2, 1], [2, 1, 1, 1], [2, 2, 2, 2], [2, (1, 1), 1], [2, (0, 1), 1],
    [3, (0, [3]), 2], [2, (1, [2, 4]), (1, 1)], [2, (1, 1), (0, 1), 1],
]  # fmt: skip
INNER = ["x", "x^2", "exp", "sin", "abs", "cbrt", "gaussian", "tanh"]


def rows(inputs: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(100, inputs, generator=generator, dtype=torch.float64) * 1.6 - 0.8


@st.composite
def networks(draw: st.DrawFn, absent: bool = True) -> KAN:
    """Draw a symbolic network, some of its edges absent if wanted."""
    model = KAN(draw(st.sampled_from(WIDTHS)), grid=1, k=1)
    constant = st.floats(0.2, 1.5).flatmap(lambda v: st.sampled_from([v, -v]))
    for index in range(model.depth):
        layer = model.layer(index)
        with torch.no_grad():
            layer.bias.copy_(torch.tensor([draw(constant) for _ in range(layer.out_features)]))
        for i in range(layer.in_features):
            for j in range(layer.out_features):
                if absent and draw(st.integers(0, 4)) == 0:
                    layer.remove_edge(i, j)
                else:
                    a, b, c = draw(constant), draw(st.floats(-0.5, 0.5)), draw(constant)
                    layer.set_symbolic(i, j, get(draw(st.sampled_from(INNER))), a, b, c, 0.0)
    return model


@torch.no_grad()
def worst(before: KAN, after: KAN, x: Tensor) -> float:
    """Return the largest change of an output relative to its size."""
    first, second = before(x), after(x)
    return float(((first - second).abs() / (1 + first.abs().amax(dim=0))).max())


@settings(max_examples=60, deadline=None)
@given(networks())
def test_the_outputs_do_not_change(model: KAN) -> None:
    before, x = model.copy(), rows(model.input_count)
    fix_gauge(model)
    assert worst(before, model, x) < 1e-9


@settings(max_examples=60, deadline=None)
@given(networks(absent=False))
def test_doing_it_twice_is_doing_it_once(model: KAN) -> None:
    # With more hidden layers one factor can be wanted for two scales, and the order decides.
    assume(model.depth == 2)
    first = fix_gauge(model)
    once = model.copy()
    second = fix_gauge(model)
    assert second == first
    for mine, theirs in zip(model.parameters(), once.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("c", [2.0, -0.5, 1e-8, 1e8])
@pytest.mark.parametrize("name", LIBRARY)
def test_every_function_can_be_the_outer_one(name: str, c: float) -> None:
    function, x = get(name), rows(1)
    low, high = function.domain[-1]
    middle = low + 1.5 if math.isinf(high) and math.isfinite(low) else 0.1
    model = KAN([1, 1, 1])
    model.layer(0).set_symbolic(0, 0, get("sin"), 2.0, 0.3, 0.4, 0.5)
    model.layer(1).set_symbolic(0, 0, function, 0.6, middle - 0.3, c, 0.7)
    before = model.copy()
    assert bool(before(x).isfinite().all())
    fixed = fix_gauge(model)
    assert worst(before, model, x) < 1e-9
    assert len(fixed) <= 2


@pytest.mark.parametrize("name", ["x", "x^2", "1/x", "cbrt", "exp", "log", "sin", "tanh", "sign"])
@pytest.mark.parametrize("zero", ["a", "c"])
def test_constants_that_vanish_do_no_harm(name: str, zero: str) -> None:
    model, x = KAN([1, 1, 1]), rows(1)
    a, c = (0.0, 1.5) if zero == "a" else (0.6, 0.0)
    model.layer(0).set_symbolic(0, 0, get("sin"), 2.0, 0.3, 0.1, 0.5)
    low, high = get(name).domain[-1]
    b = low + 1.5 if math.isinf(high) and math.isfinite(low) else 0.1
    model.layer(1).set_symbolic(0, 0, get(name), a, b, c, 0.7)
    before = model.copy()
    fix_gauge(model)
    assert worst(before, model, x) < 1e-9


def test_an_outer_function_has_no_scale_and_shift_of_its_own() -> None:
    model = KAN([2, 1, 1])
    model.layer(0).set_symbolic(0, 0, get("sin"), 3.0, 0.0, 2.0, 0.0)
    model.layer(0).set_symbolic(1, 0, get("x^2"), 1.0, 0.0, 1.0, 0.3)
    model.layer(1).set_symbolic(0, 0, get("tanh"), 0.5, 0.2, 4.0, 0.0)
    fixed = fix_gauge(model)
    assert model[1, 0, 0].constants == pytest.approx((1.0, 0.0, 4.0))
    assert model[0, 0, 0].constants == pytest.approx((3.0, 0.0, 1.0))
    assert fixed == {(1, "a", 0), (1, "b", 0)}


def test_whole_periods_of_a_nodes_constant_drop_out() -> None:
    model = KAN([2, 1, 1])
    model.layer(0).set_symbolic(0, 0, get("x^2"), 1.0, 0.0, 2.0, 100.0)
    model.layer(0).set_symbolic(1, 0, get("x"), 1.0, 0.0, 1.0, 0.0)
    model.layer(1).set_symbolic(0, 0, get("sin"), 1.0, -31 * math.pi, 4.0, 0.5)
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(10, 2)
    before = model(x)
    fix_gauge(model)
    torch.testing.assert_close(model(x), before, rtol=0, atol=1e-12)
    assert abs(float(model.layer(0).bias.detach())) <= math.pi / 2


def test_a_linear_edge_has_no_factor() -> None:
    model = KAN([1, 1, 1])
    model.layer(0).set_symbolic(0, 0, get("sin"), 3.0, 0.0, 2.0, 0.4)
    model.layer(1).set_symbolic(0, 0, get("x"), 1.0, 0.0, 2.5, 0.1)
    fix_gauge(model)
    assert model[1, 0, 0].constants == pytest.approx((1.0, 0.0, 1.0))
    assert model[0, 0, 0].constants == pytest.approx((3.0, 0.0, 5.0))
    assert model.layer(1).bias.item() == pytest.approx(0.1 + 2.5 * 0.4)
    assert model.layer(0).bias.item() == 0.0


def test_factors_of_a_product_share_one_scale() -> None:
    model = KAN([2, (0, 1), 1])
    model.layer(0).set_symbolic(0, 0, get("x"), 1.0, 0.0, 4.0, 0.0)
    model.layer(0).set_symbolic(1, 1, get("x"), 1.0, 0.0, 0.5, 0.0)
    model.layer(1).set_symbolic(0, 0, get("x"), 1.0, 0.0, 3.0, 0.0)
    fix_gauge(model)
    constants = [model[0, 0, 0].constants, model[0, 1, 1].constants, model[1, 0, 0].constants]
    assert [c for _, _, c in constants] == pytest.approx([6.0, 1.0, 1.0])


def test_splines_are_left_alone() -> None:
    model, x = KAN([2, 2, 1]), rows(2)
    model.layer(0).set_symbolic(0, 0, get("sin"), 2.0, 0.1, 1.0, 0.0)
    before = model.copy()
    assert fix_gauge(model) == set()
    assert worst(before, model, x) == 0
