import dataclasses
import math

import pytest
import torch

from knotwork import KAN, create_dataset
from knotwork.compare import Comparison, Result, compare
from knotwork.mlp import MLP


@pytest.fixture(scope="module")
def data():
    return create_dataset(lambda x: x[:, 0] * x[:, 1], train_num=200, test_num=50)


def rmse(model, X, y):
    return float((model(X) - y).square().mean().sqrt().detach())


def test_losses_are_those_of_the_networks_after_their_fits(data):
    models = {"KAN": KAN([2, 2, 1]), "MLP": MLP([2, 16, 1])}
    comparison = compare(models, data, steps=8)
    assert comparison.metric == "RMSE"
    assert [result.name for result in comparison.results] == ["KAN", "MLP"]
    for result, model in zip(comparison.results, models.values(), strict=True):
        train = rmse(model, data["train_input"], data["train_label"])
        test = rmse(model, data["test_input"], data["test_label"])
        assert result.train_loss == pytest.approx(train, rel=1e-9)
        assert result.test_loss == pytest.approx(test, rel=1e-9)
        assert result.parameters == model.parameter_count()
        assert result.seconds > 0


def test_without_test_rows_the_test_loss_is_nan(data):
    rows = (data["train_input"], data["train_label"])
    (result,) = compare({"MLP": MLP([2, 4, 1])}, rows, opt="Adam", steps=3).results
    assert math.isnan(result.test_loss)


def test_other_losses_name_their_metric(data):
    comparison = compare({"MLP": MLP([2, 4, 1])}, data, loss="huber", steps=1)
    assert comparison.metric == "Huber loss"
    assert "train Huber loss" in str(comparison)


def test_any_module_with_counts_can_be_compared(data):
    class Plane(torch.nn.Linear):
        input_count, output_count = 2, 1
        dtype, device = torch.float64, torch.device("cpu")

    comparison = compare({"plane": Plane(2, 1, dtype=torch.float64)}, data, opt="LM", steps=2)
    assert comparison.results[0].parameters == 3


def test_it_prints_as_an_aligned_table():
    comparison = Comparison(
        "RMSE",
        (
            Result("KAN [2, 5, 1]", 85, 1.23456e-5, 2e-5, 0.5),
            Result("MLP", 12345, 0.1, float("nan"), 120.0),
        ),
    )
    assert str(comparison).splitlines() == [
        "               parameters  train RMSE  test RMSE  seconds",
        "KAN [2, 5, 1]          85    1.23e-05      2e-05     0.50",
        "MLP                12,345         0.1        nan   120.00",
    ]


def test_results_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Result("a", 1, 0.1, 0.1, 1.0).name = "b"  # pyright: ignore[reportAttributeAccessIssue]


def test_no_models_are_told(data):
    with pytest.raises(ValueError, match="models is empty"):
        compare({}, data)
