import math

import pytest
import torch
from torch import Tensor

from knotwork import KAN
from knotwork.data import Samples
from knotwork.functions import get
from knotwork.symbolic.rounding import EXACT, round_constants
from knotwork.training.polish import relative_loss


def rows(count: int = 300, inputs: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, inputs, generator=generator, dtype=torch.float64) * 2 - 1


def noise(count: int = 300, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, generator=generator, dtype=torch.float64)


def article(a: float = math.pi, c: float = 1.0) -> KAN:
    """exp(sin(a x_1) + c x_2^2)."""
    model = KAN([2, 1, 1])
    model.layer(0).set_symbolic(0, 0, get("sin"), a, 0.0, 1.0, 0.0)
    model.layer(0).set_symbolic(1, 0, get("x^2"), 1.0, 0.0, c, 0.0)
    model.layer(1).set_symbolic(0, 0, get("exp"), 1.0, 0.0, 1.0, 0.0)
    return model


@torch.no_grad()
def samples(model: KAN, relative_noise: float = 0.0) -> Samples:
    x = rows()
    y = model(x)
    return Samples(x, y + relative_noise * y.std() * noise())


@torch.no_grad()
def disturbed(model: KAN, size: float) -> KAN:
    for index in range(model.depth):
        layer = model.layer(index)
        layer.affine *= 1 + size * torch.linspace(-1, 1, layer.affine.numel()).view_as(layer.affine)
        layer.bias += size
    return model


def test_exact_data_give_exact_constants() -> None:
    data = samples(article())
    model = disturbed(article(), 1e-5)
    loss = round_constants(model, data)
    assert loss <= EXACT
    assert model[0, 0, 0].constants == (math.pi, 0.0, 1.0)
    assert model[0, 1, 0].constants == (1.0, 0.0, 1.0)
    assert model[1, 0, 0].constants == (1.0, 0.0, 1.0)
    assert [model.layer(index).bias.item() for index in range(2)] == [0.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_noisy_data_keep_nice_constants_and_never_fit_worse(seed: int) -> None:
    clean = samples(article())
    data = Samples(clean.inputs, clean.targets + 0.01 * clean.targets.std() * noise(seed=seed))
    truth = relative_loss(article(), data)
    model = disturbed(article(), 1e-3)
    loss = round_constants(model, data)
    assert loss == pytest.approx(relative_loss(model, data), rel=1e-9)
    assert loss <= truth * 1.05
    assert model[0, 0, 0].constants[0] == pytest.approx(math.pi, abs=0.01)


def test_constants_that_are_not_nice_stay() -> None:
    truth = article(2.7345678, 1.2345678)
    data = samples(truth)
    model = disturbed(truth.copy(), 1e-6)
    loss = round_constants(model, data)
    assert loss <= EXACT
    assert model[0, 0, 0].constants[0] == pytest.approx(2.7345678, rel=1e-9)
    assert model[0, 1, 0].constants[2] == pytest.approx(1.2345678, rel=1e-9)


def test_noise_does_not_turn_nearly_nice_into_nice_where_data_say_otherwise() -> None:
    data = samples(article(3.0), 1e-3)
    model = disturbed(article(3.0), 1e-3)
    round_constants(model, data)
    assert model[0, 0, 0].constants[0] == pytest.approx(3.0, abs=1e-3)
    data = samples(article(3.05), 1e-3)
    model = disturbed(article(3.05), 1e-4)
    round_constants(model, data)
    assert model[0, 0, 0].constants[0] == pytest.approx(3.05, abs=2e-3)


def test_weights_are_looked_at() -> None:
    data = samples(article())
    targets, weights = data.targets.clone(), torch.ones(300, dtype=torch.float64)
    targets[:100] += 1.0
    weights[:100] = 0
    model = disturbed(article(), 1e-5)
    round_constants(model, Samples(data.inputs, targets, weights))
    assert model[0, 0, 0].constants == (math.pi, 0.0, 1.0)


def test_products_are_rounded_too() -> None:
    truth = KAN([2, (0, 1), 1])
    truth.layer(0).set_symbolic(0, 0, get("x"), 1.0, 0.0, 1.0, 0.0)
    truth.layer(0).set_symbolic(1, 1, get("x"), 1.0, 0.0, 1.0, 0.0)
    for edge in [(0, 1), (1, 0)]:
        truth.layer(0).remove_edge(*edge)
    truth.layer(1).set_symbolic(0, 0, get("x"), 1.0, 0.0, 1.5, 0.25)
    data = samples(truth)
    model = disturbed(truth.copy(), 1e-3)
    assert round_constants(model, data) <= EXACT
    values = [
        v for layer in model.layers for v in layer.affine[:, 2].tolist() + layer.bias.tolist()
    ]
    assert [4 * value for value in values] == pytest.approx([round(4 * v) for v in values])
