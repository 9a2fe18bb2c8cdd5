"""What a network diagram shows, as plain data: nodes, edges, their curves and importance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .. import splines
from .._checks import check_number
from ..layers import ABSENT, KANLayer
from ..network import KAN, LayerTrace
from ..nodes import Nodes
from ..sparsity import Attribution, attribute
from .labels import drawable, widest_word
from .network_layout import Box, Layout, Point, arrange
from .style import TITLE, Array

NodeKind = Literal["input", "sum", "factor", "product"]

_CURVE_POINTS = 101
_LEAST_SHADE = 0.3
_MOST_NAME_WIDTH = 1.6
_NAME_GAP = 0.15


@dataclass(frozen=True)
class DrawnNode:
    """A node of the diagram.

    Attributes
    ----------
    level : int
        0 for inputs, ``model.depth`` for outputs.
    index : int
        Which of the level's nodes; for a factor, which of the sums before the level.
    kind : {"input", "sum", "factor", "product"}
        A factor is one of the sums that a multiplication node multiplies.
    name : str
        Of inputs and outputs; empty otherwise.
    position : Point
    room : float
        The width that there is for its name.
    product : int or None
        For a factor the node that multiplies it.
    shade : float
        How strongly it is drawn; see `DrawnEdge`.
    """

    level: int
    index: int
    kind: NodeKind
    name: str
    position: Point
    room: float
    product: int | None = None
    shade: float = 1.0


@dataclass(frozen=True)
class DrawnEdge:
    """An edge of the diagram.

    Attributes
    ----------
    l, i, j : int
    function : str or None
        Name of the symbolic function on it; None for a spline.
    score : float
        Its importance, see `knotwork.sparsity.attribute`.
    shade : float
        How strongly it is drawn: 1 for the most important edge of its layer, 0.3 if it does not
        matter at all.
    x, y : arrays of shape (points,)
        Its function over the range that its data takes.
    box : Box
        Where its inset is.
    route : pair of tuples of Point
        The lines to the inset and on from there.
    mark : pair of float, or None
        Where the row to be marked lies on the function.
    """

    l: int
    i: int
    j: int
    function: str | None
    score: float
    shade: float
    x: Array
    y: Array
    box: Box
    route: tuple[tuple[Point, ...], tuple[Point, ...]]
    mark: tuple[float, float] | None = None


@dataclass(frozen=True)
class NetworkDrawing:
    """A network diagram; lengths are in inches.

    Attributes
    ----------
    width, height : float
        Without margins, names and title.
    nodes : tuple of DrawnNode
    edges : tuple of DrawnEdge
    """

    width: float
    height: float
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]


@torch.no_grad()
def network_drawing(
    model: KAN,
    X: Tensor | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    threshold: float = 0.0,
    row: Tensor | None = None,
) -> NetworkDrawing:
    """Gather what a diagram of the network shows.

    Parameters
    ----------
    model : KAN
    X : Tensor of shape (rows, inputs), optional
        Data that says where the functions matter; what the network was last fitted to if None.
    input_names, output_names : sequence of str, optional
        By default those of the data, else $x_1$, $x_2$, ... and $y$.
    threshold : float
        Edges with a lower score are left out; absent edges always are.
    row : Tensor of shape (inputs,), optional
        To be marked on every function.

    Returns
    -------
    NetworkDrawing
    """
    x = rows_or_recent(model, X)
    check_number(threshold, "threshold", low=0)
    names = (
        drawn_names(_given(input_names, model.input_names), model.input_count, "input_names", "x"),
        drawn_names(
            _given(output_names, model.output_names), model.output_count, "output_names", "y"
        ),
    )
    scores = attribute(model, x)
    traces, _ = model.trace(x)
    marked = [None] * model.depth if row is None else model.trace(row[None])[0]
    shown = [
        (model.layer(index).kind != ABSENT) & ~(edges < threshold)
        for index, edges in enumerate(scores.edges)
    ]
    fans = [[row.nonzero()[:, 0].tolist() for row in mask] for mask in shown]
    levels = (Nodes(model.input_count), *model.nodes)
    layout = arrange(levels, fans, _name_widths(levels, *names))
    edges = [
        edge
        for index, (trace, mark) in enumerate(zip(traces, marked, strict=True))
        for edge in _layer_edges(model.layer(index), index, trace.inputs, scores, layout, mark)
    ]
    shades = [_shades(nodes).tolist() for nodes in scores.nodes]
    nodes = _drawn_nodes(levels, layout, names, shades)
    return NetworkDrawing(layout.width, layout.height, tuple(nodes), tuple(edges))


def rows_or_recent(model: KAN, X: Tensor | None) -> Tensor:
    """Return X or what the network was last fitted to, at least one row of it."""
    x = model.inputs_or_recent(X)
    if len(x) == 0:
        raise ValueError("X has no rows; a picture needs at least one to know where the data is.")
    return x


@torch.no_grad()
def spread_rows(model: KAN, count: int) -> Tensor:
    """Return random rows, evenly spread over the range of the first layer's knots.

    Parameters
    ----------
    model : KAN
    count : int
        How many to draw; those at which the network has no finite value are left out.

    Returns
    -------
    Tensor of shape (rows, inputs), in the network's dtype
    """
    layer = model.layer(0)
    low, high = (end.double() for end in splines.domain(layer.knots, layer.k))
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(count, model.input_count, generator=generator, dtype=torch.float64)
    rows = (low + (high - low) * share.to(low.device)).to(model.dtype)
    # Knots reach beyond the data, so perhaps out of the domain of a function.
    defined = model(rows).isfinite().all(dim=1)
    if not bool(defined.any()):
        raise ValueError("the network has no finite values over its knots: give rows of your data.")
    return rows[defined]


def input_name(model: KAN, i: int) -> str:
    """Return the name of an input as pictures show it."""
    return drawn_names(model.input_names, model.input_count, "input_names", "x")[i]


def _given(
    names: Sequence[str] | None, names_of_model: Sequence[str] | None
) -> Sequence[str] | None:
    return names_of_model if names is None else names


def drawn_names(given: Sequence[str] | None, count: int, argument: str, letter: str) -> list[str]:
    """Return names as pictures show them, $x_1$, $x_2$ and so on where none are given.

    Raises
    ------
    TypeError, ValueError
        If `given` is no list of so many names.
    """
    if given is None:
        if letter == "y" and count == 1:
            return ["$y$"]
        return [f"${letter}_{{{index}}}$" for index in range(1, count + 1)]
    if isinstance(given, str):
        raise TypeError(f"{argument} must be a list of names; for a single one write [{given!r}].")
    if len(given) != count:
        raise ValueError(
            f"{argument} must have {count} entries; got {len(given)}: {list(given)!r}."
        )
    return [drawable(str(name)) for name in given]


def _name_widths(
    levels: Sequence[Nodes], inputs: Sequence[str], outputs: Sequence[str]
) -> list[list[float]]:
    widths = [[0.0] * level.count for level in levels]
    for level, names in ((0, inputs), (-1, outputs)):
        widths[level] = [
            min(widest_word(name, TITLE), _MOST_NAME_WIDTH) + _NAME_GAP for name in names
        ]
    return widths


def _layer_edges(
    layer: KANLayer,
    index: int,
    inputs: Tensor,
    scores: Attribution,
    layout: Layout,
    marked: LayerTrace | None,
) -> list[DrawnEdge]:
    share = torch.linspace(0, 1, _CURVE_POINTS, dtype=inputs.dtype, device=inputs.device)[:, None]
    x = inputs.amin(dim=0) * (1 - share) + inputs.amax(dim=0) * share
    y = layer.edge_values(x).double().cpu().numpy()
    x = x.double().cpu().numpy()
    score, shade = scores.edges[index], _shades(scores.edges[index])
    heights = None if marked is None else layer.edge_values(marked.inputs)[0]
    edges = list[DrawnEdge]()
    for key, box in layout.boxes.items():
        if key[0] != index:
            continue
        _, i, j = key
        function = layer.function_at(i, j)
        mark = None
        if marked is not None and heights is not None:
            mark = float(marked.inputs[0, i]), float(heights[i, j])
        edges.append(
            DrawnEdge(
                index,
                i,
                j,
                None if function is None else function.name,
                float(score[i, j]),
                float(shade[i, j]),
                x[:, i],
                y[:, i, j],
                box,
                layout.routes[key],
                mark,
            )
        )
    return edges


def _shades(scores: Tensor) -> Tensor:
    """Return how strongly things with these scores are drawn, the first of them fully."""
    scores = scores.nan_to_num()
    largest = scores.max().clamp(min=torch.finfo(scores.dtype).tiny)
    return _LEAST_SHADE + (1 - _LEAST_SHADE) * scores / largest


def _drawn_nodes(
    levels: Sequence[Nodes],
    layout: Layout,
    names: tuple[Sequence[str], Sequence[str]],
    shades: Sequence[Sequence[float]],
) -> list[DrawnNode]:
    drawn = list[DrawnNode]()
    last = len(levels) - 1
    for level, nodes in enumerate(levels):
        for index, position in enumerate(layout.nodes[level]):
            members = nodes.members(index)
            is_product = index >= nodes.sums
            kind: NodeKind = "input" if level == 0 else "product" if is_product else "sum"
            name = names[0][index] if level == 0 else names[1][index] if level == last else ""
            shade = shades[level][index]
            room = layout.rooms[level][index]
            drawn.append(DrawnNode(level, index, kind, name, position, room, shade=shade))
            if is_product:
                drawn.extend(
                    DrawnNode(
                        level, member, "factor", "", layout.sums[level][member], 0.0, index, shade
                    )
                    for member in members
                )
    return drawn
