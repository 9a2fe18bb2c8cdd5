import pytest
import torch
from torch import Tensor

from knotwork import KAN, create_dataset
from knotwork.functions import get
from knotwork.statistics import network_statistics
from knotwork.training.parameters import FreeParameters
from knotwork.training.penalties import (
    DELTA,
    PenaltyWeights,
    QuadraticPenalty,
    roughness,
    sparsity_measure,
    sparsity_penalty,
)


def rows(count: int = 60, inputs: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, inputs, generator=generator, dtype=torch.float64) * 2 - 1


def mixed() -> KAN:
    """A network with spline, symbolic and absent edges and a multiplication node."""
    model = KAN([2, (2, 1), 1], grid=4, seed=2)
    model.layer(0).set_symbolic(0, 1, get("sin"), 2.0, 0.3, 1.5, 0.1)
    model.layer(0).remove_edge(1, 1)
    return model


def penalty_of(model: KAN, weights: PenaltyWeights) -> tuple[QuadraticPenalty, FreeParameters]:
    parameters, statistics = FreeParameters(model), network_statistics(model, rows())
    return QuadraticPenalty.of_statistics(parameters, statistics, weights), parameters


@pytest.mark.parametrize(
    "weights",
    [PenaltyWeights(lamb=0.3), PenaltyWeights(smoothness=0.1), PenaltyWeights(0.2, smoothness=0.5)],
)
def test_quadratic_penalty_has_the_derivatives_of_its_value(weights: PenaltyWeights) -> None:
    penalty, parameters = penalty_of(mixed(), weights)
    size = parameters.size
    at = torch.randn(size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gradient, matrix = torch.zeros(size).double(), torch.zeros(size, size).double()
    penalty.add_to(at, gradient, matrix)
    # A quadratic form: central differences are exact at any step.
    steps = torch.eye(size, dtype=torch.float64)
    slopes = [0.5 * (penalty.value(at + step) - penalty.value(at - step)) for step in steps]
    assert gradient.tolist() == pytest.approx(slopes, rel=1e-8, abs=1e-8 * penalty.value(at))
    assert torch.allclose(matrix @ at, gradient)
    assert torch.equal(matrix, matrix.T)
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-10 * float(matrix.diagonal().max())
    assert penalty.value(at) == pytest.approx(0.5 * float(at @ matrix @ at))


def test_penalty_adds_to_what_is_there_and_only_to_splines() -> None:
    penalty, parameters = penalty_of(mixed(), PenaltyWeights(lamb=1.0))
    size = parameters.size
    gradient, matrix = torch.ones(size).double(), torch.ones(size, size).double()
    penalty.add_to(torch.ones(size).double(), gradient, matrix)
    for part in parameters.parts:
        others = slice(part.offset + part.spline_size, part.offset + part.size)
        assert (gradient[others] == 1).all()
        assert (matrix[others] == 1).all()
        splines = slice(part.offset, part.offset + part.spline_size)
        assert (matrix[splines, splines].diagonal() > 1).any()


def test_sparsity_of_the_present_network_is_what_the_formula_says() -> None:
    model = mixed()
    penalty, parameters = penalty_of(model, PenaltyWeights(lamb=0.7))
    expected = 0.0
    for index, statistics in enumerate(network_statistics(model, rows())):
        squares = statistics.relative_spread[model.layer(index).spline_mask].square()
        expected += 0.5 * 0.7 * float((squares / (squares + DELTA**2)).sum())
    assert penalty.value(parameters.read()) == pytest.approx(expected)


def test_weights_of_the_penalty_are_slopes_of_the_measure() -> None:
    # d/ds^2 of lamb * log(1 + s^2/delta^2) is lamb / (s^2 + delta^2).
    model, weights = KAN([1, 1], seed=4), PenaltyWeights(lamb=0.5)
    statistics = network_statistics(model, rows(inputs=1))
    square = float(statistics[0].relative_spread[0, 0] ** 2)
    expected = 0.5 * torch.log1p(torch.tensor(square / DELTA**2)).item()
    assert sparsity_measure(statistics, weights) == pytest.approx(expected)


@pytest.mark.parametrize("k", [2, 3])
def test_roughness_is_zero_for_polynomials_of_the_order_only(k: int) -> None:
    model = KAN([1, 1], grid=7, k=k, grid_range=(-2, 3), residual=None)
    layer = model.layer(0)
    part = FreeParameters(model).parts[0]
    x = torch.linspace(-2, 3, 200, dtype=torch.float64)[:, None]
    basis = layer.feature_values(x)[:, 0]
    form = roughness(part, torch.ones(1, dtype=torch.float64))[0]
    size = float(form.diagonal().max())
    for degree in range(k + 3):
        weights = torch.linalg.lstsq(basis, x**degree).solution[:, 0]
        value = float(weights @ form @ weights) / size / float(weights.square().sum())
        if degree <= k:
            assert abs(value) < 1e-15
        else:
            assert value > 1e-9


def test_roughness_ignores_the_residual_and_scales_with_the_node() -> None:
    model = KAN([1, 1], grid=5)
    part = FreeParameters(model).parts[0]
    one, two = (roughness(part, torch.tensor([s], dtype=torch.float64)) for s in (1.0, 2.0))
    assert not one[0, -1].any()
    assert torch.allclose(one, 4 * two)
    assert not roughness(FreeParameters(KAN([1, 1], grid=1)).parts[0], part.layer.bias + 1).any()


@pytest.mark.parametrize(
    "weights",
    [
        PenaltyWeights(lamb=0.3, l1=1.0, entropy=0.0),
        PenaltyWeights(lamb=0.3, l1=0.0, entropy=2.0),
        PenaltyWeights(lamb=1.0, l1=0.0, entropy=0.0, coefficients=0.5, differences=0.25),
    ],
)
def test_gradient_of_the_sparsity_penalty(weights: PenaltyWeights) -> None:
    model, x = mixed(), rows(12)
    names = [name for name, _ in model.named_parameters()]

    def penalty(*values: Tensor) -> Tensor:
        for name, value in zip(names, values, strict=True):
            path, _, leaf = name.rpartition(".")
            module = model.get_submodule(path)
            delattr(module, leaf)
            setattr(module, leaf, value)
        return sparsity_penalty(model, x, weights)[0]

    values = tuple(p.detach().clone().requires_grad_() for p in model.parameters())
    assert torch.autograd.gradcheck(penalty, values)


def test_outputs_come_with_the_penalty() -> None:
    model, x = mixed(), rows()
    _, outputs = sparsity_penalty(model, x, PenaltyWeights(lamb=1.0))
    assert torch.allclose(outputs, model(x), atol=1e-14)


@pytest.mark.parametrize("edge", ["zero spline", "constant symbol", "absent"])
def test_gradients_stay_finite_at_dead_edges_and_nodes(edge: str) -> None:
    model, x = KAN([2, 2, 1]), rows()
    with torch.no_grad():
        for i in (0, 1):
            if edge == "zero spline":
                model.layer(0).coefficients[i, :, 0] = 0
                model.layer(0).residual_weight[i, 0] = 0
            elif edge == "constant symbol":
                model.layer(0).set_symbolic(i, 0, get("sin"), 1.0, 0.0, 0.0, 0.0)
            else:
                model.layer(0).remove_edge(i, 0)
    weights = PenaltyWeights(lamb=1.0, coefficients=1.0, differences=1.0)
    penalty, outputs = sparsity_penalty(model, x, weights)
    (penalty + outputs.square().sum()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) > 3
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_statistics_are_those_of_the_samples() -> None:
    model, x = mixed(), rows(200)
    traces, _ = model.trace(x)
    for index, statistics in enumerate(network_statistics(model, x)):
        layer, trace = model.layer(index), traces[index]
        values = layer.edge_values(trace.inputs).detach()
        assert torch.allclose(statistics.edge_mean, values.mean(dim=0), atol=1e-12)
        spread = values.std(dim=0, correction=0)
        assert torch.allclose(statistics.edge_spread, spread, rtol=1e-9, atol=1e-12)
        assert torch.allclose(statistics.node_mean, trace.subnodes.mean(dim=0), atol=1e-12)
        assert torch.allclose(statistics.node_spread, trace.subnodes.std(dim=0, correction=0))
        assert torch.allclose(statistics.input_low, trace.inputs.amin(dim=0), atol=1e-12)
        assert torch.allclose(statistics.input_high, trace.inputs.amax(dim=0), atol=1e-12)


def test_statistics_far_from_the_origin() -> None:
    # The mean is a million spreads away: the variance must not drown in rounding.
    model, x = KAN([1, 1]), rows(300, 1) + 1e6
    model.update_grid(x)
    with torch.no_grad():
        model.layer(0).bias += 1e6
    values = model.layer(0).edge_values(x).detach()[:, 0, 0]
    statistics = network_statistics(model, x)[0]
    expected = float(values.std(correction=0))
    assert float(statistics.edge_spread[0, 0]) == pytest.approx(expected, rel=1e-3)


def test_sparsity_finds_the_few_edges_of_the_article_function() -> None:
    data = create_dataset(
        lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2),
        train_num=400, test_num=100,
    )  # fmt: skip
    counts = []
    for seed in (2, 4):
        model = KAN([2, 5, 1], grid=6, seed=seed)
        model.fit(data, steps=20, smoothness=0)
        for lamb in (1e-4, 3e-4, 1e-3):
            model.fit(data, steps=25, lamb=lamb)
        pruned = model.prune(0.05, 0.05)
        history = pruned.fit(data, steps=20)
        assert history.test_loss[-1] < 0.05
        counts.append(pruned.edge_count())
    # Of 15; the formula needs 3.
    assert max(counts) <= 7
    assert min(counts) <= 4
