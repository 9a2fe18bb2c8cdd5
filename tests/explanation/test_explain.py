"""What an explanation says: effects, directions, contributions, and what it refuses."""

import itertools
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from knotwork import KAN, LIBRARY, create_dataset
from knotwork.explanation import explain
from networks import mixed_network, normal


def rows(inputs, count=120):
    return 0.8 * normal(count, inputs, seed=3)


def symbolic(width, *edges, **options):
    """Return a network with nothing but these edges: (l, i, j, function, a, b, c)."""
    model = KAN(width, **options)
    for l in range(model.depth):
        layer = model.layer(l)
        for i, j in itertools.product(range(layer.in_features), range(layer.out_features)):
            layer.remove_edge(i, j)
        with torch.no_grad():
            layer.bias.zero_()
    for l, i, j, function, *constants in edges:
        model.layer(l).set_symbolic(i, j, LIBRARY[function], *constants, 0.0)
    return model


def product():
    """Return x_1 * x_2."""
    return symbolic(
        [2, (0, 1), 1],
        (0, 0, 0, "x", 1.0, 0.0, 1.0),
        (0, 1, 1, "x", 1.0, 0.0, 1.0),
        (1, 0, 0, "x", 1.0, 0.0, 1.0),
    )


class TestEffects:
    def test_of_a_sum_are_its_functions(self):
        model, X = KAN([3, 2]), rows(3)
        found = model.explain(X)
        assert found.exact
        np.testing.assert_allclose(found.additivity, 1, atol=1e-3)
        for i, o in itertools.product(range(3), range(2)):
            effect = found.inputs[i].effects[o]
            function = model[0, i, o].values(torch.from_numpy(effect.x))
            mean = float(model[0, i, o].values(X[:, i]).mean())
            np.testing.assert_allclose(effect.y, function - mean, atol=1e-12)
            assert (effect.x[0], effect.x[-1]) == (X[:, i].min(), X[:, i].max())

    def test_local_effects_are_the_functions_where_a_deep_network_is_a_sum(self):
        # log(exp(x_1) * exp(-x_2 / 2)) is x_1 - x_2 / 2, which the network does not show.
        model = symbolic(
            [2, (0, 1), 1],
            (0, 0, 0, "exp", 1.0, 0.0, 1.0),
            (0, 1, 1, "exp", -0.5, 0.0, 1.0),
            (1, 0, 0, "log", 1.0, 0.0, 1.0),
        )
        X = rows(2)
        found = model.explain(X)
        assert not found.exact
        np.testing.assert_allclose(found.additivity, 1, atol=1e-12)
        for effect, slope in zip((found.inputs[0], found.inputs[1]), (1, -0.5), strict=True):
            x, y = effect.effects[0].x, effect.effects[0].y
            mean = float(X[:, effect.index].mean())
            np.testing.assert_allclose(y, slope * (x - mean), atol=1e-12)
        assert [one.effects[0].direction for one in found.inputs] == ["increasing", "decreasing"]

    def test_local_effects_ask_for_nothing_far_from_the_data(self):
        # log(x_1 - x_2) over rows with x_2 just below x_1, in most of whose box it is undefined.
        model = symbolic(
            [2, 1, 1],
            (0, 0, 0, "x", 1.0, 0.0, 1.0),
            (0, 1, 0, "x", 1.0, 0.0, -1.0),
            (1, 0, 0, "log", 1.0, 0.0, 1.0),
        )
        first = torch.linspace(0, 10, 400, dtype=torch.float64)
        X = torch.stack([first, first - 1 - rows(1, 400)[:, 0].abs()], dim=1)
        found = model.explain(X)
        for one in found.inputs:
            assert np.isfinite(one.effects[0].y).all()
        assert [one.effects[0].direction for one in found.inputs] == ["increasing", "decreasing"]
        assert np.isfinite(found.row(0).contributions).all()

    def test_what_inputs_do_together_is_missing_from_the_shapes(self):
        X = rows(2, 400)
        found = product().explain(X - X.mean(dim=0))
        assert found.additivity[0] < 0.1
        assert "do together" in str(found)

    def test_mean_of_every_shape_over_the_rows_is_zero(self):
        X = rows(3)
        found = mixed_network().explain(X)
        for one, o in itertools.product(found.inputs, range(2)):
            assert abs(one.effects[o].at(X[:, one.index].numpy()).mean()) < 1e-9


class TestDirections:
    @pytest.mark.parametrize(
        ("function", "a", "c", "expected"),
        [
            ("exp", 1.0, 2.0, "increasing"),
            ("exp", -1.0, 2.0, "decreasing"),
            ("x^3", 1.0, 1.0, "increasing"),
            ("tanh", 9.0, -1.0, "decreasing"),
            ("x^2", 1.0, 1.0, "neither"),
            ("sin", 9.0, 1.0, "neither"),
        ],
    )
    def test_of_functions(self, function, a, c, expected):
        model = symbolic([1, 1], (0, 0, 0, function, a, 0.0, c))
        effect = model.explain(rows(1)).inputs[0].effects[0]
        assert effect.direction == expected
        assert bool(effect.reason) == (expected == "neither")

    def test_share_of_rising_rows(self):
        X = torch.tensor([[-3.0], [-2.0], [-1.0], [4.0]], dtype=torch.float64)
        effect = symbolic([1, 1], (0, 0, 0, "x^2", 1.0, 0.0, 1.0)).explain(X).inputs[0].effects[0]
        assert effect.rising == 0.25
        assert str(effect) == "neither (rises at 25.0% of rows)"

    def test_a_wrong_slope_between_the_rows_counts_in_a_sum(self):
        X = torch.tensor([[-2.0], [2.0]], dtype=torch.float64)
        model = symbolic([1, 1], (0, 0, 0, "x^3", 1.0, 0.0, 1.0))
        assert model.explain(X).inputs[0].effects[0].direction == "increasing"
        model = symbolic([1, 1], (0, 0, 0, "sin", math.pi, 0.0, 1.0))
        effect = model.explain(X).inputs[0].effects[0]
        assert str(effect) == "neither (rises at all rows, falls between some)"

    def test_tolerance(self):
        # The slope of x + 1.05 sin(x) is at least -0.05, where its root mean square is about 1.2.
        model = symbolic(
            [1, 2, 1],
            (0, 0, 0, "sin", 1.0, 0.0, 1.05),
            (0, 0, 1, "x", 1.0, 0.0, 1.0),
            (1, 0, 0, "x", 1.0, 0.0, 1.0),
            (1, 1, 0, "x", 1.0, 0.0, 1.0),
        )
        X = torch.linspace(-6, 6, 300, dtype=torch.float64)[:, None]
        assert model.explain(X).inputs[0].effects[0].direction == "neither"
        tolerant = model.explain(X, tolerance=0.1)
        assert tolerant.inputs[0].effects[0].direction == "increasing"

    def test_no_effect_and_why(self):
        model, X = KAN([4, 1]), rows(4)
        model.layer(0).remove_edge(0, 0)
        X[:, 1] = 3.0
        model.layer(0).set_symbolic(2, 0, LIBRARY["x"], 1.0, 0.0, 1e-6, 0.0)
        model.layer(0).set_symbolic(3, 0, LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)
        effects = [one.effects[0] for one in model.explain(X).inputs]
        assert [effect.direction for effect in effects] == [*["no effect"] * 3, "increasing"]
        assert [effect.reason for effect in effects[:3]] == [
            "no path of edges leads there",
            "the same in all rows",
            "importance below 0.01",
        ]

    def test_paths_that_cancel_have_no_effect(self):
        edges = [(0, 0, j, "x", 1.0, 0.0, 1.0) for j in range(2)]
        edges += [(0, 1, 0, "x", 1.0, 0.0, 1.0)]
        edges += [(1, j, 0, "x", 1.0, 0.0, 1.0 - 2 * j) for j in range(2)]
        effect = symbolic([2, 2, 1], *edges).explain(rows(2)).inputs[0].effects[0]
        assert effect.importance > 0.3
        assert effect.direction == "no effect"
        assert "nowhere more than 0.01" in effect.reason

    def test_paths_through_hidden_nodes(self):
        model = KAN([2, 2, 2])
        model.layer(0).remove_edge(0, 1)
        model.layer(1).remove_edge(0, 0)
        first, second = model.explain(rows(2)).inputs[0].effects
        assert first.reason == "no path of edges leads there"
        assert second.direction != "no effect"

    def test_several_outputs_have_directions_of_their_own(self):
        model = symbolic([1, 2], (0, 0, 0, "x", 1.0, 0.0, 1.0), (0, 0, 1, "x", 1.0, 0.0, -1.0))
        effects = model.explain(rows(1)).inputs[0].effects
        assert [effect.direction for effect in effects] == ["increasing", "decreasing"]


class TestRows:
    def test_contributions_in_a_sum_are_the_edges(self):
        model, X = KAN([3, 2]), rows(3)
        row = model.explain(X).row(5)
        assert row.exact
        for edge in row.edges:
            assert row.contributions[edge.i, edge.j] == pytest.approx(edge.contribution, abs=1e-12)
        np.testing.assert_allclose(row.base, model(X).detach().mean(dim=0), atol=1e-12)
        total = row.base + row.contributions.sum(axis=0)
        np.testing.assert_allclose(total, row.outputs, atol=1e-12)

    def test_contributions_in_a_network_add_up(self):
        X = rows(3)
        found = mixed_network().explain(X)
        row = found.row(7)
        total = row.base + row.contributions.sum(axis=0) + row.remainder
        np.testing.assert_allclose(total, row.outputs, atol=1e-12)
        assert (np.abs(row.remainder) < 1e-4 * found.spread).all()

    def test_contributions_of_a_product(self):
        # Along a line from (u, v) to (x, y): (x - u) (y + v) / 2 and (y - v) (x + u) / 2.
        X = rows(2, 50)
        row = product().explain(X).row(3)
        x, y = X[3]
        first = ((x - X[:, 0]) * (y + X[:, 1]) / 2).mean()
        second = ((y - X[:, 1]) * (x + X[:, 0]) / 2).mean()
        np.testing.assert_allclose(row.contributions[:, 0], [first, second], atol=1e-12)
        assert row.base[0] == pytest.approx(float((X[:, 0] * X[:, 1]).mean()))

    def test_both_definitions_agree_on_a_sum(self):
        shallow, X = KAN([2, 1]), rows(2, 60)
        deep = KAN([2, 1, 1])
        deep.layers[0] = shallow.copy().layer(0)
        deep.layer(1).set_symbolic(0, 0, LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)
        with torch.no_grad():
            deep.layer(1).bias.zero_()
        exact, integrated = (model.explain(X).row(0) for model in (shallow, deep))
        assert not integrated.exact
        np.testing.assert_allclose(integrated.contributions, exact.contributions, atol=1e-4)

    def test_every_sum_is_its_mean_and_what_its_edges_add(self):
        model, X = mixed_network(), rows(3)
        row = model.explain(X).row(2)
        with torch.no_grad():
            traces, outputs = model.trace(X)
        for node in row.nodes:
            for j, value, mean in zip(node.sums, node.factors, node.means, strict=True):
                edges = [edge for edge in row.edges if (edge.l, edge.j) == (node.level - 1, j)]
                total = mean + sum(edge.contribution for edge in edges)
                assert total == pytest.approx(value, abs=1e-10)
                assert value == pytest.approx(float(traces[node.level - 1].subnodes[2, j]))
        last = [node for node in row.nodes if node.level == model.depth]
        np.testing.assert_allclose([node.value for node in last], outputs[2])
        assert [node.kind for node in last] == ["sum", "product"]
        assert math.prod(last[1].factors) == pytest.approx(last[1].value)
        assert len(row.edges) == model.edge_count()

    def test_a_row_of_its_own(self):
        model, X = KAN([2, 1]), rows(2)
        found = model.explain(X)
        inside, own = found.row(4), found.row(X[4].tolist())
        assert (inside.index, own.index) == (4, None)
        np.testing.assert_array_equal(inside.contributions, own.contributions)
        assert str(inside).endswith(f"{inside.outputs[0]:.4g}")
        assert "prediction for row 4" in str(inside)
        assert found.row(-1).index == len(X) - 1

    def test_telling_rows_are_the_nearest_to_and_the_farthest_from_the_mean(self):
        model = symbolic([1, 1], (0, 0, 0, "x", 1.0, 0.0, 1.0))
        X = torch.tensor([[0.0], [9.0], [-1.0], [1.5], [-4.0]], dtype=torch.float64)
        assert model.explain(X).telling_rows() == [3, 1]

    def test_references_have_nearly_the_mean_of_all(self):
        model = product()
        X = rows(2, 2000)
        found = model.explain(X)
        assert len(found.references) == 100
        mean = found.predictions.mean()
        assert abs(found.row(0).base[0] - mean) < 0.02 * found.spread[0]

    def test_lines_that_leave_the_domain_are_told(self):
        # log of the product is defined where both factors have the same sign.
        model = symbolic(
            [2, (0, 1), 1],
            (0, 0, 0, "x", 1.0, 0.0, 1.0),
            (0, 1, 1, "x", 1.0, 0.0, 1.0),
            (1, 0, 0, "log", 1.0, 0.0, 1.0),
        )
        X = torch.tensor([[1.0, 2.0], [2.0, 1.0], [-1.0, -4.0], [-3.0, -1.0]], dtype=torch.float64)
        found = model.explain(X)
        row = found.row(0)
        assert np.isnan(row.contributions).all()
        assert row.edges[0].value == 1.0
        with pytest.raises(ValueError, match="leave the domain of a function"):
            found.plot_row(0)

    def test_a_pole_leaves_a_remainder(self):
        model = KAN([1, 1, 1])
        model.layer(0).set_symbolic(0, 0, LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)
        model.layer(1).set_symbolic(0, 0, LIBRARY["1/x"], 1.0, 0.0, 1.0, 0.0)
        with torch.no_grad():
            model.layer(0).bias.zero_()
        X = torch.tensor([[-1.0], [1.0], [2.0]], dtype=torch.float64)
        # The integral across a pole does not settle, which the remainder says.
        row = model.explain(X).row(0)
        assert row.notable_remainder(0) is not None
        assert "remainder" in str(row)


class TestDoors:
    def test_importance_is_that_of_attribute(self):
        model, X = mixed_network(), rows(3)
        found, scores = model.explain(X), model.attribute(X)
        np.testing.assert_allclose([one.importance for one in found.inputs], scores.inputs)
        for one in found.edges:
            edge = one.edge
            assert one.importance == pytest.approx(float(scores.edges[edge.l][edge.i, edge.j]))
        totals = [sum(e.importance for e in one.effects) for one in found.inputs]
        np.testing.assert_allclose(totals, scores.inputs)

    def test_edges_are_those_that_are_there(self):
        model = mixed_network()
        found = model.explain(rows(3))
        assert len(found.edges) == model.edge_count()
        named = {(e.edge.l, e.edge.i, e.edge.j): (e.source, e.target) for e in found.edges}
        assert named[0, 0, 2] == ("x_1", "factor 1 of node 2 of layer 1")
        assert named[2, 1, 0] == ("node 1 of layer 2", "y_1")
        assert found.ranked_edges()[0].importance == max(e.importance for e in found.edges)

    def test_the_network_stays_as_it_is_and_the_explanation_too(self):
        model, X = KAN([2, 2, 1]), rows(2)
        before = [(p.clone(), p.requires_grad) for p in model.parameters()]
        found = model.explain(X)
        first = found.row(0)
        for parameter, (old, wanted) in zip(model.parameters(), before, strict=True):
            assert parameter.requires_grad == wanted
            assert parameter.grad is None
            assert torch.equal(parameter, old)
        with torch.no_grad():
            model.layer(0).coefficients.zero_()
        X.zero_()
        np.testing.assert_array_equal(found.row(0).contributions, first.contributions)

    def test_the_data_of_the_last_fit(self):
        data = create_dataset(lambda x: x[:, 0], n_var=2, train_num=50)
        model = KAN([2, 1])
        with pytest.raises(ValueError, match="has not been fitted"):
            model.explain()
        model.fit(data, steps=2)
        assert len(model.explain()) == 50

    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_frames_are_taken_by_name(self, frame):
        model, X = KAN([2, 1]), rows(2)
        model.input_names = ("mass", "speed")
        swapped = frame({"speed": X[:, 1].numpy(), "mass": X[:, 0].numpy()})
        found = model.explain(swapped)
        assert found.input_names == ("mass", "speed")
        np.testing.assert_array_equal(found.X, X)
        np.testing.assert_array_equal(found.predictions, model.explain(X).predictions)

    def test_names(self):
        model, X = KAN([2, 1]), rows(2)
        assert model.explain(X).output_names == ("y",)
        assert KAN([2, 2]).explain(X).output_names == ("y_1", "y_2")
        frame = pd.DataFrame(X.numpy(), columns=["a", "b"])
        assert model.explain(frame).input_names == ("a", "b")
        given = model.explain(frame, input_names=["c", "d"], output_names=["speed"])
        assert (given.input_names, given.output_names) == (("c", "d"), ("speed",))
        assert str(given).splitlines()[2].split() == ["input", "importance", "speed"]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_arrays_and_lists_become_what_the_network_takes(self, dtype):
        model = KAN([2, 2, 1], dtype=dtype)
        X = rows(2, 20)
        for given in (X.numpy(), X.tolist(), X.float()):
            found = explain(model, given)
            assert found.X.dtype == dtype
            assert found.row(0).outputs.dtype == np.float64
            str(found)

    def test_one_row_and_constants(self):
        found = KAN([2, 2, 1]).explain(torch.ones(1, 2, dtype=torch.float64))
        assert {one.effects[0].reason for one in found.inputs} == {"the same in all rows"}
        assert np.isnan(found.additivity[0])
        found.row(0)
        found.plot().draw_without_rendering()


class TestBadInput:
    @pytest.mark.parametrize(
        ("X", "words"),
        [
            (rows(3), "X has 3 columns, but the network takes 2 inputs"),
            (rows(2)[0], r"X must have two dimensions, \(rows, 2\); got shape \(2,\)"),
            (rows(2, 0), "X has no rows, so there is nothing to explain"),
            (rows(2).index_fill(0, torch.tensor([4]), math.nan), "X has nan in row 4, column 0"),
            ([["a", "b"]], "X holds text"),
        ],
    )
    def test_rows(self, X, words):
        with pytest.raises(ValueError, match=words):
            KAN([2, 1]).explain(X)

    def test_frames_of_other_columns(self):
        model = KAN([2, 1])
        model.input_names = ("mass", "speed")
        frame = pd.DataFrame({"Mass": [1.0], "speed": [2.0], "age": [3.0]})
        words = "X lacks 'mass' and has in excess 'Mass', 'age'.*Did you mean 'Mass'"
        with pytest.raises(ValueError, match=words):
            model.explain(frame)
        with pytest.raises(ValueError, match="X has in excess 'age'"):
            model.explain(frame.rename(columns={"Mass": "mass"}))

    def test_a_network_without_a_value(self):
        model = symbolic([1, 1], (0, 0, 0, "log", 1.0, 0.0, 1.0))
        with pytest.raises(ValueError, match="the network gives nan for row 1 of X"):
            model.explain([[1.0], [-1.0]])

    def test_which_row(self):
        found = KAN([2, 1]).explain(rows(2, 9))
        with pytest.raises(IndexError, match="row is 9, but there are 9 rows: use 0 to 8"):
            found.row(9)
        with pytest.raises(ValueError, match="a number for each of x_1, x_2; got shape"):
            found.row([1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="row has nan"):
            found.row([1.0, math.nan])
        with pytest.raises(IndexError, match="output is 1, but there are 1 outputs"):
            found.plot_row(0, 1)
        with pytest.raises(ValueError, match="output must be one of 'y'"):
            found.plot_row(0, "z")

    def test_options(self):
        model, X = KAN([2, 1]), rows(2)
        with pytest.raises(ValueError, match="threshold must be at least 0"):
            model.explain(X, threshold=-1)
        with pytest.raises(ValueError, match="tolerance must be finite"):
            model.explain(X, tolerance=math.nan)
        with pytest.raises(ValueError, match="input_names must have 2 entries"):
            model.explain(X, input_names=["a"])
        with pytest.raises(TypeError, match="output_names must be a list of names"):
            model.explain(X, output_names="y")
