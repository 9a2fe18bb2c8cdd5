"""What a notebook shows of results: through IPython's own formatter, safe, and never an error."""

import base64
import dataclasses
import re
import warnings
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest
import sympy
import torch

from knotwork import KAN, MLP, Dataset, History, KANLayer, Samples, SymbolicFunction, discover
from knotwork._tables import Table
from knotwork.compare import Comparison, Result
from knotwork.sparsity import Attribution, PruneReport
from knotwork.symbolic import EdgeFit, SnapReport, Suggestions

formatters = pytest.importorskip("IPython.core.formatters")

EVIL = "<script>alert('$x$')</script>"
X = torch.rand(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.sin(3 * X[:, [0]]) + X[:, [1]]


def shown(value):
    """Return what a notebook would be sent, by type; a formatter that fails says so."""
    formatter = formatters.DisplayFormatter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data, _ = formatter.format(value)
    assert "text/plain" in data
    return data


class Page(HTMLParser):
    """The elements of a page, which must be closed in order, and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self._open = [], "", []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page(value):
    found = Page(shown(value)["text/html"])
    assert {tag for tag, _ in found.elements} <= {
        *("div", "p", "strong", "em", "code", "img"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    return found


def picture(found):
    """Return the groups of the one picture in a page by their names."""
    (image,) = found.named("img")
    kind, data = image["src"].split(",")
    assert kind == "data:image/svg+xml;base64"
    tree = ET.fromstring(base64.b64decode(data))
    return [element.get("id", "") for element in tree.iter()]


@pytest.fixture(scope="module")
def fitted():
    model = KAN([2, 2, 1], grid=3)
    data = Dataset(Samples(X, Y), None, (EVIL, "b"), ("y",))
    history = model.fit(data, steps=4)
    return model, history


# -- networks ------------------------------------------------------------------------------------


def test_a_network_is_a_picture_of_every_edge_with_a_caption(fitted):
    model, _ = fitted
    found = page(model)
    curves = {name for name in picture(found) if name.startswith("curve-")}
    assert curves == {"curve-0-0-0", "curve-0-0-1", "curve-0-1-0", "curve-0-1-1"} | {
        "curve-1-0-0",
        "curve-1-1-0",
    }
    assert "KAN of width [2, 2, 1], grid 3, order 3:" in found.text
    assert f"{model.parameter_count()} parameters on 6 splines; fitted to 100 rows" in found.text


def test_functions_are_counted_apart(fitted):
    model = fitted[0].copy()
    model.fix_symbolic(0, 0, 0, "sin")
    assert "on 5 splines and 1 function;" in page(model).text


def test_a_network_without_data_is_drawn_over_its_knots():
    model = KAN([2, 1], grid_range=(5.0, 9.0))
    before = torch.get_rng_state()
    found = page(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert "curve-0-1-0" in picture(found)
    assert "not fitted to data in memory, drawn over the ranges of its knots" in found.text


def test_a_large_network_is_a_table_of_its_layers():
    found = page(KAN([20, 10, 3]))
    assert found.named("img") == []
    assert "on 230 splines" in found.text
    assert len(found.named("tr")) == 3
    assert "200" in found.text


def odd_networks():
    broken = KAN([2, 2, 1])
    with torch.no_grad():
        broken.layer(0).coefficients.fill_(torch.nan)
    strict = KAN([2, 2, 1], extrapolation="error")
    empty = KAN([2, 1])
    for i in range(2):
        empty.layer(0).remove_edge(i, 0)
    mixed = KAN([2, 2, 1])
    mixed.layers[1] = KANLayer(3, 1, dtype=torch.float64)
    huge = KAN([2, 1])
    with torch.no_grad():
        huge.layer(0).coefficients.fill_(1e308)
    own = KAN([1, 1])
    own.layer(0).set_symbolic(
        0, 0, SymbolicFunction(EVIL, torch.sin, lambda x: x), 1.0, 0.0, 1.0, 0.0
    )
    return {
        "parameters that are no numbers": broken,
        "parameters that overflow": huge,
        "errors outside of knots": strict,
        "no edges": empty,
        "layers that do not fit": mixed,
        "a function of the user's": own,
        "half precision": KAN([2, 2, 1], dtype=torch.bfloat16),
        "products": KAN([2, (1, 2), (0, 1)]),
    }


@pytest.mark.parametrize("name", odd_networks())
def test_a_network_in_an_odd_state_has_a_caption_at_least(name):
    model = odd_networks()[name]
    assert "KAN of width" in page(model).text
    assert model.layer(0).extrapolation == ("error" if "outside" in name else "linear")


def test_a_network_without_numbers_is_text():
    assert "text/html" not in shown(KAN([2, 1]).to("meta"))


def test_text_stays_as_it_was(fitted):
    model, history = fitted
    for value in (model, history, MLP([2, 3, 1])):
        assert shown(value)["text/plain"] == repr(value)


def test_looking_changes_nothing(fitted):
    model, _ = fitted
    before = {k: v.clone() for k, v in model.state_dict().items() if torch.is_tensor(v)}
    assert shown(model) == shown(model)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


# -- fits ----------------------------------------------------------------------------------------


def test_a_history_is_its_curve_and_how_it_ended(fitted):
    _, history = fitted
    found = page(history)
    assert found.named("img")
    assert str(history) in found.text


@pytest.mark.parametrize(
    ("history", "pictures"),
    [
        (History(steps=[0], train_loss=[1.0], penalty=[0.0], grid=[3], seconds=[0.1]), 0),
        (
            History(
                steps=[0, 1],
                train_loss=[np.nan, np.nan],
                test_loss=[np.inf, np.nan],
                penalty=[0.0, 0.0],
                grid=[3, 3],
                seconds=[0.1, 0.2],
            ),
            0,
        ),
        (
            History(
                metric=EVIL,
                steps=[0, 1],
                train_loss=[0.0, np.nan],
                test_loss=[np.nan, np.nan],
                penalty=[0.0, 1.0],
                grid=[3, 5],
                seconds=[0.1, 0.2],
                status=EVIL,
                best_step=7,
            ),
            1,
        ),
    ],
)
def test_an_odd_history_is_shown_too(history, pictures):
    found = page(history)
    assert len(found.named("img")) == pictures
    assert str(history) in found.text


def test_an_empty_history_is_text():
    assert "text/html" not in shown(History())


# -- tables --------------------------------------------------------------------------------------


def test_a_table_says_the_same_as_text_and_in_a_page():
    table = Table(("name", "n"), [("a", "1"), (EVIL, "22")], code=(0,), marked=1)
    assert str(Table(("name", "n"), [("a", "1"), ("bc", "22")], code=(0,))) == (
        "name   n\na      1\nbc    22"
    )
    found = Page(table.html())
    assert re.sub(r"\s+", "", found.text) == re.sub(r"\s+", "", f"name n a 1 {EVIL} 22")
    assert [row.get("class") for row in found.named("tr")] == [None, None, "chosen"]
    assert str(Table(("a", "b"), [])) == "a  b"
    assert Page(Table(("a", "b"), []).html()).named("td") == []


def test_importance_has_names_and_bars(fitted):
    model, _ = fitted
    scores = model.attribute()
    assert scores.input_names == (EVIL, "b")
    found = page(scores)
    lengths = [len(bar) for bar in re.findall("█+", found.text)]
    assert max(lengths) == 20
    assert lengths[0] / lengths[1] == pytest.approx(
        float(scores.inputs[0] / scores.inputs[1]), rel=0.2
    )
    assert EVIL in found.text
    assert "script" not in {tag for tag, _ in found.elements}


def test_importance_of_many_inputs_and_of_none():
    scores = Attribution(torch.linspace(0, 1, 100), (), ())
    found = page(scores)
    assert len(found.named("tr")) == 41
    assert "and 60 inputs more" in found.text
    page(Attribution(torch.full((2,), torch.nan), (), ()))
    page(Attribution(torch.zeros(1), (), ()))


def test_reports_are_tables_or_sentences(fitted):
    model, _ = fitted
    suggestions = model.suggest_symbolic(0, 0, 0, lib=["x", "sin"])
    found = page(suggestions)
    assert len(found.named("tr")) == 3
    assert f"{suggestions[0].r2:.6f}" in found.text
    page(Suggestions(()))
    own = SymbolicFunction(EVIL, torch.sin, lambda x: x)
    assert EVIL in page(Suggestions((EdgeFit(own, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0),))).text
    report = SnapReport({(1, 0, 0): "exp", (0, 0, 1): EVIL}, 0.1, 0.2, 2)
    found = page(report)
    assert all(line in found.text for line in str(report).splitlines()[2:])
    assert found.text.index("(0, 0, 1)") < found.text.index("(1, 0, 0)")
    pruned = PruneReport(((0, 0, 0),), ((1, 2),), (1,), 0.01)
    assert str(pruned) in page(pruned).text
    comparison = Comparison("RMSE", (Result(EVIL, 1234, 0.5, np.nan, 0.1),))
    assert "1,234" in page(comparison).text
    assert EVIL in page(comparison).text


# -- formulas ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    rows = rng.uniform(1, 3, (100, 2))
    return discover(rows, rows[:, 0] / rows[:, 1] ** 2, names=[EVIL, "r"], budget=5)


def test_a_front_is_a_table_with_the_choice_marked(found):
    shown_page = page(found)
    assert found.verdict in shown_page.text
    rows = shown_page.named("tr")
    assert len(rows) == 1 + len(found.front)
    chosen = next(k for k, formula in enumerate(found.front) if formula is found.best)
    assert [row.get("class") == "chosen" for row in rows[1:]] == [
        k == chosen for k in range(len(found.front))
    ]
    for formula in found.front:
        assert str(formula) in shown_page.text


def test_rivals_are_named(found):
    other = dataclasses.replace(found, rivals=[found.best])
    assert f"The rows do not tell the choice from {found.best}." in page(other).text


def test_a_front_without_the_choice_is_shown_too(found):
    other = dataclasses.replace(found, front=[])
    assert len(page(other).named("tr")) == 1


def test_a_formula_is_mathematics_in_which_names_are_no_commands(found):
    latex = shown(found.best)["text/latex"]
    assert latex.startswith(r"$\displaystyle ")
    # Every dollar sign but the first and the last is one of the name.
    assert latex[1:-1].replace(r"\$", "").count("$") == 0
    renamed = dataclasses.replace(
        found.best,
        expression=sympy.Symbol(r"\href{javascript:alert(1)}{x}$"),
        variables=(r"\href{javascript:alert(1)}{x}$", "r"),
    )
    assert r"\href" not in shown(renamed)["text/latex"]
