"""An explanation as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from matplotlib.figure import Figure

from ..plotting.page import page, picture
from .effects import Effect
from .figures import (
    MOST_PANELS,
    edge_figure,
    input_figure,
    legend_figure,
    plot_network_of,
    plot_row,
)
from .result import Explanation, InputExplanation
from .row import NodeValue, RowExplanation

# Outputs whose waterfalls are drawn for a row, and names in a heading.
_MOST_WATERFALLS, _MOST_NAMES = 3, 3
# The network's picture has all of them already.
_MOST_EDGE_PANELS = 12
_STYLE = """
.summary { border-left: 6px solid #0072B2; background: var(--good); padding: .6rem 1rem; }
.summary ul { margin: .3rem 0; padding-left: 1.2rem; }
.summary li, td, th, p { overflow-wrap: anywhere; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr));
         margin-top: 1rem; }
.cards svg { margin: 0; max-width: 21rem; }
.wide { overflow-x: auto; } .wide svg { min-width: 34rem; } .wide table { min-width: 32rem; }
td:first-child { min-width: 7rem; }
.rows svg, .legend svg { max-width: 38rem; } .legend svg { margin: 0; }
.bar { display: inline-block; width: 6rem; height: .55rem; margin-right: .6rem;
       background: var(--line); }
.bar i { display: block; height: 100%; background: var(--ink); }
.up { color: #009E73; } .down { color: #D55E00; } .none, .note { color: var(--soft); }
.note { font-size: .9rem; } th { font-weight: 600; } tr.node td { font-weight: 600;
       padding-top: .9rem; } tr.sum td { border-bottom: 2px solid var(--line); }
details { margin: .8rem 0; } summary { cursor: pointer; }
"""
_EXACT = (
    "The network is a sum of functions, one of each input, and these are drawn: they are the "
    "model itself, each less its mean over the rows, all to one scale."
)
_LOCAL = (
    "Lines are accumulated local effects (Apley and Zhu 2020): how the prediction changes, on "
    "average, when this input alone moves from one value to the next, at the rows that are there. "
    "Dots are single rows, and what the input adds to their predictions (integrated gradients, "
    "Sundararajan et al. 2017, averaged over rows to start from): where they stray from the line, "
    "the input acts together with others. All to one scale."
)
_PANELS = (
    "The bar is the importance, the share of an output's spread that goes through an input, added "
    "up over all outputs; inputs that work together or against each other can have more than 1. "
    "Grey at the foot: where the data lies."
)
_ROWS_EXACT = (
    "Every input's function at the row, less its mean over all rows: together with the mean "
    "prediction they add up to the prediction."
)
_ROWS_LOCAL = (
    "Integrated gradients along straight lines from rows of the data to this one, averaged: "
    "together with the mean prediction over these rows they add up to the prediction."
)
_EDGES = (
    "Every edge's function over the values that reach it, to a scale of its own: how much it "
    "matters is in its bar. Splines are blue, symbolic functions orange."
)


def html_page(explanation: Explanation, rows: Sequence[RowExplanation], title: str | None) -> str:
    """Return the page.

    Parameters
    ----------
    explanation : Explanation
    rows : sequence of RowExplanation
        To be taken apart on the page.
    title : str, optional
    """
    if title is None:
        names = explanation.output_names
        verb = "depends" if len(names) == 1 else "depend"
        title = f"What {_listed(names, _MOST_NAMES)} {verb} on"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(explanation),
        "<h2>Inputs</h2>",
        f"<p>{_EXACT if explanation.exact else _LOCAL}</p><p class=note>{_PANELS}</p>",
        *_input_panels(explanation),
        _input_table(explanation),
        "<h2>Network</h2>",
        f"<div class=wide>{picture(plot_network_of(explanation, None), 'The network')}</div>",
        *_edges(explanation),
    ]
    if rows:
        parts.append("<h2>Rows taken apart</h2>")
        parts.append(f"<p>{_ROWS_EXACT if explanation.exact else _ROWS_LOCAL}</p>")
    for row in rows:
        parts += _row(explanation, row)
    return page(title, "\n".join(parts), _STYLE)


def _summary(explanation: Explanation) -> str:
    sentence = explanation.summary()
    lines = "".join(
        f"<li>{_verdict(explanation, output)}</li>"
        for output in range(len(explanation.output_names))
    )
    return (
        f'<div class="summary">{escape(sentence[0].upper() + sentence[1:])}<ul>{lines}</ul></div>'
    )


def _verdict(explanation: Explanation, output: int) -> str:
    """Say what raises and lowers an output, and what does not matter to it."""
    name = explanation.output_names[output]
    ranked = explanation.ranked()
    parts: list[str] = []
    for direction, words in (
        ("increasing", "rises with"),
        ("decreasing", "falls with"),
        ("neither", "rises and falls with"),
        ("no effect", "is not affected by"),
    ):
        found = [one.name for one in ranked if one.effects[output].direction == direction]
        if found:
            parts.append(f"{words} {escape(_listed(found, MOST_PANELS))}")
    return f"<strong>{escape(name)}</strong> {'; '.join(parts)}."


def _input_panels(explanation: Explanation) -> list[str]:
    ranked = explanation.ranked()
    shown = ranked[:MOST_PANELS]
    figures = [(input_figure(explanation, found), f"The effect of {found.name}") for found in shown]
    parts = [_cards(figures)]
    if len(shown) < len(ranked):
        parts.append(_left_out(len(shown), len(ranked), "inputs"))
    if len(explanation.output_names) > 1:
        legend = picture(legend_figure(explanation), "Which line is which output")
        parts.insert(0, f"<div class=legend>{legend}</div>")
    return parts


def _input_table(explanation: Explanation) -> str:
    effects = "".join(f"<th>effect on {escape(name)}</th>" for name in explanation.output_names)
    lines = "".join(
        _input_line(found, explanation.most_importance) for found in explanation.ranked()
    )
    return (
        "<div class=wide><table><tr><th>input</th><th>importance</th>"
        f"{effects}<th>values, mean</th></tr>{lines}</table></div>"
    )


def _input_line(found: InputExplanation, most: float) -> str:
    share = float(np.nan_to_num(found.importance)) / most
    bar = f'<span class=bar><i style="width:{share:.1%}"></i></span>{found.importance:.3f}'
    effects = "".join(f"<td>{_effect(effect)}</td>" for effect in found.effects)
    values = f"{_number(found.low)} to {_number(found.high)}, {_number(found.mean)}"
    return (
        f"<tr><td>{escape(found.name)}</td><td style='white-space:nowrap'>{bar}</td>"
        f"{effects}<td>{values}</td></tr>"
    )


def _effect(effect: Effect) -> str:
    kind = {"increasing": "up", "decreasing": "down", "no effect": "none", "neither": ""}
    if effect.direction == "neither":
        words = effect.reason
    else:
        words = f"{effect.direction}, {effect.reason}" if effect.reason else effect.direction
    span = ""
    if effect.direction != "no effect":
        low, high = float(np.nanmin(effect.y)), float(np.nanmax(effect.y))
        span = f"<br><span class=note>{_number(low, '+')} to {_number(high, '+')}</span>"
    return f'<span class="{kind[effect.direction]}">{escape(words)}</span>{span}'


def _edges(explanation: Explanation) -> list[str]:
    ranked = explanation.ranked_edges()
    if not ranked:
        return ["<p>No edge is left: the outputs are constant.</p>"]
    shown = ranked[:_MOST_EDGE_PANELS]
    figures = [
        (edge_figure(explanation, found), f"The edge from {found.source} to {found.target}")
        for found in shown
    ]
    panels = _cards(figures)
    if len(shown) < len(ranked):
        panels += _left_out(len(shown), len(ranked), "edges")
    lines = "".join(
        f"<tr><td>({found.edge.l}, {found.edge.i}, {found.edge.j})</td>"
        f"<td>{escape(found.source)}</td><td>{escape(found.target)}</td>"
        f"<td>{escape(found.edge.form)}</td>"
        f"<td class=number>{found.importance:.3f}</td>"
        f"<td class=number>{_number(found.mean)}</td>"
        f"<td class=number>{_number(found.spread)}</td></tr>"
        for found in explanation.edges
    )
    table = (
        "<div class=wide><table><tr><th>edge</th><th>from</th><th>to</th><th>function</th>"
        "<th class=number>importance</th><th class=number>mean</th>"
        f"<th class=number>standard deviation</th></tr>{lines}</table></div>"
    )
    return [
        f"<p>{_EDGES}</p>",
        _details("Functions of the edges", panels, is_open=True),
        _details("All edges in numbers", table),
    ]


def _row(explanation: Explanation, row: RowExplanation) -> list[str]:
    far = np.abs(row.outputs - explanation.predictions.mean(axis=0)) / explanation.spread
    outputs = np.argsort(-far, kind="stable")[:_MOST_WATERFALLS].tolist()
    parts = [f"<h3>{escape(row.title.capitalize())}</h3>"]
    if bool(np.isfinite(row.contributions).all()):
        parts += [
            f"<div class=rows>{picture(plot_row(explanation, row, output), _told(row, output))}"
            "</div>"
            for output in sorted(outputs)
        ]
        if len(outputs) < len(row.outputs):
            parts.append(_left_out(len(outputs), len(row.outputs), "outputs"))
    else:
        parts.append(
            "<p>No contributions of inputs: lines between rows leave the domain of a function in "
            "the network.</p>"
        )
    network = picture(plot_network_of(explanation, row), f"The network at {row.title}")
    marked = (
        "<p class=note>Dots say where the row lies on every function.</p>"
        f"<div class=wide>{network}</div>"
    )
    parts += [
        _details("Inputs in numbers", _row_table(row)),
        _details("Edge by edge", marked + _edge_table(explanation, row)),
    ]
    return parts


def _told(row: RowExplanation, output: int) -> str:
    """Describe a waterfall in words."""
    return (
        f"From the mean {row.base[output]:.4g} to {row.output_names[output]} = "
        f"{row.outputs[output]:.4g}, input by input"
    )


def _row_table(row: RowExplanation) -> str:
    names = "".join(f"<th class=number>{escape(name)}</th>" for name in row.output_names)
    lines = [_line("mean prediction", "", map(_number, row.base))]
    order = np.argsort(-np.abs(np.nan_to_num(row.contributions)).max(axis=1), kind="stable")
    lines += [
        _line(
            row.input_names[i],
            _number(float(row.inputs[i])),
            (_number(float(value), "+") for value in row.contributions[i]),
        )
        for i in order.tolist()
    ]
    notable = [row.notable_remainder(output) for output in range(len(row.outputs))]
    if any(value is not None for value in notable):
        lines.append(_line("remainder of the quadrature", "", map(_signed, row.remainder)))
    lines.append(_line("prediction", "", map(_number, row.outputs), "sum"))
    return (
        f"<div class=wide><table><tr><th></th><th class=number>value</th>{names}</tr>"
        f"{''.join(lines)}</table></div>"
    )


def _edge_table(explanation: Explanation, row: RowExplanation) -> str:
    """Return a table in which every sum adds up: its mean, and what each edge adds."""
    lines: list[str] = []
    for node in row.nodes:
        lines.append(_node_line(explanation, node))
        factors = zip(node.sums, node.factors, node.means, strict=True)
        for place, (j, value, mean) in enumerate(factors):
            of = "" if node.kind == "sum" else f" of factor {place + 1}"
            lines.append(_line(f"mean{of}", "", [_number(mean)]))
            for edge in row.edges:
                if (edge.l, edge.j) == (node.level - 1, j):
                    source = _source(explanation, edge.l, edge.i)
                    name = f"({edge.l}, {edge.i}, {edge.j}) from {source}"
                    lines.append(_line(name, _number(edge.input), [_signed(edge.contribution)]))
            lines.append(_line(f"sum{of}", "", [_number(value)], "sum"))
    return (
        "<div class=wide><table><tr><th></th><th class=number>what reaches it</th>"
        f"<th class=number>adds</th></tr>{''.join(lines)}</table></div>"
    )


def _node_line(explanation: Explanation, node: NodeValue) -> str:
    last = node.level == explanation.model.depth
    name = f"node {node.index} of layer {node.level}"
    if last:
        name = explanation.output_names[node.index]
    product = ""
    if node.kind == "product":
        product = " × ".join(map(_number, node.factors)) + " = "
    return f"<tr class=node><td colspan=3>{escape(name)} = {product}{_number(node.value)}</td></tr>"


def _source(explanation: Explanation, l: int, i: int) -> str:
    return explanation.input_names[i] if l == 0 else f"node {i} of layer {l}"


def _line(name: str, value: str, numbers: Iterable[str], kind: str = "") -> str:
    cells = "".join(f"<td class=number>{number}</td>" for number in numbers)
    return f'<tr class="{kind}"><td>{escape(name)}</td><td class=number>{value}</td>{cells}</tr>'


def _details(summary: str, content: str, *, is_open: bool = False) -> str:
    state = " open" if is_open else ""
    return f"<details{state}><summary>{summary}</summary>{content}</details>"


def _cards(figures: Sequence[tuple[Figure, str]]) -> str:
    cards = "".join(f"<div>{picture(figure, words)}</div>" for figure, words in figures)
    return f"<div class=cards>{cards}</div>"


def _left_out(shown: int, count: int, what: str) -> str:
    return f"<p class=note>Drawn are {shown} of {count} {what}; the tables have all of them.</p>"


def _listed(names: Sequence[str], most: int) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4g}".replace("-", "−")


def _signed(value: float) -> str:
    return _number(value, "+")
