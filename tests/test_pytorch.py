"""Networks and layers in programs of PyTorch's own kind: autocast, compiling, exporting, skorch."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from knotwork import KAN, LIBRARY, KANLayer
from networks import mixed_network, normal

HALVES = [torch.bfloat16, torch.float16]


def layer_of(inputs=3, outputs=2, **options):
    return KANLayer(inputs, outputs, generator=torch.Generator().manual_seed(0), **options)


# -- autocast ------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 0, 3)])
def test_autocast_is_that_of_linear(shape, given, half):
    layer, linear = layer_of(), nn.Linear(3, 2)
    layer.set_symbolic(0, 1, LIBRARY["sin"], 1.0, 0.0, 1.0, 0.0)
    x = normal(*shape).to(given).requires_grad_()
    with torch.autocast("cpu", half):
        y = layer(x)
        assert y.dtype == linear(x).dtype == half
        assert y.shape == linear(x).shape
    # Computed in float32 and rounded once.
    assert torch.equal(y, layer(x.float()).to(half))
    y.float().square().sum().backward()
    assert x.grad.dtype == given
    expected = torch.autograd.grad(layer(x.float()).square().sum(), layer.coefficients)[0]
    assert layer.coefficients.grad.dtype == torch.float32
    torch.testing.assert_close(layer.coefficients.grad, expected, rtol=0.02, atol=0.02)


def test_a_step_of_training_under_autocast_lowers_the_loss():
    model = nn.Sequential(layer_of(2, 4), layer_of(4, 1))
    x = normal(100, 2).float()
    y = (x[:, :1] * x[:, 1:]).tanh()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.mse_loss(model(x).float(), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_float64_is_left_alone_by_autocast():
    layer, x = layer_of(dtype=torch.float64), normal(4, 3)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), expected)
        assert KAN([3, 2])(x).dtype == torch.float64
        with pytest.raises(TypeError, match=r"X is torch.bfloat16, but the layer is torch.float64"):
            layer(x.bfloat16())
        with pytest.raises(TypeError, match=r"X is torch.float16, but the network is torch.float6"):
            KAN([3, 2])(x.half())


@pytest.mark.parametrize("half", HALVES)
def test_networks_take_half_precision_under_autocast_and_only_there(half):
    model = mixed_network(dtype=torch.float32)
    x = normal(6, 3).to(half)
    with torch.autocast("cpu", half):
        y = model(x)
    assert y.dtype == half
    assert bool(y.isfinite().all())
    for network, called in ((model, "network"), (model.layer(0), "layer")):
        message = rf"X is {half}, but the {called} is torch.float32: use X.to\(torch.float32\)"
        with pytest.raises(TypeError, match=message):
            network(x)
        with torch.autocast("cpu", half, enabled=False), pytest.raises(TypeError, match=message):
            network(x)


# -- compiling and exporting ---------------------------------------------------------------------


def test_a_whole_network_is_exported_for_any_number_of_rows():
    model = mixed_network(dtype=torch.float32)
    rows = torch.export.Dim("rows")
    program = torch.export.export(model, (normal(4, 3).float(),), dynamic_shapes=({0: rows},))
    for count in (2, 4, 11):
        x = normal(count, 3, seed=count).float()
        torch.testing.assert_close(program.module()(x), model(x))


def test_a_whole_network_is_compiled_without_a_break():
    model = mixed_network(dtype=torch.float32)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (5, 9):
        x = normal(count, 3, seed=count).float().requires_grad_()
        torch.testing.assert_close(compiled(x), model(x))
        (found,) = torch.autograd.grad(compiled(x).square().sum(), x)
        (expected,) = torch.autograd.grad(model(x).square().sum(), x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# Of torch's own code, when it loads its compiler.
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@torch.no_grad()
def test_the_default_compiler_takes_splines_and_functions():
    layer, x = layer_of(2, 1), normal(5, 2).float()
    layer.set_symbolic(0, 0, LIBRARY["sin"], 1.0, 0.0, 1.0, 0.0)
    compiled = torch.compile(layer, fullgraph=True, options={"compile_threads": 1})
    torch.testing.assert_close(compiled(x), layer(x))


def test_compiling_under_autocast_gives_the_same():
    layer, x = layer_of(), normal(5, 3).float()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(compiled(x), layer(x))


# -- parameters that others go through -----------------------------------------------------------


def test_every_parameter_that_asks_for_a_gradient_gets_one():
    # DistributedDataParallel waits for each of them.
    layer, x = layer_of(), normal(4, 3).float()

    def without_gradient():
        layer.zero_grad()
        layer(x).sum().backward()
        return [n for n, p in layer.named_parameters() if p.requires_grad and p.grad is None]

    assert without_gradient() == []
    layer.set_symbolic(0, 1, LIBRARY["sin"], 1.0, 0.0, 1.0, 0.0)
    assert layer.affine.requires_grad
    assert without_gradient() == []
    layer.load_state_dict(layer_of().state_dict())
    assert without_gradient() == []


def test_an_ensemble_is_evaluated_at_once():
    members = [layer_of(grid_range=(-end, end)) for end in (1.0, 2.0, 3.0)]
    parameters, buffers = torch.func.stack_module_state(members)
    x = normal(5, 3).float()

    def evaluate(*state):
        return torch.func.functional_call(members[0], state, (x,))

    together = torch.func.vmap(evaluate)(parameters, buffers)
    torch.testing.assert_close(together, torch.stack([member(x) for member in members]))


# -- skorch --------------------------------------------------------------------------------------


def test_a_layer_made_without_memory_takes_a_saved_state():
    saved = KANLayer(3, 4, generator=torch.Generator().manual_seed(1))
    layer = KANLayer(3, 4, device="meta").to_empty(device="cpu")
    layer.load_state_dict(saved.state_dict())
    x = normal(5, 3).float()
    assert torch.equal(layer(x), saved(x))


def test_skorch_searches_over_networks_in_a_pipeline():
    skorch = pytest.importorskip("skorch")
    x = normal(120, 2).float().numpy() * np.float32(30) + np.float32(100)
    y = np.sin((x[:, :1] - 100) / 20)
    regressor = skorch.NeuralNetRegressor(
        KAN,
        module__width=[2, 1],
        module__dtype=torch.float32,
        optimizer=torch.optim.Adam,
        lr=0.05,
        max_epochs=30,
        train_split=None,
        verbose=0,
    )
    pipeline = make_pipeline(StandardScaler(), regressor)
    choices = {"neuralnetregressor__module__grid": [3, 5]}
    search = GridSearchCV(pipeline, choices, cv=2).fit(x, y)
    assert search.best_params_.keys() == choices.keys()
    assert search.score(x, y) > 0.9
    assert search.predict(x).shape == (120, 1)
    network = search.best_estimator_[-1].module_
    assert isinstance(network, KAN)
    assert network.grid == search.best_params_["neuralnetregressor__module__grid"]
