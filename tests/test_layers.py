import copy
import math

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, vmap

from knotwork import KAN, LIBRARY, KANLayer, SymbolicFunction, splines
from knotwork.knots import moved_range
from knotwork.layers import ABSENT, SPLINE, SYMBOLIC
from knotwork.residuals import RESIDUALS

F64 = torch.float64
SOFTSIGN = SymbolicFunction("softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + abs(x)))


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=1):
    return torch.randn(shape, generator=source(seed), dtype=F64)


def layer_of(inputs=3, outputs=2, *arguments, seed=0, **options):
    return KANLayer(
        inputs, outputs, *arguments, **{"dtype": F64, "generator": source(seed), **options}
    )


def mixed_layer(**options):
    """Return a layer with edges of every kind, its biases not zero."""
    layer = layer_of(3, 4, **options)
    with torch.no_grad():
        layer.bias.copy_(normal(4, seed=2))
    layer.set_symbolic(0, 1, LIBRARY["sin"], 2.0, 0.3, -1.5, 0.25)
    layer.set_symbolic(2, 3, LIBRARY["exp"], 0.5, 0.0, 0.7, -1.0)
    layer.set_symbolic(1, 1, LIBRARY["sin"], 1.0, 0.0, 0.4, 0.0)
    layer.remove_edge(1, 2)
    layer.remove_edge(0, 0, 0.5)
    return layer


def by_hand(layer, x):
    """Evaluate edge by edge with SciPy's splines: shape (rows, inputs, outputs)."""
    low, high = splines.domain(layer.knots, layer.k)
    assert bool(((x >= low) & (x <= high)).all())
    values = torch.zeros(len(x), layer.in_features, layer.out_features, dtype=F64)
    for i in range(layer.in_features):
        for j in range(layer.out_features):
            function = layer.function_at(i, j)
            if function is not None:
                a, b, c = layer.constants_at(i, j)
                values[:, i, j] = c * function.torch(a * x[:, i] + b)
            elif layer.kind[i, j] == SPLINE:
                coefficients = layer.coefficients.detach()[i, :, j].numpy()
                spline = BSpline(layer.knots[i].numpy(), coefficients, layer.k)
                values[:, i, j] = torch.from_numpy(spline(x[:, i].numpy()))
                if layer.residual is not None:
                    weight = layer.residual_weight.detach()[i, j]
                    values[:, i, j] += weight * RESIDUALS[layer.residual].value(x[:, i])
    return values


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [*RESIDUALS, None])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_forward_is_the_sum_over_edges(k, residual):
    layer = mixed_layer(grid=4, k=k, residual=residual)
    x = normal(50, 3).clamp(-1, 1)
    expected = by_hand(layer, x)
    torch.testing.assert_close(layer.edge_values(x).detach(), expected, rtol=0, atol=1e-12)
    total = (expected.sum(dim=1) + layer.bias).detach()
    torch.testing.assert_close(layer(x).detach(), total, rtol=0, atol=1e-12)


def test_forward_is_the_same_on_adaptive_knots():
    layer = mixed_layer(grid=6, grid_eps=0.1)
    x = normal(200, 3) ** 3
    layer.update_grid(x)
    assert not layer.uniform
    expected = (by_hand(layer, x).sum(dim=1) + layer.bias).detach()
    torch.testing.assert_close(layer(x).detach(), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("name", RESIDUALS)
def test_residual_derivatives_are_those_of_autograd(name):
    residual = RESIDUALS[name]
    x = normal(30).mul(3).requires_grad_()
    (slope,) = torch.autograd.grad(residual.value(x).sum(), x)
    torch.testing.assert_close(residual.derivative(x).detach(), slope, rtol=0, atol=1e-14)
    total = residual.derivative(x).sum() + 0 * x.sum()
    (curvature,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(residual.curvature(x).detach(), curvature, rtol=0, atol=1e-14)


def test_features_are_what_edges_are_linear_in():
    layer = layer_of(grid=4)
    x = normal(20, 3)
    features = layer.features(x)
    assert torch.equal(features.values, layer.feature_values(x))
    total = torch.einsum("nif,ifo->no", features.values, layer.feature_weights()) + layer.bias
    torch.testing.assert_close(total, layer(x))
    slopes = torch.einsum("nif,ifo->noi", features.slopes, layer.feature_weights())
    jacobian = vmap(jacrev(layer))(x)
    torch.testing.assert_close(slopes, jacobian, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (2, 3), (4, 0), (2, 1, 3)])
def test_leading_dimensions_are_kept(shape):
    layer = mixed_layer()
    x = normal(*shape, 3)
    assert layer(x).shape == (*shape, 4)
    flat = layer(x.reshape(-1, 3)).reshape(*shape, 4)
    torch.testing.assert_close(layer(x), flat)


def test_inputs_need_not_be_contiguous():
    layer = mixed_layer()
    x = normal(3, 40)
    torch.testing.assert_close(layer(x.T), layer(x.T.contiguous()), rtol=0, atol=1e-14)


def test_a_row_does_not_depend_on_the_others():
    layer = mixed_layer()
    x = normal(40, 3)
    x[7] = torch.nan
    y = layer(x)
    assert bool(y[7].isnan()[[0, 1, 3]].all())
    kept = torch.arange(40) != 7
    assert bool(y[kept].isfinite().all())


def test_it_stands_in_a_sequential():
    model = nn.Sequential(
        layer_of(3, 5, dtype=torch.float32), nn.LayerNorm(5), layer_of(5, 2, dtype=torch.float32)
    )
    x = normal(16, 3).float()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (model(x) - x[:, :2] ** 2).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 5


def test_defaults_are_torchs_own():
    layer = KANLayer(2, 3)
    assert layer.knots.dtype == torch.get_default_dtype()
    assert {p.dtype for p in layer.parameters()} == {torch.get_default_dtype()}
    assert "2, 3, grid=5, k=3, residual='silu', edges: 6 spline, 0 symbolic, 0 absent" in str(layer)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"in_features": 0}, ValueError, "in_features must be at least 1; got 0"),
        ({"out_features": 2.0}, TypeError, "out_features must be a whole number"),
        ({"grid": 0}, ValueError, "grid must be at least 1; got 0"),
        ({"k": 6}, ValueError, "k must be from 1 to 5; got 6"),
        ({"k": 0}, ValueError, "k must be from 1 to 5; got 0"),
        ({"residual": "silo"}, ValueError, "residual must be one of .* Did you mean 'silu'"),
        ({"extrapolation": "liner"}, ValueError, "extrapolation must be .* Did you mean 'linear'"),
        ({"dtype": torch.int32}, TypeError, "dtype must be a floating dtype"),
        ({"grid_range": (1.0, -1.0)}, ValueError, "grid_range"),
        ({"grid_eps": 7.0}, ValueError, "grid_eps"),
    ],
)
def test_arguments_that_cannot_be_right_are_told(options, error, message):
    with pytest.raises(error, match=message):
        KANLayer(**{"in_features": 2, "out_features": 2, **options})


def test_inputs_that_do_not_fit_are_told():
    layer = layer_of()
    with pytest.raises(ValueError, match=r"shape \(4, 2\), but this layer takes 3 features"):
        layer(normal(4, 2))
    with pytest.raises(ValueError, match=r"shape \(\), but this layer takes 3 features"):
        layer(normal())
    with pytest.raises(TypeError, match=r"floating-point numbers; got torch\.int64: use X\.to"):
        layer(torch.zeros(4, 3, dtype=torch.int64))


# -- the start -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "residual"), [(64, "silu"), *((32, residual) for residual in (*RESIDUALS, None))]
)
@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_activations_keep_their_size_through_depth(width, residual, law):
    if law == "normal":
        x = normal(200, width)
    else:
        x = math.sqrt(3) * (2 * torch.rand(200, width, generator=source(), dtype=F64) - 1)
    squares, variances = [], []
    for seed in range(3):
        model = KAN([width] * 9, seed=seed, residual=residual)
        with torch.no_grad():
            y = model(x)
        squares.append(float(y.square().mean()))
        variances.append(float(y.var(dim=0).mean()))
    # Over units and rows at depth 8; the variance over rows alone loses what turns constant.
    assert 1 / 3 < np.median(squares) < 3
    assert 1 / 4 < np.median(variances) < 3


@pytest.mark.parametrize("residual", [*RESIDUALS, None])
def test_a_start_on_data_keeps_its_scale_whatever_its_units(residual):
    layer = layer_of(20, 20, residual=residual)
    x = normal(300, 20)
    layer.reset_parameters(source(), x)
    reference = layer(x).detach()
    assert 1 / 2 < float(reference.var(dim=0).mean()) < 2
    if residual is None:
        moved = 1e4 * x + 3e4
        layer.reset_parameters(source(), moved)
        torch.testing.assert_close(layer(moved).detach(), reference, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7e8])
def test_a_start_on_a_constant_input_stays_of_ordinary_size(constant):
    """The standard deviation of one number repeated is not 0 but rounding."""
    layer = layer_of(1, 3)
    x = torch.full((1000, 1), constant, dtype=F64)
    layer.reset_parameters(source(), x)
    assert float(layer.coefficients.detach().abs().max()) < 100
    assert bool(layer(x).isfinite().all())


@pytest.mark.parametrize("rows", [0, 1])
def test_a_start_on_hardly_any_data(rows):
    layer = layer_of(3, 2)
    layer.reset_parameters(source(), normal(rows, 3))
    assert bool(layer(normal(5, 3)).isfinite().all())


def test_the_generator_decides_the_start_and_nothing_else_is_drawn_from():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = layer_of(seed=1), layer_of(seed=1), layer_of(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    x = normal(5, 3)
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), other(x))


def test_without_a_generator_the_global_seed_decides():
    starts = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        starts.append(KANLayer(2, 2).coefficients.detach())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_a_seed_means_the_same_start_in_every_precision():
    double, single = layer_of(), layer_of(dtype=torch.float32)
    torch.testing.assert_close(double.coefficients.float(), single.coefficients)


# -- edges ---------------------------------------------------------------------------------------


def test_a_symbolic_edge_is_what_it_says():
    layer = layer_of()
    x = normal(30, 3)
    before = layer(x) - layer.edge_values(x)[:, 1, 0, None] * torch.tensor([1.0, 0.0], dtype=F64)
    layer.set_symbolic(1, 0, SOFTSIGN, 2.0, -0.5, 3.0, 0.7)
    expected = before.clone()
    expected[:, 0] += 3 * SOFTSIGN.torch(2 * x[:, 1] - 0.5) + 0.7
    torch.testing.assert_close(layer(x), expected)
    assert layer.function_at(1, 0) is SOFTSIGN
    assert layer.constants_at(1, 0) == (2.0, -0.5, 3.0)
    assert layer.function_at(1, 1) is None
    assert layer.constants_at(0, 0) is None
    assert layer.kind[1, 0] == SYMBOLIC


def test_undoing_symbolic_edges_gives_everything_back():
    layer = layer_of()
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.1, -0.7]))
    x = normal(30, 3)
    before = layer(x)
    edges = [(0, 0), (2, 1), (1, 0)]
    for i, j in edges:
        layer.set_symbolic(i, j, LIBRARY["tanh"], 1.0, 0.5, 2.0, 0.3)
    assert not torch.allclose(layer(x), before)
    for i, j in (edges[1], edges[0], edges[2]):
        layer.unset_symbolic(i, j)
    assert layer.functions == []
    assert layer.affine.shape == (0, 3)
    assert bool((layer.kind == SPLINE).all())
    torch.testing.assert_close(layer(x), before, rtol=0, atol=1e-15)


def test_undoing_one_symbolic_edge_leaves_the_others():
    layer = mixed_layer()
    x = normal(30, 3)
    kept = layer.edge_values(x)[:, 2, 3], layer.edge_values(x)[:, 1, 1]
    layer.unset_symbolic(0, 1)
    assert [function.name for function in layer.functions] == ["exp", "sin"]
    assert torch.equal(layer.edge_values(x)[:, 2, 3], kept[0])
    assert torch.equal(layer.edge_values(x)[:, 1, 1], kept[1])


def test_setting_another_function_undoes_the_first():
    once, twice = layer_of(), layer_of()
    twice.set_symbolic(0, 1, LIBRARY["exp"], 1.0, 0.0, 2.0, 5.0)
    for layer in (once, twice):
        layer.set_symbolic(0, 1, LIBRARY["sin"], 3.0, 0.1, 1.0, 0.5)
    x = normal(10, 3)
    torch.testing.assert_close(once(x), twice(x))
    assert len(twice.functions) == 1


def test_undoing_on_an_edge_that_was_absent_makes_it_absent_again():
    layer = layer_of()
    layer.remove_edge(0, 1)
    x = normal(10, 3)
    before = layer(x)
    layer.set_symbolic(0, 1, LIBRARY["sin"], 1.0, 0.0, 1.0, 0.2)
    layer.unset_symbolic(0, 1)
    torch.testing.assert_close(layer(x), before)


def test_removing_an_edge_leaves_its_constant():
    layer = mixed_layer()
    x = normal(30, 3)
    for i, j in ((2, 0), (0, 1), (1, 2)):
        before, edge = layer(x), layer.edge_values(x)[:, i, j]
        layer.remove_edge(i, j, edge.mean().detach())
        assert layer.kind[i, j] == ABSENT
        before[:, j] += edge.mean() - edge
        torch.testing.assert_close(layer(x), before)


def test_an_absent_edge_has_no_gradient():
    layer = layer_of()
    layer.remove_edge(1, 0)
    layer(normal(10, 3)).square().sum().backward()
    assert not bool(layer.coefficients.grad[1, :, 0].any())
    assert bool(layer.coefficients.grad[1, :, 1].any())
    x = normal(10, 3).requires_grad_()
    (slope,) = torch.autograd.grad(layer(x)[:, 0].sum(), x)
    assert not bool(slope[:, 1].any())


def test_bad_edges_are_told():
    layer = layer_of()
    with pytest.raises(IndexError, match="i is 3, but there are 3 inputs: use 0 to 2"):
        layer.set_symbolic(3, 0, LIBRARY["sin"], 1.0, 0.0, 1.0, 0.0)
    with pytest.raises(IndexError, match="j is 5, but there are 2 outputs"):
        layer.set_symbolic(0, 5, LIBRARY["sin"], 1.0, 0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"edge \(0, 1\) is not symbolic"):
        layer.unset_symbolic(0, 1)


def test_selecting_keeps_the_edges_between_what_is_kept():
    layer = mixed_layer(grid=3)
    layer.update_grid(normal(100, 3))
    part = layer.select([2, 0], [3, 1, 2])
    x = normal(20, 3)
    assert (part.in_features, part.out_features) == (2, 3)
    expected = layer.edge_values(x)[:, [2, 0]][:, :, [3, 1, 2]]
    torch.testing.assert_close(part.edge_values(x[:, [2, 0]]), expected)
    total = expected.sum(dim=1) + layer.bias[[3, 1, 2]]
    torch.testing.assert_close(part(x[:, [2, 0]]), total)
    assert {function.name for function in part.functions} == {"exp", "sin"}


def test_selecting_everything_changes_nothing_and_shares_nothing():
    layer = mixed_layer()
    part = layer.select([0, 1, 2], [0, 1, 2, 3])
    x = normal(20, 3)
    expected = layer(x)
    torch.testing.assert_close(part(x), expected)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(1)
    part.remove_edge(0, 3)
    assert torch.equal(layer(x), expected)


# -- grids ---------------------------------------------------------------------------------------


def spline_size(layer):
    return float(layer.coefficients.detach().abs().max())


@pytest.mark.parametrize("grid_eps", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_moving_the_grid_keeps_the_functions(k, grid_eps):
    """A cubic with few bends on finer knots than it needs: nothing but the knots changes."""
    layer = mixed_layer(grid=20, k=k, grid_eps=grid_eps, residual="silu")
    x = 0.8 * torch.tanh(normal(300, 3))
    with torch.no_grad():
        phase = splines.greville(layer.knots, k)[..., None]
        layer.coefficients.copy_(torch.sin(2 * phase + torch.arange(4)))
    before = layer.edge_values(x)
    knots = layer.knots
    layer.update_grid(x)
    assert not torch.equal(layer.knots, knots)
    change = (layer.edge_values(x) - before).square().mean().sqrt()
    assert float(change.detach()) < (1e-2 if k == 1 else 2e-4)
    low, high = splines.domain(layer.knots, k)
    assert bool(((x >= low) & (x <= high)).all())


def test_moving_the_grid_twice_to_the_same_data_changes_nothing():
    layer = mixed_layer(grid=6, grid_eps=0.5)
    x = normal(300, 3)
    layer.update_grid(x)
    knots, before = layer.knots, layer(x)
    layer.update_grid(x)
    torch.testing.assert_close(layer.knots, knots, rtol=0, atol=1e-14)
    torch.testing.assert_close(layer(x), before, rtol=0, atol=1e-11)


def test_the_grid_covers_all_rows_however_many():
    """An outlier among many rows counts; "error" would refuse the very data it was moved to."""
    layer = layer_of(1, 1, extrapolation="error")
    x = normal(9001, 1)
    x[4001] = 30.0
    layer.update_grid(x)
    assert bool(layer(x).isfinite().all())


AWKWARD = {
    "one row": lambda: normal(1, 3),
    "two equal rows": lambda: normal(1, 3).expand(2, 3),
    "two rows": lambda: normal(2, 3),
    "zeros": lambda: torch.zeros(50, 3, dtype=F64),
    "constant, far away": lambda: torch.full((50, 3), 1e6, dtype=F64),
    "two values": lambda: normal(50, 3).sign(),
    "mostly repeated": lambda: torch.cat([torch.zeros(50, 3, dtype=F64), normal(2, 3)]),
    "tiny spread": lambda: 1e-9 * normal(50, 3),
    "rounding spread": lambda: 1.0 + 1e-16 * normal(50, 3),
    "tiny spread, far away": lambda: 1e3 + 1e-9 * normal(50, 3),
    "huge": lambda: 1e8 * normal(50, 3),
    "outlier": lambda: torch.cat([normal(50, 3), torch.full((1, 3), 1e5, dtype=F64)]),
    "infinitesimal": lambda: torch.full((5, 3), 1e-310, dtype=F64),
}


@pytest.mark.parametrize("grid_eps", [1.0, 0.0])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_data_neither_breaks_the_grid_nor_the_gradients(name, grid_eps):
    x = AWKWARD[name]()
    layer = mixed_layer(grid_eps=grid_eps)
    layer.set_symbolic(2, 3, LIBRARY["tanh"], 1.0, 0.0, 1.0, 0.0)
    before = layer(x).detach()
    layer.update_grid(x)
    assert bool((layer.knots.diff(dim=1) > 0).all())
    low, high = splines.domain(layer.knots, layer.k)
    assert bool(((x >= low) & (x <= high)).all())
    after = layer(x).detach()
    if len(x) < 4 or float((x.amax(dim=0) - x.amin(dim=0)).max()) < 1e-6:
        # So few or so close points that the splines can follow the old functions exactly.
        scale = 1 + float(before.abs().max())
        torch.testing.assert_close(after, before, rtol=0, atol=1e-6 * scale)
    x = x.clone().requires_grad_()
    layer(x).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in (x, *layer.parameters()))


def test_no_rows_change_nothing():
    layer = mixed_layer()
    before = copy.deepcopy(layer.state_dict())
    layer.update_grid(normal(0, 3))
    after = layer.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in ("knots", "coefficients"))


def test_data_that_is_not_finite_leaves_the_layer_as_it_was():
    layer = mixed_layer()
    before = {name: value.clone() for name, value in list(layer.named_parameters())}
    knots = layer.knots
    for bad in (torch.nan, torch.inf):
        x = normal(30, 3)
        x[3, 1] = bad
        with pytest.raises((FloatingPointError, ValueError)):
            layer.update_grid(x)
        assert layer.knots is knots
        assert all(torch.equal(p, before[name]) for name, p in layer.named_parameters())


def test_an_input_that_does_not_vary_keeps_the_width_of_its_knots():
    low, high = torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([1.0, 1.0, 1.0])
    x = torch.tensor([[0.25, 7.0, 0.0], [0.25, 7.0, 4.0]])
    new_low, new_high = moved_range(x, low, high)
    torch.testing.assert_close(new_low[:2], torch.tensor([-1.0, 6.0]))
    torch.testing.assert_close(new_high[:2], torch.tensor([1.0, 8.0]))
    assert -0.5 < float(new_low[2]) < 0.0
    assert 4.0 < float(new_high[2]) < 4.5


@pytest.mark.parametrize("grid_eps", [1.0, 0.0])
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_refining_by_a_factor_keeps_the_functions(factor, grid_eps):
    layer = mixed_layer(grid=4, grid_eps=grid_eps)
    x = normal(100, 3)
    layer.update_grid(x)
    wide = 2 * normal(100, 3)
    before = layer(wide)
    layer.refine(4 * factor)
    assert layer.grid == 4 * factor
    assert layer.uniform == (grid_eps == 1.0)
    torch.testing.assert_close(layer(wide), before, rtol=0, atol=1e-10)
    layer(wide).sum().backward()
    assert layer.coefficients.grad.shape == layer.coefficients.shape


@pytest.mark.parametrize("with_data", [False, True])
def test_refining_by_another_factor_nearly_keeps_them(with_data):
    layer = mixed_layer(grid=4)
    x = normal(200, 3).clamp(-1, 1)
    before = layer(x)
    layer.refine(13, x if with_data else None)
    change = (layer(x) - before).square().mean().sqrt().detach()
    assert 0 < float(change) < 0.01 * spline_size(layer)


def test_refitted_coefficients_lie_in_row_order_on_memory_of_their_own():
    """So that a layer that is saved and loaded gives the same bits, and files hold no more."""
    layer = layer_of(2, 3, grid=4)
    layer.refine(7)
    assert layer.coefficients.is_contiguous()
    assert layer.coefficients.untyped_storage().nbytes() == 8 * layer.coefficients.numel()


def test_refining_refuses_what_is_no_grid():
    with pytest.raises(ValueError, match="grid must be at least 1; got 0"):
        layer_of().refine(0)


# -- state ---------------------------------------------------------------------------------------


def awkward_layer():
    layer = mixed_layer(grid=4, grid_eps=0.2)
    layer.update_grid(normal(100, 3))
    layer.refine(9)
    return layer


def test_a_state_goes_to_a_fresh_layer():
    layer = awkward_layer()
    fresh = layer_of(3, 4, grid=4, seed=5)
    fresh.load_state_dict(layer.state_dict())
    x = normal(50, 3)
    assert torch.equal(fresh(x), layer(x))
    assert fresh.functions == layer.functions
    assert fresh.grid == 9
    fresh.unset_symbolic(0, 1)
    layer.unset_symbolic(0, 1)
    assert torch.equal(fresh(x), layer(x))


def test_a_state_without_symbols_clears_those_that_are_there():
    plain, layer = layer_of(3, 4), mixed_layer()
    state = plain.state_dict()
    layer.load_state_dict(state)
    assert layer.functions == []
    x = normal(20, 3)
    assert torch.equal(layer(x), plain(x))


def test_a_state_of_another_shape_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch"):
        layer_of(3, 4).load_state_dict(layer_of(2, 4).state_dict())


def test_functions_of_the_user_stay_with_the_layer():
    layer = layer_of()
    layer.set_symbolic(0, 0, SOFTSIGN, 1.0, 0.0, 1.0, 0.0)
    twin = copy.deepcopy(layer)
    twin.load_state_dict(layer.state_dict())
    assert twin.functions == [SOFTSIGN]
    with pytest.raises(ValueError, match="no function 'softsign'"):
        layer_of().load_state_dict(layer.state_dict())


def test_a_copy_is_independent():
    layer = awkward_layer()
    twin = copy.deepcopy(layer)
    x = normal(20, 3)
    before = layer(x)
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(2)
    twin.remove_edge(2, 0)
    twin.unset_symbolic(0, 1)
    twin.update_grid(3 * x)
    assert torch.equal(layer(x), before)


def test_single_precision():
    layer = awkward_layer()
    x = normal(50, 3)
    expected = layer(x)
    single = layer.to(torch.float32)
    y = single(x.float())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)
    even = layer_of().to(torch.float32)
    assert even.uniform


# -- composing with torch ------------------------------------------------------------------------


# What torch itself says of its own code when torch.func first uses it.
ignore_torchs_own = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning",
    r"ignore:torch.searchsorted\(\). input value tensor is non-contiguous:UserWarning",
)


@ignore_torchs_own
@pytest.mark.parametrize("make", [mixed_layer, awkward_layer])
def test_torch_func_agrees_with_autograd(make):
    layer = make()
    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    x = normal(6, 3)

    def one(values, row):
        return functional_call(layer, values, (row[None],))[0]

    assert torch.equal(functional_call(layer, parameters, (x,)), layer(x))
    torch.testing.assert_close(vmap(lambda row: one(parameters, row))(x), layer(x))

    target = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(layer(target).square().sum(), target)
    actual = vmap(grad(lambda row: one(parameters, row).square().sum()))(x)
    torch.testing.assert_close(actual, expected)

    reverse = vmap(jacrev(one, argnums=0), in_dims=(None, 0))(parameters, x)
    for output in range(layer.out_features):
        layer.zero_grad()
        layer(x)[2, output].backward()
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(reverse[name][2, output], parameter.grad)

    forward = vmap(jacfwd(lambda row: one(parameters, row)))(x)
    torch.testing.assert_close(forward, vmap(jacrev(lambda row: one(parameters, row)))(x))


@ignore_torchs_own
@pytest.mark.parametrize("make", [mixed_layer, awkward_layer])
def test_second_derivatives_agree_with_autograd(make):
    layer = make()
    row = normal(3)
    second = hessian(lambda row: layer(row).square().sum())(row)
    expected = torch.autograd.functional.hessian(lambda row: layer(row).square().sum(), row)
    torch.testing.assert_close(second, expected)
    torch.testing.assert_close(second, second.T)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_gradients_of_gradients_are_right(k):
    layer = layer_of(2, 2, 2, k)
    layer.set_symbolic(0, 1, LIBRARY["sin"], 2.0, 0.3, -1.5, 0.25)
    layer.remove_edge(1, 1)
    names = [name for name, _ in layer.named_parameters()]
    values = tuple(p.detach().clone().requires_grad_() for p in layer.parameters())
    x = normal(2, 2).requires_grad_()

    def evaluated(x, *values):
        return functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(evaluated, (x, *values))
    assert torch.autograd.gradgradcheck(evaluated, (x, *values))
