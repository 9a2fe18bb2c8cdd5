"""What edges and nodes do over data: with gradients and without, and for lopsided numbers."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from knotwork import KAN
from knotwork.functions import get
from knotwork.statistics import network_statistics, traced_statistics


def rows(count, inputs, seed=0):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(count, inputs, generator=source, dtype=torch.float64)


@settings(max_examples=30, deadline=None)
@given(
    count=st.sampled_from([1, 2, 7, 60]),
    inputs=st.integers(1, 4),
    grid=st.integers(1, 20),
    k=st.integers(1, 5),
    residual=st.sampled_from(["silu", "identity", None]),
    extrapolation=st.sampled_from(["linear", "constant", "zero"]),
    grid_eps=st.sampled_from([0.05, 1.0]),
    seed=st.integers(0, 99),
)
def test_statistics_do_not_depend_on_whether_gradients_are_wanted(
    count, inputs, grid, k, residual, extrapolation, grid_eps, seed
):
    options = {"residual": residual, "extrapolation": extrapolation, "grid_eps": grid_eps}
    model = KAN([inputs, (2, 1), 2], grid=grid, k=k, seed=seed, **options)
    first = model.layer(0)
    # Half of what will come: rows lie beyond the knots, but not hundreds of times as far, where
    # the spread of a spline is the difference of huge numbers.
    half = rows(50, inputs, seed)
    first.update_grid(half / 2)
    with torch.no_grad():
        model.layer(1).update_grid(model.nodes[0].combine(first(half)) / 2)
    first.remove_edge(0, 1)
    first.set_symbolic(0, 2, get("sin"), 2.0, 0.3, 1.5, 0.1)
    x = rows(count, inputs, seed + 1)
    expected, _ = traced_statistics(model, x)
    for a, b in zip(network_statistics(model, x), expected, strict=True):
        for field in dataclasses.fields(a):
            found, wanted = getattr(a, field.name), getattr(b, field.name).detach()
            if field.name.endswith("spread"):
                found, wanted = found.square(), wanted.square()
            size = max(1.0, float(wanted.abs().max()))
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12 * size)


def test_statistics_are_those_of_the_edges_values():
    model = KAN([3, 2], grid=6, seed=3)
    x = rows(80, 3)
    (statistics,) = network_statistics(model, x)
    values = model.layer(0).edge_values(x).detach()
    torch.testing.assert_close(statistics.edge_mean, values.mean(dim=0))
    torch.testing.assert_close(statistics.edge_spread, values.std(dim=0, correction=0))
    sums = values.sum(dim=1) + model.layer(0).bias.detach()
    torch.testing.assert_close(statistics.node_spread, sums.std(dim=0, correction=0))


def test_spreads_far_beyond_the_knots_are_those_of_the_edges_values():
    model = KAN([2, 3], grid=10, residual=None, seed=5)
    x = 500 * rows(60, 2)
    wanted = model.layer(0).edge_values(x).detach().std(dim=0, correction=0)
    for statistics in (network_statistics(model, x)[0], traced_statistics(model, x)[0][0]):
        torch.testing.assert_close(statistics.edge_spread.detach(), wanted, rtol=1e-8, atol=0)


@pytest.mark.parametrize("residual", ["silu", None])
def test_a_large_mean_does_not_blur_a_spread(residual):
    model = KAN([2, 2], residual=residual, seed=1)
    x = rows(100, 2)
    (before,) = network_statistics(model, x)
    with torch.no_grad():
        model.layer(0).coefficients.add_(1e6)
    for after in (network_statistics(model, x)[0], traced_statistics(model, x)[0][0]):
        assert float(after.edge_mean.detach().min()) > 9e5
        spread = after.edge_spread.detach()
        torch.testing.assert_close(spread, before.edge_spread, rtol=1e-8, atol=0)


def test_splines_that_end_at_the_knots_vary_with_their_mean():
    """There basis functions do not sum to one everywhere."""
    model = KAN([1, 1], residual=None, extrapolation="zero")
    with torch.no_grad():
        model.layer(0).coefficients.fill_(3.0)
    x = torch.tensor([[-5.0], [0.0], [0.5], [5.0]], dtype=torch.float64)
    (statistics,) = network_statistics(model, x)
    assert float(statistics.edge_spread) == pytest.approx(1.5)


def test_gradients_of_spreads_are_those_of_finite_differences():
    model = KAN([2, 2], grid=3, seed=2)
    layer = model.layer(0)
    x = rows(20, 2)
    (statistics,), _ = traced_statistics(model, x)
    (slope,) = torch.autograd.grad(statistics.edge_spread.sum(), layer.coefficients)
    step = torch.randn(slope.shape, generator=torch.Generator().manual_seed(4), dtype=x.dtype)
    sums = []
    for sign in (1, -1):
        with torch.no_grad():
            layer.coefficients.add_(sign * 1e-5 * step)
            sums.append(float(network_statistics(model, x)[0].edge_spread.sum()))
            layer.coefficients.sub_(sign * 1e-5 * step)
    assert float((slope * step).sum()) == pytest.approx((sums[0] - sums[1]) / 2e-5, rel=1e-6)
