"""How features vary, added up interval by interval, is what dense features say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import layer_of, rows_for, source

from compiled import COMPILED, needs_library
from knotwork import kernels

pytestmark = needs_library

each_set = pytest.mark.parametrize("backend", COMPILED)


def found_by(layer, x, backend):
    with kernels.use(backend):
        return kernels.feature_moments(x, layer.knots, layer.rule)


def assert_moments_agree(layer, x, backend):
    expected, found = found_by(layer, x, "reference"), found_by(layer, x, backend)
    tolerance = 1e-5 if x.dtype == torch.float32 else 1e-12
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        size = b.nan_to_num().abs().flatten(1).amax(dim=1).clamp(min=1e-3)
        gap = (a - b).flatten(1) / size[:, None]
        assert torch.equal(a.isnan(), b.isnan())
        assert float(gap.nan_to_num().abs().max()) < tolerance


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 90),
    inputs=st.integers(1, 9),
    grid=st.integers(1, 30),
    k=st.sampled_from([1, 2, 3, 3, 3, 4, 5]),
    residual=st.sampled_from(["silu", "silu", "identity", "tanh", "sin", None]),
    extrapolation=st.sampled_from(["linear", "constant", "continue", "zero"]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float64]),
    adaptive=st.booleans(),
    backend=st.sampled_from(COMPILED or ["auto"]),
)
def test_moments_are_those_of_dense_features(
    rows, inputs, grid, k, residual, extrapolation, dtype, adaptive, backend
):
    options = {"residual": residual, "extrapolation": extrapolation, "dtype": dtype}
    layer = layer_of(inputs, 1, grid, k, adaptive=adaptive, **options)
    assert_moments_agree(layer, rows_for(layer, rows), backend)


@each_set
def test_blocks_of_rows_fit_together(backend):
    layer = layer_of(3, 1, 8)
    assert_moments_agree(layer, rows_for(layer, 2500), backend)


@each_set
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_nan_stays_with_its_input_and_interval(backend, adaptive, k):
    layer = layer_of(3, 1, 6, k, adaptive=adaptive)
    x = rows_for(layer, 40)
    x[5, 1] = torch.nan
    assert_moments_agree(layer, x, backend)
    assert bool(found_by(layer, x, backend).mean[[0, 2]].isfinite().all())


@each_set
def test_one_row_does_not_vary(backend):
    layer = layer_of(4, 1)
    assert not bool(found_by(layer, rows_for(layer, 1), backend).covariance.any())


@each_set
def test_inputs_that_hardly_vary_keep_their_digits(backend):
    """The variance of a feature is 1e-12 of its square, yet right to more than four digits."""
    layer = layer_of(2, 1, residual="identity")
    x = 0.3 + 1e-6 * torch.randn(500, 2, generator=source(), dtype=torch.float64)
    found = found_by(layer, x, backend).covariance.diagonal(dim1=1, dim2=2)
    expected = layer.feature_values(x).var(dim=0, correction=0)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_change_a_bit(threads):
    layer = layer_of(9, 1)
    x = rows_for(layer, 3000)
    one = found_by(layer, x, "auto")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        many = found_by(layer, x, "auto")
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(one, many, strict=True))


def test_points_outside_are_an_error_where_asked_for():
    layer = layer_of(2, 1, extrapolation="error")
    with pytest.raises(ValueError, match=r"outside the knots in column 0"):
        found_by(layer, torch.full((3, 2), 1.5, dtype=torch.float64), "auto")
