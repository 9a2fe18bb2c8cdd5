import math
import statistics

import pytest
import torch
from torch.nn import functional

from knotwork import KAN, create_dataset
from knotwork.mlp import ACTIVATIONS, MLP


@pytest.fixture(scope="module")
def data():
    return create_dataset(
        lambda x: torch.sin(3 * x[:, 0]) + x[:, 1] ** 2, n_var=2, train_num=300, test_num=100
    )


def test_it_computes_what_its_weights_say():
    model = MLP([2, 4, 3], activation="tanh", seed=2)
    x = torch.randn(5, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = model.layer(0), model.layer(1)
    hidden = torch.tanh(x @ first.weight.T + first.bias)
    torch.testing.assert_close(model(x), hidden @ second.weight.T + second.bias)
    assert model(x).shape == (5, 6, 3)


def test_without_a_hidden_layer_it_is_linear():
    model = MLP([3, 2])
    x = torch.eye(3, dtype=torch.float64)
    expected = functional.linear(x, model.layer(0).weight, model.layer(0).bias)
    assert torch.equal(model(x), expected)


def test_parameters_are_counted():
    assert MLP([2, 5, 3]).parameter_count() == 2 * 5 + 5 + 5 * 3 + 3


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_sums_keep_their_size_through_depth(activation):
    x = torch.randn(500, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    last = [
        float(MLP([64] * 9, activation=activation, seed=seed)(x).square().mean().detach())
        for seed in range(5)
    ]
    assert 1 / 3 < statistics.median(last) < 3


def test_the_start_is_he_s_for_relu_and_lecun_s_before_it():
    model = MLP([400, 500, 300], activation="relu")
    for layer, variance in ((model.layer(0), 1 / 400), (model.layer(1), 2 / 500)):
        assert float(layer.weight.detach().var()) == pytest.approx(variance, rel=0.02)
        assert float(layer.bias.detach().abs().max()) <= 1 / math.sqrt(layer.in_features)


def test_a_seed_fixes_the_start_and_global_random_numbers_are_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = MLP([2, 4, 1], seed=3), MLP([2, 4, 1], seed=3), MLP([2, 4, 1], seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    x = torch.ones(1, 2, dtype=torch.float64)
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), other(x))


def test_a_seed_means_the_same_start_in_every_precision():
    double, single = MLP([2, 4, 1]), MLP([2, 4, 1], dtype=torch.float32)
    assert torch.equal(double.layer(0).weight.float(), single.layer(0).weight)


def test_the_width_is_copied():
    width = [2, 4, 1]
    model = MLP(width)
    width[1] = 9
    assert model.width == [2, 4, 1]
    assert (model.input_count, model.output_count) == (2, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 3}, TypeError, r"width must be a list such as \[2, 32, 1\]; got 3"),
        ({"width": "231"}, TypeError, "width must be a list"),
        ({"width": [2]}, ValueError, "at least an input and an output entry"),
        ({"width": [2, 0, 1]}, ValueError, r"width\[1\] must be at least 1; got 0"),
        ({"width": [2, (3, 1), 1]}, TypeError, r"width\[1\] must be a whole number"),
        ({"activation": "sulu"}, ValueError, "activation must be one of .* Did you mean 'silu'"),
        ({"seed": -1}, ValueError, "seed must be from 0"),
        ({"seed": 2**63}, ValueError, "seed must be from 0"),
        ({"dtype": torch.int64}, TypeError, "dtype must be a floating dtype of torch"),
        ({"dtype": "float32"}, TypeError, "dtype must be a floating dtype of torch"),
        ({"device": "tape"}, ValueError, "device 'tape' cannot be used here"),
    ],
)
def test_arguments_that_cannot_be_right_are_told(options, error, message):
    with pytest.raises(error, match=message):
        MLP(**{"width": [2, 3, 1], **options})


def test_inputs_that_do_not_fit_are_told():
    model = MLP([2, 3, 1])
    with pytest.raises(ValueError, match=r"shape \(4, 3\), but the network takes 2 inputs"):
        model(torch.zeros(4, 3, dtype=torch.float64))
    with pytest.raises(TypeError, match=r"use X\.to\(torch\.float64\), or MLP\(\.\.\., dtype="):
        model(torch.zeros(4, 2, dtype=torch.float32))
    with pytest.raises(ValueError, match="X is on meta, but the network is on cpu"):
        model(torch.zeros(4, 2, dtype=torch.float64, device="meta"))


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({"opt": "LM", "steps": 40}, 5e-3),
        ({"opt": "LBFGS", "steps": 15}, 3e-2),
        ({"opt": "Adam", "steps": 1500, "lr": 2e-2}, 5e-2),
    ],
    ids=["LM", "LBFGS", "Adam"],
)
@pytest.mark.parametrize("activation", ["silu", "tanh"])
def test_every_method_fits(data, activation, options, bound):
    model = MLP([2, 10, 1], activation=activation)
    history = model.fit(data, **options)
    best = history.steps.index(history.best_step)
    assert history.train_loss[best] < bound < history.train_loss[0] / 5
    error = model(data["test_input"]) - data["test_label"]
    rmse = float(error.square().mean().sqrt().detach())
    assert rmse == pytest.approx(history.test_loss[best], rel=1e-6)
    assert rmse < 2 * bound


def test_single_precision_fits_by_least_squares_too(data):
    model = MLP([2, 10, 1], dtype=torch.float32)
    single = {name: value.float() for name, value in data.items()}
    history = model.fit(single, opt="LM", steps=30)
    assert model.dtype == torch.float32
    assert min(history.train_loss) < 1e-2


def test_several_outputs_fit():
    data = create_dataset(
        lambda x: torch.stack([x[:, 0] * x[:, 1], x[:, 0] ** 2], dim=1), train_num=200, test_num=50
    )
    history = MLP([2, 10, 2]).fit(data, steps=40)
    assert min(history.test_loss) < 1e-2


def test_train_is_fit_given_data_and_the_mode_given_a_bool(data):
    model = MLP([2, 4, 1])
    assert model.train(False) is model
    assert not model.training
    assert model.train().training
    assert model.eval() is model
    first, second = MLP([2, 4, 1]), MLP([2, 4, 1])
    assert first.train(data, steps=3).train_loss == second.fit(data, steps=3).train_loss
    with pytest.raises(TypeError, match="takes no options"):
        model.train(True, steps=3)


def test_it_starts_without_data_and_has_the_doors_of_a_kan():
    model = MLP([2, 3, 1])
    assert model.dataset is None
    assert model.input_names is None
    assert model.output_names is None
    for name in ("fit", "train", "save", "parameter_count", "dtype", "device", "width"):
        assert hasattr(model, name)
        assert hasattr(KAN, name)


def test_sparsity_is_refused(data):
    with pytest.raises(ValueError, match="lamb penalises the edges of a KAN"):
        MLP([2, 3, 1]).fit(data, lamb=1e-3)
