"""Every compiled kernel finds what the reference finds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import assert_backends_agree, evaluate, layer_of, rows_for

from compiled import COMPILED, needs_library
from knotwork import kernels

pytestmark = needs_library

each_set = pytest.mark.parametrize("backend", COMPILED)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 80),
    inputs=st.integers(1, 20),
    outputs=st.integers(1, 70),
    grid=st.integers(1, 30),
    k=st.sampled_from([1, 2, 3, 3, 3, 4, 5]),
    residual=st.sampled_from(["silu", "silu", "identity", "tanh", "sin", None]),
    extrapolation=st.sampled_from(["linear", "constant", "continue", "zero"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    absent=st.sampled_from([0.0, 0.3, 1.0]),
    adaptive=st.booleans(),
    backend=st.sampled_from(COMPILED or ["auto"]),
)
def test_values_and_gradients_are_the_references(
    rows, inputs, outputs, grid, k, residual, extrapolation, dtype, absent, adaptive, backend
):
    layer = layer_of(
        inputs,
        outputs,
        grid,
        k,
        residual=residual,
        extrapolation=extrapolation,
        dtype=dtype,
        absent=absent,
        adaptive=adaptive,
    )
    assert_backends_agree(layer, rows_for(layer, rows), backend)


@each_set
@each_dtype
def test_blocks_of_rows_and_groups_of_strips_fit_together(backend, dtype):
    """More rows than one block, more inputs than are taken together, an odd number of strips."""
    layer = layer_of(19, 117, 5, dtype=dtype, absent=0.1)
    assert_backends_agree(layer, rows_for(layer, 600), backend)


@each_set
@pytest.mark.parametrize("k", [2, 3])
def test_panels_of_inputs_fit_together(backend, k):
    """More inputs than have their bases in memory at once."""
    layer = layer_of(150, 17 if k == 2 else 65, 60, k=k, absent=0.01)
    assert_backends_agree(layer, rows_for(layer, 1024), backend)


@each_set
@each_dtype
@pytest.mark.parametrize("grid", [5, 60, 90])
def test_a_row_does_not_depend_on_how_many_there_are(backend, dtype, grid):
    """Many rows and few are taken through other strips of outputs."""
    layer = layer_of(9, 130, grid, dtype=dtype)
    x = rows_for(layer, 600)
    with kernels.use(backend), torch.no_grad():
        many, few = layer(x), layer(x[:100])
    assert torch.equal(many[:100], few)
    with kernels.use("reference"), torch.no_grad():
        torch.testing.assert_close(many, layer(x), rtol=0, atol=2e-5 * float(many.abs().max()))


@each_set
@each_dtype
@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("residual", ["silu", None])
def test_few_outputs_have_a_way_of_their_own(backend, dtype, outputs, residual):
    layer = layer_of(21, outputs, 7, dtype=dtype, absent=0.2, residual=residual)
    assert_backends_agree(layer, rows_for(layer, 700), backend)


@each_set
@each_dtype
@pytest.mark.parametrize("adaptive", [False, True])
def test_grids_may_be_finer_than_the_rows(backend, dtype, adaptive):
    layer = layer_of(3, 33, 200, dtype=dtype, adaptive=adaptive)
    assert_backends_agree(layer, rows_for(layer, 40), backend)


@each_set
def test_large_gradients_are_written_whole(backend):
    """These go past the caches."""
    layer = layer_of(40, 256, 100, dtype=torch.float64)
    assert_backends_agree(layer, rows_for(layer, 30), backend)


@each_set
@each_dtype
def test_points_on_the_knots_belong_to_one_interval(backend, dtype):
    layer = layer_of(2, 3, 4, 1, dtype=dtype)
    x = layer.knots[0, :, None].repeat(1, 2)
    assert_backends_agree(layer, x, backend)


@each_set
@pytest.mark.parametrize("place", [0.5, -1e300, torch.nan, torch.inf])
@pytest.mark.parametrize("outputs", [1, 6])
def test_knots_on_one_point_read_nothing_beyond_the_arrays(backend, place, outputs):
    layer = layer_of(4, outputs, 5, 3)
    layer.knots = torch.full_like(layer.knots, place)
    x = rows_for(layer, 20).requires_grad_()
    with kernels.use(backend):
        y = layer(x)
        y.sum().backward()
    # There is no right value; whatever comes is of this layer's size.
    assert y.shape == (20, outputs)
    assert x.grad is not None


@each_set
@each_dtype
@pytest.mark.parametrize("extrapolation", ["linear", "constant", "continue", "zero"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("adaptive", [False, True])
def test_nan_stays_where_it_is(backend, dtype, extrapolation, k, adaptive):
    layer = layer_of(4, 6, 5, k, extrapolation=extrapolation, dtype=dtype, adaptive=adaptive)
    x = rows_for(layer, 20)
    x[3, 1] = x[7, 0] = torch.nan
    bad = x.isnan().any(dim=1)
    with kernels.use(backend):
        y = layer(x)
    assert bool(y[bad].isnan().all())
    assert bool(y[~bad].isfinite().all())
    assert_backends_agree(layer, x, backend)


@each_set
def test_huge_points_have_the_residual_of_huge_points(backend):
    layer = layer_of(1, 2, extrapolation="constant")
    x = torch.tensor([[-1e300], [-800.0], [-30.0], [30.0], [800.0], [1e300]], dtype=torch.float64)
    with kernels.use(backend):
        found = layer(x)
    with kernels.use("reference"):
        expected = layer(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@each_set
@each_dtype
@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "grid"),
    [(901, 7, 65, 5), (60, 5, 300, 60), (150, 70, 389, 20), (3, 40, 700, 5)],
    ids=["many rows", "many outputs", "many of all", "fewer rows than threads"],
)
def test_threads_do_not_change_a_bit(backend, dtype, threads, rows, inputs, outputs, grid):
    layer = layer_of(inputs, outputs, grid, absent=0.05, dtype=dtype)
    x = rows_for(layer, rows).requires_grad_()

    def found():
        return evaluate(layer, x, backend, torch.ones_like)

    one = found()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        many = found()
    finally:
        torch.set_num_threads(before)
    for name, value in one.items():
        assert torch.equal(value, many[name]), name


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (4, 0, 3), (2, 5, 3), (3,)])
def test_batches_may_have_any_shape(shape):
    layer = layer_of(3, 2)
    x = torch.zeros(shape, dtype=torch.float64)
    with kernels.use("reference"):
        expected = layer(x)
    assert layer(x).shape == (*shape[:-1], 2)
    torch.testing.assert_close(layer(x), expected)


def test_tensors_need_not_be_contiguous():
    layer = layer_of(3, 4)
    x = rows_for(layer, 30)
    wide = torch.stack([x, -x], dim=2).transpose(0, 1)[..., 0].T
    assert not wide.is_contiguous()
    with torch.no_grad():
        coefficients = layer.coefficients.transpose(0, 2).contiguous().transpose(0, 2)
        layer.coefficients = torch.nn.Parameter(coefficients)
    assert not layer.coefficients.is_contiguous()
    assert_backends_agree(layer, wide)
    y = layer(wide.requires_grad_())
    # The gradient of a sum is expanded from one number, and has no memory of its own.
    y.sum().backward()
