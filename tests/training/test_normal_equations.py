"""The Jacobian of networks, and the normal equations by every way of adding them up."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call, jacrev, vmap

from compiled import COMPILED, needs_library
from knotwork import KAN, kernels
from knotwork.data import Samples
from knotwork.training.batches import TensorBatches
from knotwork.training.least_squares import NetworkLeastSquares
from knotwork.training.normal_equations import (
    ChainSums,
    DenseSums,
    LocalSums,
    jacobian,
    sums_of,
)
from knotwork.training.parameters import FreeParameters
from knotwork.training.sensitivities import backward, forward
from networks import mixed_network, normal


def jacobian_of(free, x):
    """Return the outputs, (rows, outputs), and the Jacobian, (outputs, rows, size)."""
    with torch.no_grad():
        sweeps, outputs = forward(free, x)
        slopes = [backward(free.model, sweeps, output) for output in range(outputs.shape[1])]
        return outputs, torch.stack([jacobian(free, sweeps, one) for one in slopes])


def by_torch_func(model, free, x):
    """Return the Jacobian in the free parameters' order, (outputs, rows, size)."""
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def outputs(values, row):
        return functional_call(model, values, (row[None],))[0]

    full = vmap(jacrev(outputs), in_dims=(None, 0))(parameters, x)
    columns = []
    for index, part in enumerate(free.parts):

        def named(name, index=index):
            return full[f"layers.{index}.{name}"].transpose(0, 1)

        edges = named("coefficients")[:, :, part.sources, :, part.targets].permute(1, 2, 0, 3)
        weight = named("residual_weight")[:, :, part.sources, part.targets][..., None]
        columns.append(torch.cat([edges, weight], dim=3).flatten(2))
        columns.append(named("affine")[:, :, part.free])
        columns.append(named("bias"))
    return torch.cat(columns, dim=2)


# What torch itself says of its own code under vmap.
@pytest.mark.filterwarnings("ignore:torch.searchsorted.*non-contiguous:UserWarning")
@pytest.mark.parametrize("grid_eps", [1.0, 0.0])
def test_the_jacobian_is_that_of_torch_func(grid_eps):
    model = mixed_network(grid_eps=grid_eps)
    model.update_grid(normal(100, 3))
    free = FreeParameters(model)
    x = normal(7, 3, seed=4)
    outputs, found = jacobian_of(free, x)
    torch.testing.assert_close(outputs, model(x).detach())
    assert found.shape == (2, 7, free.size)
    torch.testing.assert_close(found, by_torch_func(model, free, x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        mixed_network,
        lambda: KAN([2, 3, 2], residual=None, k=1),
        lambda: KAN([1, 1], k=5, extrapolation="constant"),
        lambda: KAN([2, (0, [4]), 1], grid=2),
    ],
    ids=["mixed", "no residual", "one edge", "arity 4"],
)
def test_the_jacobian_is_that_of_finite_differences(make):
    model = make()
    free = FreeParameters(model)
    x = normal(6, model.input_count, seed=5)
    _, found = jacobian_of(free, x)
    start, step = free.read(), 1e-6
    for index in range(free.size):
        outputs = []
        for sign in (1, -1):
            moved = start.clone()
            moved[index] += sign * step
            free.write(moved)
            outputs.append(model(x).detach())
        difference = (outputs[0] - outputs[1]).T / (2 * step)
        torch.testing.assert_close(found[:, :, index], difference, rtol=1e-6, atol=1e-7)


def problem_of(model, rows, weighted=False, seed=3):
    x = 1.5 * normal(rows, model.input_count, seed=seed)
    y = normal(rows, model.output_count, seed=seed + 1)
    weights = normal(rows, seed=seed + 2).square() if weighted else None
    return NetworkLeastSquares(model, TensorBatches(Samples(x, y, weights)), 1.0)


def assert_sums_agree(problem, backend):
    with kernels.use("reference"):
        expected = problem.normal_equations()
    with kernels.use(backend):
        found = problem.normal_equations()
    for one, other in zip(found, expected, strict=True):
        one, other = torch.as_tensor(one), torch.as_tensor(other)
        size = float(other.abs().amax()) if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * max(size, 1e-300))
    assert torch.equal(found[2], found[2].T)


@needs_library
@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 200),
    width=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    grid=st.integers(1, 40),
    k=st.sampled_from([1, 2, 3, 3, 3, 4, 5]),
    residual=st.sampled_from(["silu", "silu", "identity", "tanh", "sin", None]),
    extrapolation=st.sampled_from(["linear", "constant", "zero"]),
    grid_eps=st.sampled_from([1.0, 0.02]),
    absent=st.sampled_from([0.0, 0.4]),
    weighted=st.booleans(),
    backend=st.sampled_from(COMPILED or ["auto"]),
)
def test_the_compiled_sums_are_those_of_the_whole_jacobian(
    rows, width, grid, k, residual, extrapolation, grid_eps, absent, weighted, backend
):
    model = KAN(width, grid, k, residual=residual, extrapolation=extrapolation, grid_eps=grid_eps)
    model.restart(normal(50, width[0]))
    generator = torch.Generator().manual_seed(rows)
    for index in range(model.depth):
        kind = model.layer(index).kind
        kind[torch.rand(kind.shape, generator=generator) < absent] = 0
    assert_sums_agree(problem_of(model, rows, weighted), backend)


@needs_library
@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("threads", [1, 2])
def test_symbols_products_and_many_rows(backend, threads):
    model = mixed_network()
    model.update_grid(normal(100, 3))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_sums_agree(problem_of(model, 2000), backend)
    finally:
        torch.set_num_threads(before)


@needs_library
def test_the_number_of_threads_does_not_change_a_bit():
    problem = problem_of(KAN([3, 4, 2], grid=20), 3000)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(problem.normal_equations())
    finally:
        torch.set_num_threads(before)
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][2], found[1][2])


@needs_library
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 5000), weighted=st.booleans(), outputs=st.integers(1, 3))
@torch.no_grad()
def test_a_chain_and_its_layers_one_by_one_give_the_same_sums(rows, weighted, outputs):
    problem = problem_of(KAN([2, 3, outputs], grid=4), rows, weighted)
    free, (block,) = problem.parameters, list(problem.batches)
    selection = kernels.selection
    found = []
    for kind in (ChainSums, LocalSums):
        sums = kind(free, selection.library, selection.instruction_set)
        sums.add(block)
        squares, gradient, matrix = sums.total(0.5)
        assert sums.squares(block) == pytest.approx(2 * squares, rel=1e-12)
        found.append((squares, gradient, matrix))
    for one, other in zip(*found, strict=True):
        one, other = torch.as_tensor(one), torch.as_tensor(other)
        size = float(other.abs().amax())
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * size)


@needs_library
def test_each_network_takes_the_fastest_way_there_is():
    assert isinstance(sums_of(FreeParameters(KAN([2, 2, 1]))), ChainSums)
    assert isinstance(sums_of(FreeParameters(KAN([2, (1, 1), 1]))), LocalSums)
    assert isinstance(sums_of(FreeParameters(mixed_network())), LocalSums)
    bounded = FreeParameters(KAN([2, 2, 1], extrapolation="error"))
    assert isinstance(sums_of(bounded), LocalSums)
    free = FreeParameters(KAN([2, 2, 1]))
    with kernels.use("reference"):
        assert isinstance(sums_of(free), DenseSums)
    free.parts[1].layer.k = 2
    assert isinstance(sums_of(free), DenseSums)


@needs_library
def test_what_is_not_a_number_is_seen():
    problem = problem_of(KAN([2, 2, 1]), 50)
    problem.batches.samples.inputs[7, 0] = torch.nan
    objective, gradient, _ = problem.normal_equations()
    assert objective != objective
    assert not bool(gradient.isfinite().all())


def test_the_objective_notices_parameters_that_others_change() -> None:
    model = KAN([2, 2, 1], seed=0)
    x, y = normal(50, 2), normal(50, 1, seed=2)
    problem = NetworkLeastSquares(model, TensorBatches(Samples(x, y)), 1.0)
    before = problem.objective()
    assert problem.objective() == before
    with torch.no_grad():
        model.layer(1).bias += 1.0
    residual = model(x).detach() - y
    assert problem.objective() == pytest.approx(0.5 * float(residual.square().mean()), rel=1e-12)
