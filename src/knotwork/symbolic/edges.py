"""Symbolic functions on single edges of a network: suggesting and fixing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .._tables import Table, page_part
from ..functions import SymbolicFunction, get, resolve
from ..layers import ABSENT
from ..network import KAN
from .edge_fit import EdgeFit, fit_edges

# Points at which an edge's function is compared with candidates.
_MOST_POINTS = 256
_FEWEST_POINTS = 5


@dataclass(frozen=True)
class Suggestions(Sequence[EdgeFit]):
    """Functions for one edge, best first; prints as a table."""

    fits: tuple[EdgeFit, ...]

    def __len__(self) -> int:
        return len(self.fits)

    def __getitem__(self, index: int) -> EdgeFit:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.fits[index]

    def __iter__(self) -> Iterator[EdgeFit]:
        return iter(self.fits)

    def _table(self) -> Table:
        rows: list[tuple[str, ...]] = []
        for fit in self.fits:
            constants = (f"{value:.4g}" for value in (fit.a, fit.b, fit.c, fit.d))
            cost = f"{fit.function.cost:g}"
            rows.append((fit.function.name, f"{fit.r2:.6f}", cost, *constants))
        return Table(("function", "R^2", "cost", "a", "b", "c", "d"), rows)

    def __str__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return page_part(self._table().html())


@torch.no_grad()
def suggest_symbolic(
    model: KAN,
    l: int,
    i: int,
    j: int,
    lib: Sequence[str | SymbolicFunction] | None = None,
    X: Tensor | None = None,
) -> Suggestions:
    """Rank functions by how well ``c * f(a*x + b) + d`` describes an edge over its data.

    Parameters
    ----------
    model : KAN
    l, i, j : int
        The edge.
    lib : sequence of str or SymbolicFunction, optional
        Functions to try, by name or as records.
    X : Tensor of shape (rows, inputs), optional
        Data; what the network was last fitted to if None.

    Returns
    -------
    Suggestions
        Best first: by accuracy (R^2 after refinement) against the function's cost.  Empty if the
        edge is constant over the data.
    """
    functions = resolve(lib)
    l, i, j = model.check_edge(l, i, j)
    inputs = model.trace(model.inputs_or_recent(X))[0][l].inputs
    return Suggestions(tuple(fit_layer_edges(model, l, [(i, j)], inputs, functions)[0]))


def fit_layer_edges(
    model: KAN,
    l: int,
    edges: list[tuple[int, int]],
    inputs: Tensor,
    functions: Sequence[SymbolicFunction],
) -> list[list[EdgeFit]]:
    """Fit functions to edges (i, j) of one layer over its inputs, shape (rows, inputs)."""
    if len(inputs) < _FEWEST_POINTS:
        raise ValueError(
            f"X has {len(inputs)} rows; a function is told by at least {_FEWEST_POINTS}."
        )
    layer = model.layer(l)
    # Spread by rank rather than by row, so that few points still reach both ends of the data.
    ranked = inputs.sort(dim=0).values
    count = min(_MOST_POINTS, len(ranked))
    rows = torch.linspace(0, len(ranked) - 1, count, device=inputs.device).round().long()
    points = ranked[rows].double()
    values = layer.edge_values(points.to(inputs.dtype)).double()
    x = torch.stack([points[:, i] for i, _ in edges])
    y = torch.stack([values[:, i, j] for i, j in edges])
    return fit_edges(x.cpu(), y.cpu(), functions)


@torch.no_grad()
def fix_symbolic(
    model: KAN,
    l: int,
    i: int,
    j: int,
    function: str | SymbolicFunction,
    X: Tensor | None = None,
) -> float:
    """Replace an edge by the best ``c * f(a*x + b) + d``, in place.

    Parameters
    ----------
    model : KAN
    l, i, j : int
        The edge; it must not be absent.
    function : str or SymbolicFunction
    X : Tensor of shape (rows, inputs), optional
        Data to fit over; what the network was last fitted to if None.

    Returns
    -------
    float
        R^2 of the function against what was on the edge.

    Raises
    ------
    ValueError
        If the edge is absent, constant over the data, or the function's domain cannot hold it.
    """
    record = get(function)
    l, i, j = model.check_edge(l, i, j)
    layer = model.layer(l)
    if int(layer.kind[i, j]) == ABSENT:
        raise ValueError(f"edge ({l}, {i}, {j}) is absent (pruned), so no function can go there.")
    inputs = model.trace(model.inputs_or_recent(X))[0][l].inputs
    # A function that is there already gives way to what it replaced, once the new one is found.
    underlying = model.copy()
    if layer.function_at(i, j) is not None:
        underlying.layer(l).unset_symbolic(i, j)
    fits = fit_layer_edges(underlying, l, [(i, j)], inputs, [record])[0]
    if not fits:
        raise ValueError(
            f"edge ({l}, {i}, {j}) cannot become {record.name!r}: either it is constant over the "
            "data (prune it), or no scale and shift bring the data into the function's domain."
        )
    place(model, l, i, j, fits[0])
    return fits[0].r2


def place(model: KAN, l: int, i: int, j: int, fit: EdgeFit) -> None:
    """Put a fitted function on an edge, in place."""
    model.fresh = False
    model.layer(l).set_symbolic(i, j, fit.function, fit.a, fit.b, fit.c, fit.d)
