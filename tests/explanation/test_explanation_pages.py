"""The pictures and the page of an explanation."""

import itertools
import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from knotwork import KAN, LIBRARY
from knotwork.explanation.figures import edge_figure, input_figure
from knotwork.plotting import network_drawing, plot_network
from networks import normal

HOSTILE = '</title><script>alert("x")</script>&<b>-->'


def rows(inputs, count=60):
    return 0.8 * normal(count, inputs, seed=3)


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_data(self, text):
        self.text.append(text)


@pytest.fixture(scope="module")
def explanation():
    """Of a sum and a product, with five edges."""
    model = KAN([3, (1, 1)])
    for i, j in ((0, 1), (1, 2), (2, 0), (2, 1)):
        model.layer(0).remove_edge(i, j)
    model.layer(0).set_symbolic(1, 0, LIBRARY["sin"], 2.0, 0.0, 1.0, 0.0)
    return model.explain(rows(3), input_names=["a", "b", "c"], output_names=["u", "v"])


@pytest.fixture(scope="module")
def page(explanation):
    return explanation.to_html([4, [0.1, 0.2, 0.3]], title="Two & three")


class TestFigures:
    def test_all_of_them_and_nothing_global_changes(self, explanation, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        before = dict(mpl.rcParams)
        figures = [
            explanation.plot(),
            explanation.plot_edges(),
            explanation.plot_row(2, "v"),
            explanation.plot_network(),
            explanation.plot_network(2),
        ]
        for figure in figures:
            assert isinstance(figure, Figure)
            figure.draw_without_rendering()
        assert list(tmp_path.iterdir()) == []
        assert dict(mpl.rcParams) == before

    def test_panels_are_ranked_and_show_the_shapes(self):
        model, X = KAN([3, 1]), rows(3)
        found = model.explain(X, input_names=["a", "b", "c"])
        panels = found.plot().axes
        ranked = found.ranked()
        assert [axes.get_title(loc="left") for axes in panels] == [one.name for one in ranked]
        assert len({axes.get_ylim() for axes in panels}) == 1
        for axes, one in zip(panels, ranked, strict=True):
            curve = axes.lines[-1].get_xydata()
            np.testing.assert_array_equal(curve[:, 1], one.effects[0].y)

    def test_monotonic_inputs_are_marked(self):
        model = KAN([2, 1])
        model.layer(0).set_symbolic(0, 0, LIBRARY["x"], 1.0, 0.0, 1.0, 0.0)
        model.layer(0).remove_edge(1, 0)
        titles = [axes.get_title(loc="right") for axes in model.explain(rows(2)).plot().axes]
        assert titles == ["increasing ↗", "no effect"]

    def test_the_waterfall_leads_from_the_mean_to_the_prediction(self, explanation):
        row = explanation.row(2)
        axes = explanation.plot_row(2, 0).axes[0]
        bars = axes.patches
        ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars]
        assert ends[0][0] == pytest.approx(row.base[0])
        for (_, end), (start, _) in itertools.pairwise(ends):
            assert start == pytest.approx(end)
        assert ends[-1][1] == pytest.approx(row.outputs[0], abs=1e-3 * explanation.spread[0])
        labels = [label.get_text() for label in axes.get_yticklabels()]
        names = [explanation.input_names[i] for i in row.ranked(0)]
        assert [label.split(" = ")[0] for label in labels] == names

    def test_many_inputs_are_joined_in_the_waterfall_and_left_out_of_the_panels(self):
        found = KAN([30, 1]).explain(rows(30))
        labels = found.plot_row(0).axes[0].get_yticklabels()
        assert len(labels) == 12
        assert labels[-1].get_text() == "19 others"
        figure = found.plot()
        assert len(figure.axes) == 24
        assert figure.get_suptitle() == "The 24 of 30 inputs that matter most"

    def test_a_page_says_what_it_leaves_out(self):
        page = KAN([1, 13]).explain(rows(1, 9)).to_html([0])
        assert "Drawn are 12 of 13 edges" in page
        assert "Drawn are 3 of 13 outputs" in page

    def test_long_names_leave_room(self):
        found = KAN([1, 1]).explain(rows(1), input_names=["m" * 300], output_names=["$" * 300])
        for figure in (found.plot(), found.plot_row(0), found.plot_network(0)):
            figure.draw_without_rendering()
        label = found.plot_row(0).axes[0].get_yticklabels()[0].get_text()
        assert label.startswith("m" * 29 + "… = ")

    @pytest.mark.parametrize("scale", [1e-4, 1.0, 1e7, 1e-30])
    def test_nothing_is_cut_off_or_lies_on_the_bar_of_a_card(self, scale):
        model = KAN([1, 1])
        with torch.no_grad():
            model.layer(0).coefficients.mul_(scale).add_(-0.1033 if scale == 1e-4 else 0.0)
            model.layer(0).residual_weight.mul_(scale)
        found = model.explain(rows(1), input_names=["first\nsecond line"], output_names=["w" * 28])
        cards = edge_figure(found, found.edges[0]), input_figure(found, found.inputs[0])
        for figure in cards:
            figure.draw_without_rendering()
            (axes,) = figure.axes
            assert min(tick.get_window_extent().x0 for tick in axes.get_yticklabels()) >= 0
            # Ticks out of view have labels too, that are not drawn.
            ticks = {*axes.get_xticklabels(), *axes.get_yticklabels()}
            texts = [t for t in figure.findobj(Text) if t.get_visible() and t not in ticks]
            boxes = [text.get_window_extent() for text in texts if text.get_text()]
            assert max(box.y1 for box in boxes) <= figure.bbox.y1
            bar = next(p for p in axes.patches if isinstance(p, Rectangle))
            assert not any(bar.get_window_extent().overlaps(box) for box in boxes)
            powers = [t.get_text() for t in texts if t.get_text().startswith("1e")]
            assert powers == {1e7: ["1e7"], 1e-30: ["1e−30"]}.get(scale, [])

    def test_a_row_is_marked_on_the_network(self):
        model, X = KAN([2, 3, 1]), rows(2)
        drawing = network_drawing(model, X, row=X[5])
        traces, _ = model.trace(X[5:6])
        for edge in drawing.edges:
            reached = traces[edge.l].inputs[:, edge.i].detach()
            value = float(model[edge.l, edge.i, edge.j].values(reached))
            assert edge.mark == (float(reached), pytest.approx(value))
        marks = [
            line
            for line in plot_network(model, X, row=X[5]).axes[0].lines
            if (line.get_gid() or "").startswith("mark-")
        ]
        assert len(marks) == model.edge_count()
        assert all(edge.mark is None for edge in network_drawing(model, X).edges)

    def test_a_mark_beyond_the_data_stays_in_its_box(self):
        model, X = KAN([1, 1]), rows(1)
        figure = plot_network(model, X, row=torch.tensor([99.0], dtype=torch.float64))
        (mark,) = [line for line in figure.axes[0].lines if line.get_gid() == "mark-0-0-0"]
        (box,) = figure.axes[0].patches
        assert box.get_x() <= mark.get_xdata()[0] <= box.get_x() + box.get_width()

    def test_a_network_without_edges(self):
        model = KAN([1, 1])
        model.layer(0).remove_edge(0, 0)
        found = model.explain(rows(1))
        assert "No edge is left" in found.to_html()
        found.plot_edges().draw_without_rendering()


class TestPage:
    def test_it_needs_nothing_else(self, page):
        outline = Outline(page)
        assert not {"script", "link", "img", "iframe", "object"} & set(outline.tags)
        for _, name, value in outline.attributes:
            if name in ("src", "href", "xlink:href"):
                assert value.startswith("#")
        # Vocabularies of SVG have addresses for names, and nobody asks for them.
        assert not re.findall(r"(?:url\(|@import)\s*['\"]?(?!#)", page)

    def test_it_says_what_there_is(self, explanation, page):
        outline = Outline(page)
        text = " ".join(" ".join(outline.text).split())
        assert "<title>Two &amp; three · knotwork</title>" in page
        for words in ("Row 4", "A row of its own", "All edges in numbers"):
            assert words in text
        assert text.count("Edge by edge") == 2
        assert f"over {len(explanation)} rows" in text
        for one in explanation.inputs:
            assert f"{one.importance:.3f}" in text
        assert "prefers-color-scheme: dark" in page
        assert 'name="viewport"' in page

    def test_products_are_told_as_products(self, explanation, page):
        (product,) = [
            node
            for node in explanation.row(4).nodes
            if node.level == explanation.model.depth and node.kind == "product"
        ]
        factors = " × ".join(f"{factor:.4g}".replace("-", "−") for factor in product.factors)
        assert f"v = {factors} = " in page

    def test_every_tag_is_closed(self, page):
        for tag in ("div", "table", "tr", "td", "th", "p", "details", "summary", "svg", "ul", "li"):
            opened = len(re.findall(rf"<{tag}[\s>]", page))
            assert opened == page.count(f"</{tag}>"), tag

    def test_a_strangers_names_stay_text(self):
        model, X = KAN([2, 1, 2]), rows(2)
        names = [HOSTILE, "$x$ & $\\frac"]
        found = model.explain(X, input_names=names, output_names=[f"{HOSTILE}'\"", "b"])
        outline = Outline(found.to_html([0], title=HOSTILE))
        assert "script" not in outline.tags
        assert "b" not in outline.tags
        assert any(HOSTILE in text for text in outline.text)

    def test_saved_whole_or_not_at_all(self, tmp_path):
        path, found = tmp_path / "page.html", KAN([1, 1]).explain(rows(1))
        found.save_html(path, [0])
        assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        with pytest.raises(IndexError, match="there are 60 rows"):
            found.save_html(path, [60])
        assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
        # Told before anything is drawn, so before the row that is not there.
        with pytest.raises(FileNotFoundError, match="create it first"):
            found.save_html(tmp_path / "no" / "page.html", [60])
