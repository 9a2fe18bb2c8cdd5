import math
from typing import Any

import pytest
import torch
from torch import Tensor

from knotwork import KAN, create_dataset
from knotwork.functions import get

DEAD = 1e-3


def rows(inputs: int = 2, count: int = 200) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, inputs, generator=generator, dtype=torch.float64) * 2 - 1


@torch.no_grad()
def set_line(model: KAN, l: int, i: int, j: int, slope: float, constant: float = 0.0) -> None:
    """Make a spline edge ``slope * x + constant``."""
    layer = model.layer(l)
    x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None].expand(-1, layer.in_features)
    basis = layer.feature_values(x)[:, i, : layer.coefficients.shape[1]]
    target = slope * x[:, [i]] + constant
    layer.coefficients[i, :, j] = torch.linalg.lstsq(basis, target).solution[:, 0]
    if layer.residual_weight is not None:
        layer.residual_weight[i, j] = 0


@torch.no_grad()
def change(before: KAN, after: KAN, x: Tensor) -> float:
    return float((before(x) - after(x)).abs().max())


# -- attribution ---------------------------------------------------------------------------------


def test_attribution_of_a_sum_of_lines() -> None:
    model, x = KAN([2, 1]), rows()
    set_line(model, 0, 0, 0, 3.0)
    set_line(model, 0, 1, 0, 4.0, 7.0)
    score = model.attribute(x)
    spread = x.std(dim=0, correction=0) * torch.tensor([3.0, 4.0])
    expected = spread / model(x).detach().std(correction=0)
    assert torch.allclose(score.inputs, expected)
    assert torch.allclose(score.edges[0][:, 0], expected)
    assert torch.equal(score.nodes[0], score.inputs)
    assert score.nodes[1].tolist() == [1.0]


def test_attribution_flows_through_hidden_nodes() -> None:
    model, x = KAN([2, 2, 1]), rows()
    for i, slopes in enumerate([(0.5, 0.0), (0.0, 0.5)]):
        for j, slope in enumerate(slopes):
            set_line(model, 0, i, j, slope)
    set_line(model, 1, 0, 0, 1.0)
    set_line(model, 1, 1, 0, 0.1)
    score = model.attribute(x)
    # Each node has one edge, so the inputs score what their nodes do.
    assert torch.allclose(score.inputs, score.nodes[1])
    assert 8 < float(score.nodes[1][0] / score.nodes[1][1]) < 12
    assert score.edges[0][0, 1] == pytest.approx(0.0, abs=1e-9)


def test_attribution_through_multiplication() -> None:
    model, x = KAN([3, (0, 1), 1]), rows(3)
    for i in range(3):
        for j in range(2):
            set_line(model, 0, i, j, 1.0 if i == j else 0.0)
    set_line(model, 1, 0, 0, 1.0)
    score = model.attribute(x)
    assert score.inputs.tolist() == pytest.approx([1.0, 1.0, 0.0], abs=1e-6)
    assert score.nodes[1].shape == (1,)
    assert score.edges[0].shape == (3, 2)


def test_scores_of_several_outputs_add_up() -> None:
    model, x = KAN([2, 2]), rows()
    for i, slopes in enumerate([(1.0, 1.0), (0.0, 0.0)]):
        for j, slope in enumerate(slopes):
            set_line(model, 0, i, j, slope)
    assert model.attribute(x).inputs.tolist() == pytest.approx([2.0, 0.0], abs=1e-6)


def test_attribution_uses_the_last_data_and_needs_some() -> None:
    data = create_dataset(lambda x: x[:, 0] ** 2, 2, train_num=100, test_num=10)
    model = KAN([2, 2, 1])
    with pytest.raises(ValueError, match="X is needed"):
        model.attribute()
    model.fit(data, steps=30, lamb=1e-3)
    scores = model.attribute()
    assert torch.equal(scores.inputs, model.attribute(data["train_input"]).inputs)
    assert scores.inputs[0] > 20 * scores.inputs[1]


def test_one_row_or_a_flat_output_says_nothing_of_importance() -> None:
    # Nothing varies, so nothing can be judged: pruning by it would remove everything.
    model = KAN([2, 2, 1])
    with pytest.raises(ValueError, match="X"):
        model.prune(X=rows()[:1])


# -- pruning: laws -------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [0.0, 0.7])
def test_pruning_a_constant_edge_changes_nothing(constant: float) -> None:
    model, x = KAN([2, 3, 1], seed=1), rows()
    for j in (0, 2):
        set_line(model, 0, 1, j, 0.0, constant)
    pruned = model.prune_edges(1e-6, x)
    assert change(model, pruned, x) < 1e-12
    assert set(pruned.prune_report.edges) == {(0, 1, 0), (0, 1, 2)}
    assert pruned.prune_report.nodes == ()
    assert pruned.edge_count() == model.edge_count() - 2
    assert pruned[0, 1, 0].kind == "absent"
    assert pruned.width == model.width


@pytest.mark.parametrize("products", [[2], [3], [2, 2]])
@pytest.mark.parametrize("constant", [0.0, -0.6])
def test_pruning_a_dead_node_moves_its_constant(products: list[int], constant: float) -> None:
    model, x = KAN([2, (2, products), 2], seed=2), rows()
    dead = [1, *model.nodes[0].members(2)]
    for j in dead:
        for i in range(2):
            set_line(model, 0, i, j, 0.0, constant)
    pruned = model.prune(DEAD, DEAD, x)
    assert change(model, pruned, x) < 1e-12
    assert pruned.prune_report.nodes == ((1, 1), (1, 2))
    assert pruned.width == [2, 1 if len(products) == 1 else (1, len(products) - 1), 2]
    assert pruned.layer(1).in_features == pruned.nodes[0].count
    assert pruned.prune_report.change < 1e-12


@pytest.mark.parametrize("name", ["sin", "log", "1/x", "exp"])
def test_constants_go_through_symbolic_successors(name: str) -> None:
    model, x = KAN([2, 2, 1], seed=3), rows()
    for i in range(2):
        set_line(model, 0, i, 0, 0.0, 0.3)
    model.layer(1).set_symbolic(0, 0, get(name), 2.0, 0.1, 1.5, 0.2)
    pruned = model.prune(DEAD, DEAD, x)
    assert change(model, pruned, x) < 1e-12
    assert pruned.width == [2, 1, 1]
    assert not pruned.layer(1).functions


def test_a_node_that_leads_nowhere_goes_with_all_before_it() -> None:
    model, x = KAN([2, 3, 3, 1], seed=4), rows()
    set_line(model, 2, 0, 0, 0.0, 5.0)
    for j in (1, 2):
        set_line(model, 1, 1, j, 0.0)
    pruned = model.prune(1e-9, 1e-9, x)
    assert change(model, pruned, x) < 1e-12
    assert pruned.width == [2, 2, 2, 1]
    assert set(pruned.prune_report.nodes) == {(1, 1), (2, 0)}


@pytest.mark.parametrize("extrapolation", ["error", "zero", "constant", "linear"])
def test_pruning_far_from_the_origin(extrapolation: str) -> None:
    # Knots that do not reach 0 must not matter to what becomes of a dead node.
    model, x = KAN([2, 3, 1], extrapolation=extrapolation), rows()
    with torch.no_grad():
        for i in range(2):
            set_line(model, 0, i, 0, 0.0, 0.2)
        model.layer(0).bias += 5.0
    model.layer(0).extrapolation = model.layer(1).extrapolation = "linear"
    model.update_grid(x)
    model.layer(0).extrapolation = model.layer(1).extrapolation = extrapolation
    pruned = model.prune(DEAD, DEAD, x)
    assert change(model, pruned, x) < 1e-10
    assert pruned.width == [2, 2, 1]


def test_a_removed_edge_leaves_its_mean() -> None:
    model, x = KAN([2, 1]), rows()
    set_line(model, 0, 0, 0, 1.0)
    set_line(model, 0, 1, 0, 0.01, 3.0)
    pruned = model.prune_edges(0.05, x)
    mean_error = float((model(x) - pruned(x)).mean().detach())
    assert abs(mean_error) < 1e-12
    assert pruned.prune_report.change == pytest.approx(0.01, rel=0.1)


def test_the_network_is_left_as_it_is() -> None:
    model, x = KAN([2, 3, 1]), rows()
    before = model(x).detach()
    model.prune(0.5, 0.5, x)
    assert model.width == [2, 3, 1]
    assert torch.equal(model(x), before)
    assert model.prune_report is None


def test_pruning_twice_is_pruning_once() -> None:
    data = create_dataset(lambda x: torch.sin(3 * x[:, 0]), 2, train_num=200, test_num=10)
    model = KAN([2, 3, 1])
    model.fit(data, steps=15, lamb=1e-3)
    once = model.prune()
    twice = once.prune()
    assert change(once, twice, data["train_input"]) == 0
    assert twice.width == once.width
    assert twice.prune_report.edges == ()
    assert twice.prune_report.nodes == ()
    assert "removed 0 edges" in str(twice.prune_report)


@pytest.mark.parametrize("width", [[2, 1], [2, 3, 1], [2, (1, 1), 2], [2, 2, (0, 1)], [3, 2, 2, 2]])
def test_outputs_keep_an_edge_whatever_the_threshold(width: list[Any]) -> None:
    model, x = KAN(width), rows(width[0])
    pruned = model.prune(1e9, 1e9, x)
    assert bool((pruned(x).std(dim=0) > 0).all())
    kind = pruned.layer(pruned.depth - 1).kind
    assert bool((kind != 0).any(dim=0).all())


# -- pruning: inputs -----------------------------------------------------------------------------


def test_pruned_inputs_are_renumbered_everywhere() -> None:
    pandas = pytest.importorskip("pandas")
    x = rows(4)
    frame = pandas.DataFrame(x.numpy(), columns=["a", "b", "c", "d"])
    y = torch.sin(2 * x[:, 1]) + x[:, 3]
    model = KAN([4, 2, 1], grid=3)
    model.fit((frame, y), steps=30, lamb=1e-3)
    pruned = model.prune_inputs(0.1)
    assert pruned.input_count == 2
    assert pruned.width[0] == 2
    assert pruned.input_names == ("b", "d")
    assert pruned.prune_report.inputs == (0, 2)
    assert "inputs 0, 2" in str(pruned.prune_report)
    assert torch.equal(pruned.dataset.train.inputs, x[:, [1, 3]])
    assert pruned.dataset.input_names == ("b", "d")
    assert pruned(x[:, [1, 3]]).shape == (200, 1)
    difference = (pruned(x[:, [1, 3]]) - model(x)).detach().square().mean().sqrt()
    assert float(difference) < 0.1 * float(y.std())
    pruned.fit((frame[["b", "d"]], y), steps=5)


def test_dead_inputs_go_without_a_trace() -> None:
    model, x = KAN([3, 2, 1], seed=5), rows(3)
    for j in range(2):
        set_line(model, 0, 1, j, 0.0, 0.4)
    pruned = model.prune_inputs(DEAD, x)
    assert float((pruned(x[:, [0, 2]]) - model(x)).abs().max().detach()) < 1e-12
    assert pruned.layer(0).knots.shape[0] == 2


def test_pruned_inputs_leave_their_means_behind_in_a_network_of_one_layer() -> None:
    model, x = KAN([2, 2]), rows()
    set_line(model, 0, 0, 0, 1.0)
    set_line(model, 0, 1, 0, 0.0)
    set_line(model, 0, 0, 1, 0.0)
    set_line(model, 0, 1, 1, 0.5, 10.0)
    pruned = model.prune_inputs(5.0, x)
    kept = [i for i in range(2) if i not in pruned.prune_report.inputs]
    means = (pruned(x[:, kept]) - model(x)).mean(dim=0).detach()
    assert means.abs().tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


def test_one_input_always_stays() -> None:
    pruned = KAN([3, 2, 1]).prune_inputs(1e9, rows(3))
    assert pruned.input_count == 1


# -- after pruning -------------------------------------------------------------------------------


@pytest.mark.parametrize("opt", ["LM", "LBFGS", "Adam"])
@pytest.mark.parametrize("lamb", [0.0, 1e-3])
def test_training_goes_on_after_pruning(opt: str, lamb: float) -> None:
    data = create_dataset(
        lambda x: torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2),
        train_num=200,
        test_num=20,
    )
    model = KAN([2, 4, 1], grid=4)
    model.fit(data, steps=25, lamb=1e-3)
    pruned = model.prune(0.02, 0.03)
    assert pruned.edge_count() < model.edge_count()
    pruned(data["train_input"]).square().mean().backward()
    gradients = [p.grad for p in pruned.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    width = pruned.width
    history = pruned.fit(data, opt=opt, steps=8, lamb=lamb)
    assert all(math.isfinite(loss) for loss in history.train_loss)
    best = history.steps.index(history.best_step)
    assert history.train_loss[best] <= history.train_loss[0] * 1.0001 or lamb > 0
    assert pruned.width == width
    assert bool(pruned(data["test_input"]).isfinite().all())
    absent = [pruned.layer(l).kind == 0 for l in range(pruned.depth)]
    assert sum(int(mask.sum()) for mask in absent) + pruned.edge_count() == sum(
        mask.numel() for mask in absent
    )
