"""Where everything in a network diagram goes, in inches; no functions, no colours, no drawing.

Inputs are at the bottom, outputs at the top.  Above each node stand the insets of the edges that
leave it, so that the lines below them never cross; above the insets the lines go to the nodes
that the edges lead to.  Where a layer has many edges its insets are stacked, each a little
to the left of the one below: a line then passes every other inset of its column in a lane of its
own, going in at the lower left and out at the upper right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from ..nodes import Nodes

EdgeKey = tuple[int, int, int]

# Width that diagrams keep to where they can.
_PAGE = 10.0
# Sizes of insets, best first, with the most rows that they may be stacked in.
_INSETS = ((1.1, 1), (0.8, 1), (0.65, 1), (0.8, 2), (0.55, None))
_COLUMN_GAP = 0.16
_ROW_GAP = 0.1
_LANE = 0.08
_FACTOR_SPACING = 0.36
_FACTOR_RISE = 0.42
_LEAST_FAN = 0.4


class Point(NamedTuple):
    """A place in the diagram, from its lower left corner."""

    x: float
    y: float


class Box(NamedTuple):
    """A rectangle in the diagram."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right side."""
        return self.left + self.width

    @property
    def top(self) -> float:
        """The upper side."""
        return self.bottom + self.height


@dataclass(frozen=True)
class Layout:
    """Places of a diagram's parts.

    Attributes
    ----------
    width, height : float
    nodes : list of lists of Point
        For each level, inputs first, its nodes.
    sums : list of lists of Point
        For each level the sums that its edges lead to; those of a sum node are the node itself.
    boxes : dict of (l, i, j) to Box
        The edges' insets.
    routes : dict of (l, i, j) to a pair of tuples of Point
        The lines from the node to the inset, and from the inset to the sum.
    rooms : list of lists of float
        For each level the width that each of its nodes has for its name.
    """

    width: float
    height: float
    nodes: list[list[Point]]
    sums: list[list[Point]]
    boxes: dict[EdgeKey, Box]
    routes: dict[EdgeKey, tuple[tuple[Point, ...], tuple[Point, ...]]]
    rooms: list[list[float]]


def arrange(
    levels: Sequence[Nodes],
    fans: Sequence[Sequence[Sequence[int]]],
    least_widths: Sequence[Sequence[float]],
) -> Layout:
    """Lay a network out.

    Parameters
    ----------
    levels : sequence of Nodes
        The nodes of each level, inputs first, outputs last.
    fans : for each layer, for each of its inputs
        The sums that the input's edges lead to.
    least_widths : for each level, for each node
        Width that the node needs for its name.
    """
    size, rows = _choose(fans, least_widths)
    fans = [*fans, [[]] * levels[-1].count]
    rows = [*rows, 1]
    cells = [
        [
            max(
                name,
                _fan_width(fan, row, size),
                len(level.members(node)) * _FACTOR_SPACING + _COLUMN_GAP,
            )
            for node, (name, fan) in enumerate(zip(names, level_fans, strict=True))
        ]
        for level, names, level_fans, row in zip(levels, least_widths, fans, rows, strict=True)
    ]
    width = max(sum(widths) for widths in cells)
    rooms = [_widened(widths, width) for widths in cells]
    layout = Layout(width, 0.0, [], [], {}, {}, rooms)
    y = 0.0
    for index, level in enumerate(levels):
        centres = [
            right - room / 2
            for room, right in zip(rooms[index], accumulate(rooms[index]), strict=True)
        ]
        nodes, sums = _place_nodes(level, centres, y)
        layout.nodes.append(nodes)
        layout.sums.append(sums)
        if index > 0:
            _finish_routes(layout, index - 1)
        y = max(node.y for node in nodes)
        if index < len(levels) - 1:
            y = _place_insets(layout, index, fans[index], rows[index], size, y)
            y += _LEAST_FAN + 0.07 * width
    return replace(layout, height=y)


def _choose(
    fans: Sequence[Sequence[Sequence[int]]], least_widths: Sequence[Sequence[float]]
) -> tuple[float, list[int]]:
    """Return the first size of inset with which all layers fit on the page, and rows per layer."""
    size, rows = 0.0, list[int]()
    for size, most in _INSETS:
        rows = [
            _rows(layer, names, size, most)
            for layer, names in zip(fans, least_widths, strict=False)
        ]
        fitting = (
            _layer_width(layer, names, row, size) <= _PAGE
            for layer, names, row in zip(fans, least_widths, rows, strict=False)
        )
        if all(fitting):
            break
    return size, rows


def _rows(
    fans: Sequence[Sequence[int]], names: Sequence[float], size: float, most: int | None
) -> int:
    """Return the fewest rows that keep a layer on the page, else those that keep it compact."""
    longest = max([1, *map(len, fans)])
    options = range(1, min(longest, most or longest) + 1)
    widths = {rows: _layer_width(fans, names, rows, size) for rows in options}
    fitting = [rows for rows in options if widths[rows] <= _PAGE]
    return fitting[0] if fitting else min(options, key=lambda rows: max(widths[rows], rows * size))


def _layer_width(
    fans: Sequence[Sequence[int]], names: Sequence[float], rows: int, size: float
) -> float:
    return sum(
        max(name, _fan_width(fan, rows, size)) for fan, name in zip(fans, names, strict=True)
    )


def _fan_width(fan: Sequence[int], rows: int, size: float) -> float:
    return math.ceil(len(fan) / rows) * _pitch(min(rows, max(1, len(fan))), size)


def _pitch(rows: int, size: float) -> float:
    return size + (rows - 1) * _LANE + _COLUMN_GAP


def _widened(cells: Sequence[float], width: float) -> list[float]:
    """Return the widths of cells side by side, widened alike to fill `width`."""
    extra = (width - sum(cells)) / len(cells)
    return [cell + extra for cell in cells]


def _place_nodes(
    level: Nodes, centres: Sequence[float], y: float
) -> tuple[list[Point], list[Point]]:
    nodes, sums = list[Point](), list[Point]()
    for node, x in enumerate(centres):
        count = len(level.members(node))
        if node < level.sums:
            nodes.append(Point(x, y))
            sums.append(Point(x, y))
            continue
        nodes.append(Point(x, y + _FACTOR_RISE))
        left = x - (count - 1) / 2 * _FACTOR_SPACING
        sums.extend(Point(left + place * _FACTOR_SPACING, y) for place in range(count))
    return nodes, sums


def _place_insets(
    layout: Layout, layer: int, fans: Sequence[Sequence[int]], rows: int, size: float, y: float
) -> float:
    """Place a layer's insets and the lines up to them; return the height where they end."""
    pitch = max((_pitch(min(rows, len(fan)), size) for fan in fans if fan), default=0.0)
    widest = max(math.ceil(len(fan) / rows) for fan in fans) * pitch
    low = y + _LEAST_FAN + 0.06 * widest
    tallest = max(min(rows, len(fan)) for fan in fans)
    high = low + tallest * (size + _ROW_GAP) - _ROW_GAP
    for i, fan in enumerate(fans):
        node = layout.nodes[layer][i]
        pitch = _pitch(min(rows, max(1, len(fan))), size)
        columns = [fan[start : start + rows] for start in range(0, len(fan), rows)]
        for place, column in enumerate(columns):
            centre = node.x + (place - (len(columns) - 1) / 2) * pitch
            left = centre - (size + (len(column) - 1) * _LANE) / 2
            top = (low + high + len(column) * (size + _ROW_GAP) - _ROW_GAP) / 2
            for step, j in enumerate(column):
                bottom = top - step * (size + _ROW_GAP) - size
                box = Box(left + step * _LANE, bottom, size, size)
                inset = _LANE / 2 if len(column) > 1 else size / 2
                entry, leave = box.left + inset, box.right - inset
                layout.boxes[layer, i, j] = box
                layout.routes[layer, i, j] = (
                    (node, Point(entry, low), Point(entry, box.bottom)),
                    (Point(leave, box.top), Point(leave, high)),
                )
    return high


def _finish_routes(layout: Layout, layer: int) -> None:
    """Lead the lines of a layer's edges on to the sums above them."""
    for key, (before, after) in layout.routes.items():
        if key[0] == layer:
            layout.routes[key] = (before, (*after, layout.sums[layer + 1][key[2]]))
