import itertools

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from knotwork import functions
from knotwork.edges import Edge
from knotwork.network import KAN
from knotwork.plotting import NetworkDrawing, network_drawing, plot_network, plot_networks
from knotwork.plotting.labels import function_form, function_label

WIDTHS = [
    [1, 1],
    [6, 1],
    [1, 6],
    [2, 1, 1],
    [2, 5, 1],
    [2, (1, 1), 1],
    [3, (2, [3, 2]), 2],
    [2, 5, 5, 3],
    [4, 4, 2, 1],
    [8, 8, 3],
    [20, 10, 1],
]


def rows(count: int, n: int = 40) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, count, dtype=torch.float64, generator=generator) * 2 - 1


def insets(figure: Figure) -> dict[str, tuple[float, float, float, float]]:
    patches = [p for p in figure.axes[0].patches if str(p.get_gid()).startswith("inset-")]
    return {str(p.get_gid()): p.get_bbox().extents for p in patches}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def assert_texts_apart(figure: Figure) -> None:
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert all(figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1 for box in boxes)


def symbolic_network() -> KAN:
    model = KAN([2, 1, 1])
    for layer, i, name in ((0, 0, "sin"), (0, 1, "x^2"), (1, 0, "exp")):
        model.layer(layer).set_symbolic(i, 0, functions.get(name), 1.0, 0.0, 1.0, 0.0)
    return model


@pytest.mark.parametrize("width", WIDTHS, ids=str)
def test_every_edge_has_an_inset_and_none_overlap(width):
    model = KAN(width)
    figure = plot_network(model, rows(model.input_count))
    assert isinstance(figure, Figure)
    boxes = insets(figure)
    assert len(boxes) == model.edge_count()
    axes = figure.axes[0]
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for x0, y0, x1, y1 in boxes.values():
        assert left < x0 < x1 < right
        assert bottom < y0 < y1 < top
    for a, b in itertools.combinations(boxes.values(), 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def crosses(start, end, box) -> bool:
    """Tell whether a line goes through the inside of a box (Liang and Barsky's clipping)."""
    enter, leave = 0.0, 1.0
    for axis, low, high in (
        (0, box.left + 1e-9, box.right - 1e-9),
        (1, box.bottom + 1e-9, box.top - 1e-9),
    ):
        step = end[axis] - start[axis]
        if step == 0:
            if not low < start[axis] < high:
                return False
            continue
        first, second = sorted(((low - start[axis]) / step, (high - start[axis]) / step))
        enter, leave = max(enter, first), min(leave, second)
    return enter < leave


@pytest.mark.parametrize("width", WIDTHS[:-1], ids=str)
def test_no_line_goes_through_an_inset(width):
    model = KAN(width)
    drawing = network_drawing(model, rows(model.input_count))
    for edge in drawing.edges:
        for points in edge.route:
            for start, end in itertools.pairwise(points):
                for other in drawing.edges:
                    assert not crosses(start, end, other.box)


@pytest.mark.parametrize("width", WIDTHS[:-1], ids=str)
def test_lines_lead_from_node_to_inset_to_sum(width):
    model = KAN(width)
    drawing = network_drawing(model, rows(model.input_count))
    places = {(n.level, n.index, n.kind): n.position for n in drawing.nodes}
    for edge in drawing.edges:
        (start, *_, entry), (leave, *_, end) = edge.route
        kinds = ("input", "sum", "product")
        assert start in [places.get((edge.l, edge.i, kind)) for kind in kinds]
        assert entry.y == edge.box.bottom
        assert edge.box.left < entry.x < edge.box.right
        assert leave.y == edge.box.top
        assert edge.box.left < leave.x < edge.box.right
        nodes = model.nodes[edge.l]
        kind = "sum" if edge.j < nodes.sums else "factor"
        assert end == places[edge.l + 1, edge.j, kind]


def test_curves_are_the_edges_functions_over_their_data():
    model = KAN([2, (1, 1), 1], seed=3)
    model.layer(0).set_symbolic(1, 2, functions.get("sin"), 2.0, 1.0, -1.5, 4.0)
    x = rows(2)
    for drawn in network_drawing(model, x).edges:
        edge = Edge(model, drawn.l, drawn.i, drawn.j)
        assert (drawn.x[0], drawn.x[-1]) == pytest.approx(edge.range(x))
        np.testing.assert_allclose(drawn.y, edge.values(torch.from_numpy(drawn.x)), atol=1e-13)


def test_curve_fills_its_inset():
    figure = plot_network(KAN([2, 2]), rows(2))
    curves = {str(line.get_gid()): line for line in figure.axes[0].lines}
    for key, (x0, y0, x1, y1) in insets(figure).items():
        x, y = curves[key.replace("inset", "curve")].get_data()
        assert x0 < x.min() < x.max() < x1
        assert y0 < y.min() < y.max() < y1
        assert y.max() - y.min() > 0.7 * (y1 - y0)


def test_shade_follows_importance_and_is_never_nothing():
    model = KAN([3, 2, 1])
    model.layer(0).remove_edge(0, 0)
    with torch.no_grad():
        model.layer(0).coefficients[1] = 0.0
        model.layer(0).residual_weight[1] = 0.0
    edges = [edge for edge in network_drawing(model, rows(3)).edges if edge.l == 0]
    assert (0, 0) not in [(edge.i, edge.j) for edge in edges]
    scores = model.attribute(rows(3)).edges[0]
    for edge in edges:
        assert edge.score == float(scores[edge.i, edge.j])
    ordered = sorted(edges, key=lambda edge: edge.score)
    shades = [edge.shade for edge in ordered]
    assert shades == sorted(shades)
    assert shades[0] == pytest.approx(0.3)
    assert shades[-1] == pytest.approx(1.0)


def test_symbolic_edges_carry_their_names():
    figure = plot_network(symbolic_network(), rows(2), title="A formula")
    shown = texts(figure)
    assert {"sin", "$x^{2}$", "exp", "A formula", "$x_{1}$", "$x_{2}$", "$y$"} == set(shown)
    assert_texts_apart(figure)


def test_multiplication_nodes_and_their_factors():
    drawing = network_drawing(KAN([3, (2, [3, 2]), 2]), rows(3))
    kinds = [(node.level, node.kind) for node in drawing.nodes]
    assert kinds.count((1, "sum")) == 2
    assert kinds.count((1, "product")) == 2
    assert kinds.count((1, "factor")) == 5
    owners = {node.index: node.product for node in drawing.nodes if node.kind == "factor"}
    assert owners == {2: 2, 3: 2, 4: 2, 5: 3, 6: 3}
    figure = plot_network(KAN([3, (2, [3, 2]), 2]), rows(3))
    assert sum(line.get_marker() == "x" for line in figure.axes[0].lines) == 2


@pytest.mark.parametrize("width", [[4, 3, 2], [8, 8, 3], [2, 1]], ids=str)
def test_long_names_stay_apart(width):
    model = KAN(width)
    names = [
        "semi-major axis / AU",
        "a_very_long_identifier_without_any_space_in_it",
        "inclination of the orbit / degrees",
        r"$\alpha_{\mathrm{max}}$",
    ] * 2
    model.input_names = tuple(names[: width[0]])
    outputs = ["period / years", "$price", "b_$c$"][: width[-1]]
    figure = plot_network(model, rows(width[0]), output_names=outputs, title="Long " * 12)
    assert_texts_apart(figure)
    assert "semi-major" in texts(figure)[0]


def test_names_come_from_the_model_unless_given():
    model = KAN([2, 1])
    model.input_names, model.output_names = ("mass", "speed"), ("energy",)
    assert set(texts(plot_network(model, rows(2)))) == {"mass", "speed", "energy"}
    shown = texts(plot_network(model, rows(2), input_names=["m", "$_bad{$"]))
    assert set(shown) == {"m", r"\$_bad{\$", "energy"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_names": ["a"]}, "input_names must have 2 entries; got 1"),
        ({"output_names": "y"}, r"output_names must be a list of names.*\['y'\]"),
        ({"threshold": -1}, "threshold must be at least 0"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        plot_network(KAN([2, 1]), rows(2), **options)


def test_data_is_needed():
    with pytest.raises(ValueError, match="has not been fitted"):
        plot_network(KAN([2, 1]))
    with pytest.raises(ValueError, match="X has no rows"):
        plot_network(KAN([2, 1]), rows(2, 0))


def test_the_data_of_the_last_fit_is_the_default():
    x = rows(2)
    model = KAN([2, 1])
    model.fit((x, x.sum(dim=1)), steps=2)
    default, given = network_drawing(model), network_drawing(model, x)
    for one, other in zip(default.edges, given.edges, strict=True):
        np.testing.assert_array_equal(one.y, other.y)


def test_threshold_leaves_weak_edges_out():
    model, x = KAN([3, 3, 1]), rows(3)
    scores = [edge.score for edge in network_drawing(model, x).edges]
    middle = float(np.median(scores))
    kept = network_drawing(model, x, threshold=middle).edges
    assert sorted(edge.score for edge in kept) == sorted(s for s in scores if s >= middle)


def edgeless() -> KAN:
    model = KAN([2, 1])
    model.layer(0).remove_edge(0, 0)
    model.layer(0).remove_edge(1, 0)
    return model


def diverged() -> KAN:
    model = KAN([2, 2, 1])
    with torch.no_grad():
        model.layer(1).coefficients.fill_(torch.nan)
    return model


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (KAN([2, 2, 1]), torch.ones(5, 2, dtype=torch.float64)),
        (KAN([2, 2, 1]), rows(2, 1)),
        (KAN([2, 2, 1], dtype=torch.float32), rows(2).float()),
        (KAN([2, 2, 1], extrapolation="error"), rows(2) / 10),
        (KAN([8, 8, 3]).prune(0.3, 0.3, rows(8)), rows(8)),
        (edgeless(), rows(2)),
        (diverged(), rows(2)),
    ],
    ids=["constant", "one row", "float32", "no extrapolation", "pruned", "edgeless", "diverged"],
)
def test_unusual_networks_are_drawn(model, x):
    figure = plot_network(model, x)
    figure.draw_without_rendering()
    assert len(insets(figure)) == model.edge_count()


def test_drawing_leaves_the_model_alone():
    model = symbolic_network()
    before = {name: value.clone() for name, value in model.named_parameters()}
    drawing = network_drawing(model, rows(2))
    assert isinstance(drawing, NetworkDrawing)
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (("sin", 2.0, -1.0, -1.0), "−sin(2 $x$ − 1)"),
        (("x", 1.0, 0.0, 0.5), "0.5 $x$"),
        (("x^2", 1.0, 0.25, 1.0), "($x$ + 0.25)$^{2}$"),
        (("1/x", -1.0, 3.0, -2.0), "−2 / (−$x$ + 3)"),
        (("1/x^1.5", 1.0, 0.0, 1.0), "1 / $x$$^{1.5}$"),
    ],
)
def test_function_forms(form, expected):
    assert function_form(*form) == expected


def test_function_labels():
    assert [function_label(n) for n in ("x", "1/x", "sqrt")] == ["$x$", "$1/x$", "sqrt"]


def test_networks_stand_side_by_side_as_each_is_drawn_by_itself():
    X = rows(2)
    models = {"Wide": KAN([2, 5, 1]), "Symbolic": symbolic_network()}
    figure = plot_networks(models, X, output_names=["area"])
    alone = [plot_network(m, X, title=t, output_names=["area"]) for t, m in models.items()]
    assert figure.get_figwidth() == pytest.approx(sum(one.get_figwidth() for one in alone))
    assert figure.get_figheight() == max(one.get_figheight() for one in alone)
    figure.draw_without_rendering()
    for axes, one in zip(figure.axes, alone, strict=True):
        assert [text.get_text() for text in axes.texts] == texts(one)
        assert len(axes.patches) == len(one.axes[0].patches)
        # An inch of the figure is an inch of the diagram, both ways.
        inch = axes.transData.transform((1, 1)) - axes.transData.transform((0, 0))
        assert inch == pytest.approx([figure.dpi, figure.dpi])
        assert figure.bbox.x0 <= axes.bbox.x0
        assert axes.bbox.x1 <= figure.bbox.x1 + 1e-6
    left, right = (axes.bbox for axes in figure.axes)
    assert left.x1 == pytest.approx(right.x0)
    titles = [axes.texts[-1].get_window_extent() for axes in figure.axes]
    assert titles[0].y1 == pytest.approx(titles[1].y1, abs=2)


def test_no_networks_are_no_picture():
    with pytest.raises(ValueError, match=r"models is empty: give at least one network"):
        plot_networks({})
