import math

import pytest
import torch
from torch import Tensor

from knotwork import KAN, create_dataset
from knotwork.data import Samples
from knotwork.statistics import LayerStatistics, network_statistics
from knotwork.training.batches import TensorBatches
from knotwork.training.least_squares import NetworkLeastSquares
from knotwork.training.smoothing import choose_smoothness

FEW_ROWS = pytest.mark.filterwarnings("ignore:the network has .* parameters")


def wave(x: Tensor) -> Tensor:
    return torch.sin(3 * x[:, [0]])


@torch.no_grad()
def rmse(model: KAN, data: dict[str, Tensor], part: str = "test") -> float:
    """Return the error on rows inside the range of the training rows."""
    x, y = data[f"{part}_input"], data[f"{part}_label"]
    low, high = data["train_input"].amin(dim=0), data["train_input"].amax(dim=0)
    rows = ((x >= low) & (x <= high)).all(dim=1)
    return float((model(x[rows]) - y[rows]).square().mean().sqrt())


@pytest.mark.parametrize("seed", range(2))
def test_fine_grids_do_not_follow_noise(seed: int) -> None:
    data = create_dataset(wave, 1, train_num=300, test_num=300, noise=0.3, seed=seed)
    truth = dict(data, test_label=wave(data["test_input"]))
    errors = {}
    for smoothness in (None, 0.0):
        model = KAN([1, 1], grid=100, seed=seed)
        model.fit(data, steps=20, smoothness=smoothness)
        errors[smoothness] = rmse(model, truth)
    assert errors[None] < 0.4 * errors[0.0]
    assert errors[None] < 0.08


def test_clean_data_stay_accurate_on_fine_grids() -> None:
    data = create_dataset(wave, 1, train_num=300, test_num=300)
    model = KAN([1, 1], grid=100)
    model.fit(data, steps=20)
    assert rmse(model, data) < 1e-7


@FEW_ROWS
@pytest.mark.parametrize("rows", [12, 40])
def test_more_coefficients_than_rows(rows: int) -> None:
    data = create_dataset(wave, 1, train_num=rows, test_num=200)
    model = KAN([1, 1], grid=60)
    model.fit(data, steps=20)
    assert rmse(model, data) < 0.1


def test_refinement_lowers_the_error_on_new_rows() -> None:
    data = create_dataset(
        lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2),
        train_num=1000, test_num=500,
    )  # fmt: skip
    model = KAN([2, 1, 1], grid=5)
    model.fit(data, steps=30)
    errors = [rmse(model, data)]
    for grid in (10, 20, 50):
        model = model.refine(grid)
        model.fit(data, steps=15)
        errors.append(rmse(model, data))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < 1e-2
    assert errors[-1] < 1e-5


def test_refining_and_fitting_on_does_not_raise_the_training_loss() -> None:
    data = create_dataset(lambda x: torch.exp(x[:, [0]] * x[:, [1]]), train_num=300, test_num=50)
    model = KAN([2, 2, 1], grid=4)
    model.fit(data, steps=20)
    for grid in (8, 11):
        before = rmse(model, data, "train")
        model = model.refine(grid)
        history = model.fit(data, steps=10)
        assert history.train_loss[0] < 1.05 * before
        assert rmse(model, data, "train") <= history.train_loss[0] * (1 + 1e-9)


@FEW_ROWS
def test_smoothness_that_is_asked_for_has_an_effect() -> None:
    data = create_dataset(wave, 1, train_num=30, test_num=200)
    errors = []
    for smoothness in (0.0, 1e-8):
        model = KAN([1, 1], grid=60)
        model.fit(data, steps=20, smoothness=smoothness)
        errors.append(rmse(model, data))
    assert errors[1] < 0.1 < errors[0]


def problem(noise: float, grid: int) -> tuple[NetworkLeastSquares, list[LayerStatistics]]:
    data = create_dataset(wave, 1, train_num=300, test_num=2, noise=noise)
    model = KAN([1, 1], grid=grid)
    model.fit(data, steps=8, smoothness=0)
    samples = Samples(data["train_input"], data["train_label"])
    squares = NetworkLeastSquares(model, TensorBatches(samples), 0.5)
    return squares, network_statistics(model, samples.inputs)


def test_noise_asks_for_more_smoothness_than_clean_data() -> None:
    strengths = [choose_smoothness(*problem(noise, 60)).strength for noise in (0.0, 0.01, 0.3)]
    assert 0 < 100 * strengths[0] < strengths[1]
    # In theory it grows as noise**(16 / 9), here by a factor of 400.
    assert 10 * strengths[1] < strengths[2]
    assert all(math.isfinite(strength) for strength in strengths)


def test_choosing_leaves_the_network_alone_and_repeats_itself() -> None:
    squares, statistics = problem(0.1, 30)
    before = squares.read()
    first = choose_smoothness(squares, statistics).strength
    assert choose_smoothness(squares, statistics).strength == first
    assert torch.equal(squares.read(), before)


def test_one_interval_has_nothing_to_smooth() -> None:
    assert choose_smoothness(*problem(0.1, 1)).strength == 0.0
