"""One row's prediction taken apart: edge by edge, node by node, and input by input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._tables import Table, page_part
from ..layers import ABSENT
from ..network import KAN
from ..statistics import LayerStatistics
from .contributions import contributions
from .rows import numbers

Array = NDArray[np.float64]
NodeKind = Literal["sum", "product"]

# Remainders below this share of the prediction's distance from the mean are not worth a line.
_NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class EdgeContribution:
    """What an edge adds to the sum that it leads to.

    Attributes
    ----------
    l, i, j : int
    input : float
        What reaches the edge.
    value : float
        The edge's function there.
    mean : float
        The mean of the function over the data.
    """

    l: int
    i: int
    j: int
    input: float
    value: float
    mean: float

    @property
    def contribution(self) -> float:
        """The value less its mean: what sets this row apart."""
        return self.value - self.mean


@dataclass(frozen=True)
class NodeValue:
    """A node of the network at one row.

    Attributes
    ----------
    level : int
        1 for the nodes behind the first layer, the network's depth for outputs.
    index : int
    kind : {"sum", "product"}
    sums : tuple of int
        Which of the layer's sums, the `j` of its edges, the node is made of: one for a sum node,
        all factors for a product.
    factors : tuple of float
        The values of these sums.  Each is its mean and the contributions of its edges.
    means : tuple of float
        The means of these sums over the data.
    """

    level: int
    index: int
    kind: NodeKind
    sums: tuple[int, ...]
    factors: tuple[float, ...]
    means: tuple[float, ...]

    @property
    def value(self) -> float:
        """The product of the factors."""
        return float(np.prod(self.factors))


@dataclass(frozen=True, eq=False)
class RowExplanation:
    """A prediction taken apart.

    Attributes
    ----------
    index : int or None
        Of the row in X; None for a row of its own.
    input_names, output_names : tuple of str
    inputs : array of shape (inputs,)
    outputs : array of shape (outputs,)
        What the network predicts.
    base : array of shape (outputs,)
        The mean prediction that contributions are counted from: over all rows of X if `exact`,
        over 100 of them at the most otherwise.
    contributions : array of shape (inputs, outputs)
        What each input adds: ``base + contributions.sum(axis=0)`` is `outputs`, up to `remainder`.
        nan where lines between rows leave the domain of a function in the network.
    remainder : array of shape (outputs,)
        The error of rounding and, unless `exact`, of the quadrature.
    exact : bool
        Whether the network is a sum of functions of single inputs, so that contributions are the
        edges'; else they are integrated gradients (arXiv 1703.01365).
    edges : tuple of EdgeContribution
        All edges that are there.
    nodes : tuple of NodeValue
    """

    index: int | None
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    inputs: Array
    outputs: Array
    base: Array
    contributions: Array
    remainder: Array
    exact: bool
    edges: tuple[EdgeContribution, ...]
    nodes: tuple[NodeValue, ...]

    @property
    def title(self) -> str:
        """The row's name."""
        return "a row of its own" if self.index is None else f"row {self.index}"

    def ranked(self, output: int) -> list[int]:
        """Return the inputs, the one that adds or takes most first."""
        sizes = np.abs(np.nan_to_num(self.contributions[:, output]))
        return np.argsort(-sizes, kind="stable").tolist()

    def notable_remainder(self, output: int) -> float | None:
        """Return the remainder if it is large enough to be seen, else None."""
        remainder = float(self.remainder[output])
        moved = abs(float(self.outputs[output] - self.base[output]))
        sizes = float(np.abs(self.contributions[:, output]).sum())
        # nan is notable as well.
        return None if abs(remainder) <= _NEGLIGIBLE * max(moved, sizes) else remainder

    def __str__(self) -> str:
        return "\n\n".join(map(str, self._tables()))

    def _repr_html_(self) -> str:
        return page_part(*(table.html() for table in self._tables()))

    def _tables(self) -> list[Table]:
        return [self._table(output) for output in range(len(self.outputs))]

    def _table(self, output: int) -> Table:
        lines = [("mean", "", f"{self.base[output]:.4g}")]
        for i in self.ranked(output):
            added = f"{self.contributions[i, output]:+.4g}"
            lines.append((self.input_names[i], f"{self.inputs[i]:.4g}", added))
        remainder = self.notable_remainder(output)
        if remainder is not None:
            lines.append(("remainder", "", f"{remainder:+.4g}"))
        lines.append((f"prediction for {self.title}", "", f"{self.outputs[output]:.4g}"))
        return Table(("", "input", self.output_names[output]), lines, words=(0,))


@torch.no_grad()
def explain_row(
    model: KAN,
    row: Tensor,
    references: Tensor,
    statistics: Sequence[LayerStatistics],
    tolerance: Tensor,
    *,
    index: int | None,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    exact: bool,
) -> RowExplanation:
    """Take the prediction for one row, shape (1, inputs), apart; see `RowExplanation`."""
    traces, outputs = model.trace(row)
    edges: list[EdgeContribution] = []
    nodes: list[NodeValue] = []
    for l, (trace, level, over_data) in enumerate(
        zip(traces, model.nodes, statistics, strict=True)
    ):
        layer = model.layer(l)
        values, means = layer.edge_values(trace.inputs)[0], over_data.edge_mean
        edges += [
            EdgeContribution(
                l, i, j, float(trace.inputs[0, i]), float(values[i, j]), float(means[i, j])
            )
            for i, j in (layer.kind != ABSENT).nonzero().tolist()
        ]
        for node in range(level.count):
            sums = tuple(level.members(node))
            nodes.append(
                NodeValue(
                    l + 1,
                    node,
                    "sum" if node < level.sums else "product",
                    sums,
                    tuple(trace.subnodes[0, list(sums)].tolist()),
                    tuple(over_data.node_mean[list(sums)].tolist()),
                )
            )
    found = contributions(model, row, references, statistics[0].edge_mean, tolerance)
    return RowExplanation(
        index,
        *names,
        numbers(row[0]),
        numbers(outputs[0]),
        numbers(found.base),
        numbers(found.inputs[0]),
        numbers(found.remainder[0]),
        exact,
        tuple(edges),
        tuple(nodes),
    )
