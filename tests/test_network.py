import copy

import numpy as np
import pytest
import torch
from torch.func import jacrev, vmap

from knotwork import KAN, LIBRARY, KANLayer, create_dataset
from knotwork.training.parameters import FreeParameters
from networks import mixed_network, normal

F64 = torch.float64


# -- width ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "shown", "sums"),
    [
        ([2, 5, 1], [2, 5, 1], [5, 1]),
        ((2, 5, 1), [2, 5, 1], [5, 1]),
        ([2, (3, 1), 1], [2, (3, 1), 1], [5, 1]),
        ([2, [3, 1], 1], [2, (3, 1), 1], [5, 1]),
        ([2, (3, 0), 1], [2, 3, 1], [3, 1]),
        ([2, (0, 2), 1], [2, (0, 2), 1], [4, 1]),
        ([3, (0, [3]), 1], [3, (0, (3,)), 1], [3, 1]),
        ([3, (1, [2, 4]), (0, [2])], [3, (1, (2, 4)), (0, 1)], [7, 2]),
        ([(2, 0), 1], [2, 1], [1]),
        ([np.int64(2), np.int32(3), 1], [2, 3, 1], [3, 1]),
    ],
)
def test_widths_are_read(width, shown, sums):
    model = KAN(width)
    assert model.width == shown
    assert [model.layer(index).out_features for index in range(model.depth)] == sums
    assert KAN(model.width).width == shown
    assert model(normal(4, model.input_count)).shape == (4, model.output_count)


@pytest.mark.parametrize(
    ("width", "error", "message"),
    [
        (5, TypeError, r"width must be a list such as \[2, 5, 1\]; got 5"),
        ("251", TypeError, "width must be a list"),
        ([2], ValueError, r"at least an input and an output entry, as \[2, 1\]; got \[2\]"),
        ([], ValueError, "at least an input and an output entry"),
        ([2, 0, 1], ValueError, r"width\[1\] must be at least 1; got 0"),
        ([2, -3, 1], ValueError, r"width\[1\] must be at least 1; got -3"),
        ([2, 3.0, 1], TypeError, r"width\[1\] must be a whole number"),
        ([2, True, 1], TypeError, r"width\[1\] must be a whole number"),
        ([2, "3", 1], TypeError, r"width\[1\] must be a whole number"),
        ([2, None, 1], TypeError, r"width\[1\] must be a whole number"),
        ([2, (3,), 1], ValueError, r"width\[1\] must be a whole number or a pair"),
        ([2, (3, 1, 1), 1], ValueError, r"width\[1\] must be a whole number or a pair"),
        ([2, (0, 0), 1], ValueError, r"width\[1\] has no nodes"),
        ([2, (0, []), 1], ValueError, r"width\[1\] has no nodes"),
        ([2, (3, [1]), 1], ValueError, r"width\[1\]\[1\]\[0\] must be at least 2; got 1"),
        ([2, (-1, 2), 1], ValueError, r"width\[1\]\[0\] must be at least 0; got -1"),
        ([2, (3, -1), 1], ValueError, r"width\[1\]\[1\] must be at least 0; got -1"),
        ([(2, 1), 1], ValueError, r"width\[0\] counts the inputs, so it cannot have products"),
    ],
)
def test_widths_that_cannot_be_right_are_told(width, error, message):
    with pytest.raises(error, match=message):
        KAN(width)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"grid": 0}, ValueError, "grid must be at least 1; got 0"),
        ({"k": 6}, ValueError, "k must be from 1 to 5; got 6"),
        ({"seed": -1}, ValueError, "seed must be from 0"),
        ({"seed": 0.5}, TypeError, "seed must be a whole number"),
        ({"seed": 2**70}, ValueError, "seed must be"),
        ({"residual": "cilu"}, ValueError, "residual must be one of .* Did you mean 'silu'"),
        ({"grid_range": (1, -1)}, ValueError, "low < high"),
        ({"grid_range": 2}, ValueError, "grid_range must be a pair"),
        ({"grid_range": (0, torch.inf)}, ValueError, r"grid_range\[1\] must be finite"),
        ({"grid_eps": 1.5}, ValueError, "grid_eps must be from 0 .* to 1"),
        ({"grid_eps": "even"}, TypeError, "grid_eps must be a number"),
        ({"extrapolation": "none"}, ValueError, "extrapolation must be one of"),
        ({"dtype": torch.int64}, TypeError, "dtype must be a floating dtype"),
        ({"dtype": "float32"}, TypeError, "dtype"),
    ],
)
def test_arguments_that_cannot_be_right_are_told(options, error, message):
    with pytest.raises(error, match=message):
        KAN([2, 1], **options)


def test_the_callers_width_is_left_alone():
    width = [2, (1, [2, 2]), 1]
    given = copy.deepcopy(width)
    model = KAN(width)
    model.width[1] = 7
    width[2] = 9
    assert model.width == KAN(given).width
    assert width == [*given[:2], 9]


def test_what_it_is_can_be_read_off():
    model = KAN([2, (3, 1), 4], grid=7, k=2, dtype=torch.float32)
    assert (model.input_count, model.output_count, model.depth) == (2, 4, 2)
    assert (model.grid, model.k) == (7, 2)
    assert (model.dtype, model.device) == (torch.float32, torch.device("cpu"))
    assert model.edge_count() == 2 * 5 + 4 * 4
    assert model.parameter_count() == 26 * (7 + 2 + 1) + 5 + 4
    assert "width=[2, (3, 1), 4], grid=7, k=2" in str(model)
    assert model.dataset is None
    assert model.input_names is None


def test_parameters_and_edges_count_only_what_is_there():
    model = mixed_network()
    absent = 2 + 1 + 3
    symbolic = 3 + 2 + 3
    splines = 3 * 7 + 4 * 3 + 2 * 3 - absent - symbolic
    # sin 3, x^2 2 (its a is redundant), softsign 3, exp 2 (b), x 1, tanh 3 each.
    constants = 3 + 2 + 3 + 2 + 1 + 3 * 3
    assert model.edge_count() == splines + symbolic
    assert model.parameter_count() == splines * (3 + 3 + 1) + constants + 7 + 3 + 3
    assert FreeParameters(model).size == model.parameter_count()


# -- seeds ---------------------------------------------------------------------------------------


def test_a_seed_fixes_the_network_and_global_random_numbers_are_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = KAN([2, 3, 1], seed=5), KAN([2, 3, 1], seed=5), KAN([2, 3, 1], seed=6)
    x = normal(5, 2)
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), other(x))
    first.restart(x, seed=7)
    first.update_grid(x).refine(7).copy()
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_do_not_start_alike():
    model = KAN([3, 3, 3])
    assert not torch.equal(model.layer(0).coefficients, model.layer(1).coefficients)


def test_a_restart_is_fixed_by_its_seed_and_becomes_the_networks():
    x = normal(200, 2)
    first, second = KAN([2, 3, 1], seed=1), KAN([2, 3, 1], seed=2)
    first.restart(x, seed=9)
    second.restart(x, seed=9)
    assert first.seed == second.seed == 9
    assert torch.equal(first(x), second(x))
    second.restart(x, seed=10)
    assert not torch.equal(first(x), second(x))


# -- evaluation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("arities", [[2], [3], [4], [2, 3, 4], [4, 2]])
def test_multiplication_nodes_multiply(arities):
    model = KAN([2, (2, arities), 1])
    x = normal(20, 2)
    sums = model.layer(0)(x)
    columns, start = [sums[:, 0], sums[:, 1]], 2
    for arity in arities:
        product = torch.ones_like(sums[:, 0])
        for member in range(start, start + arity):
            product = product * sums[:, member]
        columns.append(product)
        start += arity
    assert start == sums.shape[1]
    hidden = torch.stack(columns, dim=1)
    torch.testing.assert_close(model(x), model.layer(1)(hidden))


def test_multiplication_nodes_at_the_output():
    model = KAN([2, (1, [2, 3])])
    x = normal(20, 2)
    s = model.layer(0)(x)
    expected = torch.stack([s[:, 0], s[:, 1] * s[:, 2], s[:, 3] * s[:, 4] * s[:, 5]], dim=1)
    torch.testing.assert_close(model(x), expected)
    assert model.output_count == 3


@pytest.mark.parametrize("arity", [2, 3, 4])
def test_slopes_of_products_do_not_divide_by_their_factors(arity):
    nodes = KAN([1, (1, [arity, 2])]).nodes[0]
    sums = normal(6, nodes.subnodes)
    sums[0] = 0.0
    sums[1, 1] = 0.0
    sums[2, 1:3] = 0.0
    expected = vmap(jacrev(nodes.combine))(sums)
    owners = torch.tensor(nodes.owners())
    picked = expected[:, owners, torch.arange(nodes.subnodes)]
    torch.testing.assert_close(nodes.slopes(sums), picked)
    assert int((expected.abs().sum(dim=0) != 0).sum()) == nodes.subnodes


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (3, 0)])
def test_leading_dimensions_are_kept(shape):
    model = mixed_network()
    x = normal(*shape, 3)
    y = model(x)
    assert y.shape == (*shape, 2)
    torch.testing.assert_close(y, model(x.reshape(-1, 3)).reshape(*shape, 2))


def test_trace_shows_what_goes_through_every_layer():
    model = mixed_network()
    x = normal(15, 3)
    traces, outputs = model.trace(x)
    assert torch.equal(outputs, model(x))
    assert torch.equal(traces[0].inputs, x)
    for index, (trace, nodes) in enumerate(zip(traces, model.nodes, strict=True)):
        torch.testing.assert_close(trace.subnodes, model.layer(index)(trace.inputs))
        following = outputs if index == model.depth - 1 else traces[index + 1].inputs
        assert torch.equal(nodes.combine(trace.subnodes), following)


@pytest.mark.parametrize("door", ["forward", "trace", "update_grid"])
def test_inputs_that_do_not_fit_are_told(door):
    model = KAN([2, 3, 1])
    method = getattr(model, door)
    with pytest.raises(ValueError, match=r"shape \(4, 3\), but the network takes 2 inputs"):
        method(normal(4, 3))
    with pytest.raises(ValueError, match=r"shape \(\), but the network takes 2 inputs"):
        method(normal())
    with pytest.raises(TypeError, match=r"use X\.to\(torch\.float64\), or KAN\(\.\.\., dtype="):
        method(normal(4, 2).float())
    with pytest.raises(TypeError, match=r"X is torch\.int64"):
        method(torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="X is on meta, but the network is on cpu"):
        method(normal(4, 2).to("meta"))


def test_restart_checks_its_inputs_too():
    model = KAN([2, 3, 1])
    before = model(normal(4, 2))
    with pytest.raises(ValueError, match="takes 2 inputs"):
        model.restart(normal(4, 3))
    with pytest.raises(TypeError, match=r"X is torch\.float32"):
        model.restart(normal(4, 2).float())
    assert torch.equal(model(normal(4, 2)), before)


@pytest.mark.parametrize("value", [-1e300, 1e300])
def test_an_input_without_edges_does_not_matter_whatever_it_holds(value):
    """After pruning, a column that no formula mentions may well have missing values."""
    model = KAN([2, 2, 1])
    for j in range(2):
        model.layer(0).remove_edge(1, j)
    x = normal(4, 2)
    expected = model(x)
    x[:, 1] = value
    torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("policy", ["linear", "constant", "continue", "zero", "error"])
def test_networks_of_every_extrapolation_can_be_fitted(policy):
    data = create_dataset(lambda x: x[:, 0] * x[:, 1], train_num=300, test_num=50)
    history = KAN([2, 2, 1], extrapolation=policy).fit(data, steps=10)
    assert min(history.train_loss) < history.train_loss[0] / 3


# -- free parameters ------------------------------------------------------------------------------


def test_free_parameters_are_read_and_written_in_one_order():
    model = mixed_network()
    free = FreeParameters(model)
    values = normal(free.size)
    untouched = {name: p.detach().clone() for name, p in model.named_parameters()}
    free.write(values)
    assert torch.equal(free.read(), values)
    # What is not free keeps its value: splines beneath symbols and absent edges, the a of x^2.
    hidden = "layers.0.coefficients"
    assert torch.equal(dict(model.named_parameters())[hidden][0, :, 2], untouched[hidden][0, :, 2])
    assert model.layer(0).constants_at(2, 5)[0] == 1.0


def test_constants_are_found_in_the_vector():
    model = mixed_network()
    free = FreeParameters(model)
    values = free.read()
    first = model.layer(0)
    for position, (i, j) in enumerate(first.symbolic_edges.tolist()):
        for kind, constant in zip("abc", first.constants_at(i, j), strict=True):
            place = free.index_of(0, kind, position)
            assert place is None or float(values[place]) == constant
    assert free.index_of(0, "a", 1) is None
    assert float(values[free.index_of(1, "bias", 2)]) == float(model.layer(1).bias[2].detach())


# -- grids and copies ----------------------------------------------------------------------------


@pytest.mark.parametrize("fitted", [False, True])
def test_refining_gives_an_equal_network(fitted):
    model = KAN([2, (2, 1), 1], grid=3)
    if fitted:
        data = create_dataset(lambda x: torch.exp(x[:, 0]) * x[:, 1], train_num=200, test_num=50)
        model.fit(data, steps=5)
    x = normal(100, 2)
    before = model(x)
    for factor in (1, 2, 5):
        finer = model.refine(3 * factor)
        assert (finer.grid, model.grid) == (3 * factor, 3)
        scale = float(before.detach().abs().max())
        torch.testing.assert_close(finer(x), before, rtol=0, atol=1e-11 * scale)
    assert torch.equal(model(x), before)


def test_refining_by_another_factor_keeps_the_fit():
    data = create_dataset(lambda x: torch.exp(x[:, 0]) * x[:, 1], train_num=300, test_num=50)
    model = KAN([2, 2, 1], grid=3)
    model.fit(data, steps=15)
    x, y = data["train_input"], data["train_label"]
    finer = model.refine(10)
    change = (finer(x) - model(x)).square().mean().sqrt()
    error = (model(x) - y).square().mean().sqrt()
    assert float(change.detach()) < 0.3 * float(error.detach())


def test_updating_the_grid_covers_what_every_layer_sees():
    model = KAN([2, 3, 1], grid=8)
    x = 3 * normal(500, 2) + 5
    assert model.update_grid(x) is model
    for index, trace in enumerate(model.trace(x)[0]):
        layer = model.layer(index)
        low, high = layer.knots[:, layer.k], layer.knots[:, -layer.k - 1]
        slack = 0.1 * (high - low)
        assert bool((trace.inputs >= low - slack).all())
        assert bool((trace.inputs <= high + slack).all())


def test_a_copy_shares_nothing():
    model = mixed_network()
    x = normal(10, 3)
    before = model(x)
    twin = model.copy()
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    twin.update_grid(x)
    twin.layer(0).remove_edge(0, 2)
    assert torch.equal(model(x), before)


def test_single_precision_agrees():
    model = mixed_network()
    x = normal(10, 3)
    expected = model(x)
    single = model.copy().to(torch.float32)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single(x.float()).double(), expected, rtol=1e-3, atol=1e-4)


# -- edges ---------------------------------------------------------------------------------------


def test_edges_can_be_looked_at():
    model = mixed_network()
    x = normal(12, 3)
    symbolic, spline, absent = model[0, 0, 2], model[0, 0, 0], model[0, 1, 2]
    assert [edge.kind for edge in (symbolic, spline, absent)] == ["symbolic", "spline", "absent"]
    assert symbolic.function is LIBRARY["sin"]
    assert symbolic.constants == (2.0, 0.3, -1.5)
    assert spline.function is None
    assert absent.constants is None
    assert repr(symbolic) == "Edge(l=0, i=0, j=2, -1.5 * sin(2 * x + 0.3))"
    assert repr(spline) == "Edge(l=0, i=0, j=0, spline)"
    assert torch.equal(spline.inputs(x), x[:, 0])
    assert spline.range(x) == (float(x[:, 0].min()), float(x[:, 0].max()))
    low, high = spline.knot_range
    assert (low, high) == (-1.0, 1.0)
    for edge in (symbolic, spline, absent):
        whole = model.layer(0).edge_values(x)[:, edge.i, edge.j]
        torch.testing.assert_close(edge.values(x[:, edge.i]), whole.detach())
    inner = model[1, 2, 0]
    assert torch.equal(inner.inputs(x), model.trace(x)[0][1].inputs[:, 2])
    assert (model[-1, -1, -1].l, model[-1, -1, -1].i, model[-1, -1, -1].j) == (2, 1, 2)


def test_an_edge_shows_the_present_state():
    model = KAN([2, 1])
    edge = model[0, 0, 0]
    model.layer(0).remove_edge(0, 0)
    assert edge.kind == "absent"


def test_without_data_an_edge_asks_for_it():
    with pytest.raises(ValueError, match="X is needed: this network has not been fitted"):
        KAN([2, 1])[0, 0, 0].inputs()


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ((2, 0, 0), IndexError, "l is 2, but there are 2 layers: use 0 to 1"),
        ((0, 2, 0), IndexError, "i is 2, but there are 2 inputs of layer 0"),
        ((0, 0, 5), IndexError, "j is 5, but there are 5 outputs of layer 0"),
        ((1, -6, 0), IndexError, "i is -6, but there are 5 inputs of layer 1"),
        ((0, 0.5, 0), TypeError, "i must be a whole number; got 0.5"),
        ((0, 0, True), TypeError, "j must be a whole number"),
        ((0, 0), TypeError, r"model\[l, i, j\]"),
        (0, TypeError, r"model\[l, i, j\]"),
    ],
)
def test_edges_that_are_not_there_are_told(key, error, message):
    with pytest.raises(error, match=message):
        KAN([2, 5, 1])[key]


def test_unfixing_goes_through_the_network_too():
    model = KAN([2, 1])
    x = normal(5, 2)
    before = model(x)
    model.layer(0).set_symbolic(1, 0, LIBRARY["sin"], 1.0, 0.0, 1.0, 0.0)
    assert not torch.equal(model(x), before)
    model.unfix_symbolic(0, 1, 0)
    torch.testing.assert_close(model(x), before)
    with pytest.raises(ValueError, match="not symbolic"):
        model.unfix_symbolic(0, 1, 0)
    with pytest.raises(IndexError, match="l is 1"):
        model.unfix_symbolic(1, 0, 0)


# -- doors ---------------------------------------------------------------------------------------


def test_train_is_fit_given_data_and_the_mode_given_a_bool():
    data = create_dataset(lambda x: x[:, 0] * x[:, 1], train_num=200, test_num=50)
    model = KAN([2, 2, 1])
    assert model.train(False) is model
    assert not model.training
    assert not any(module.training for module in model.modules())
    assert model.train().training
    assert model.eval() is model
    with pytest.raises(TypeError, match="sets the mode and takes no options"):
        model.train(False, steps=3)
    first, second = KAN([2, 2, 1]), KAN([2, 2, 1])
    losses = [first.train(data, steps=3).train_loss, second.fit(data, steps=3).train_loss]
    assert losses[0] == losses[1]
    assert torch.equal(first(data["test_input"]), second(data["test_input"]))


def test_recent_inputs_are_those_of_the_last_fit():
    data = create_dataset(lambda x: x[:, 0] * x[:, 1], train_num=200, test_num=50)
    model = KAN([2, 2, 1])
    model.fit(data, steps=1)
    assert torch.equal(model.inputs_or_recent(None), data["train_input"])
    x = normal(12, 2).requires_grad_()
    given = model.inputs_or_recent(x)
    assert given.shape == (12, 2)
    assert not given.requires_grad


def test_layers_are_what_users_can_build_themselves():
    model = KAN([2, 3, 1], seed=4)
    generator = torch.Generator().manual_seed(4)
    first = KANLayer(2, 3, dtype=F64, generator=generator)
    second = KANLayer(3, 1, dtype=F64, generator=generator)
    x = normal(5, 2)
    assert torch.equal(model(x), torch.nn.Sequential(first, second)(x))
