"""One edge of a network, for looking at: what it is, where its data lies, its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import splines
from .functions import SymbolicFunction
from .layers import ABSENT, SPLINE
from .network import KAN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {ABSENT: "absent", SPLINE: "spline"}


@dataclass(frozen=True)
class Edge:
    """The function from input `i` to output `j` of layer `l`.

    Attributes
    ----------
    model : KAN
        The network it belongs to; the edge always shows its present state.
    l, i, j : int
    """

    model: KAN
    l: int
    i: int
    j: int

    @property
    def kind(self) -> str:
        """One of "absent", "spline" and "symbolic"."""
        return _KINDS.get(int(self.model.layer(self.l).kind[self.i, self.j]), "symbolic")

    @property
    def function(self) -> SymbolicFunction | None:
        """The symbolic function on the edge, or None."""
        return self.model.layer(self.l).function_at(self.i, self.j)

    @property
    def constants(self) -> tuple[float, float, float] | None:
        """The constants (a, b, c) of a symbolic edge, c f(a x + b), or None."""
        return self.model.layer(self.l).constants_at(self.i, self.j)

    @property
    def knot_range(self) -> tuple[float, float]:
        """The ends of the input's knots."""
        layer = self.model.layer(self.l)
        low, high = splines.domain(layer.knots, layer.k)
        return float(low[self.i]), float(high[self.i])

    @torch.no_grad()
    def inputs(self, X: Tensor | None = None) -> Tensor:
        """Return the values that reach the edge, shape (rows,).

        Parameters
        ----------
        X : Tensor of shape (rows, inputs of the network), optional
            By default what the network was last fitted to.
        """
        traces, _ = self.model.trace(self.model.inputs_or_recent(X))
        return traces[self.l].inputs[:, self.i]

    def range(self, X: Tensor | None = None) -> tuple[float, float]:
        """Return the least and the greatest value that reach the edge."""
        x = self.inputs(X)
        return float(x.min()), float(x.max())

    @torch.no_grad()
    def values(self, x: Tensor) -> Tensor:
        """Evaluate the edge's function at `x` of shape (rows,)."""
        layer = self.model.layer(self.l).select([self.i], [self.j])
        return layer.edge_values(x.to(layer.knots)[:, None])[:, 0, 0]

    def plot(self, X: Tensor | None = None) -> Figure:
        """Draw the function with the density of its data."""
        from .plotting import plot_edge

        return plot_edge(self, X)

    @property
    def form(self) -> str:
        """What is on the edge: "absent", "spline", or its function with its constants."""
        if self.function is None or self.constants is None:
            return self.kind
        a, b, c = self.constants
        return f"{c:.6g} * {self.function.name}({a:.6g} * x + {b:.6g})"

    def __repr__(self) -> str:
        return f"Edge(l={self.l}, i={self.i}, j={self.j}, {self.form})"
