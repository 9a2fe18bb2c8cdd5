"""What a network does, as an object to be read, drawn and saved as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._atomic_write import check_destination, write_atomically
from .._checks import check_choice, check_index
from .._tables import Table, page_part
from ..edges import Edge
from ..network import KAN
from ..plotting.edge import EdgeDrawing, drawing_over
from ..statistics import LayerStatistics
from .contributions import contributions, reference_rows, some_rows
from .effects import Effect
from .row import RowExplanation, explain_row
from .rows import numbers, read_row

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import Figure

Array = NDArray[np.float64]

# Rows whose contributions are drawn as dots.
_DOTS = 150
# What contributions may be off by, in terms of the outputs' spread: of rows, and of dots.
_EXACTLY, _ROUGHLY = 1e-5, 1e-3


@dataclass(frozen=True, eq=False)
class InputExplanation:
    """What an input does.

    Attributes
    ----------
    index : int
    name : str
    label : str
        The name as pictures show it.
    importance : float
        For all outputs together; see `knotwork.sparsity.attribute`.
    low, high, mean : float
        Of its values in the data.
    bins, density : arrays of shape (bins + 1,) and (bins,)
        Histogram of them.
    effects : tuple of Effect
        One for each output.
    """

    index: int
    name: str
    label: str
    importance: float
    low: float
    high: float
    mean: float
    bins: Array
    density: Array
    effects: tuple[Effect, ...]


@dataclass(frozen=True, eq=False)
class EdgeExplanation:
    """What an edge does.

    Attributes
    ----------
    edge : Edge
        With its place `l`, `i`, `j`, its `kind` and its function.
    source, target : str
        Where it comes from and leads to, in words.
    label : str
        Where it comes from, as pictures show it.
    importance : float
    mean, spread : float
        Mean and standard deviation of its values over the data.
    reached : Tensor of shape (rows,)
        What reaches it.
    """

    edge: Edge
    source: str
    target: str
    label: str
    importance: float
    mean: float
    spread: float
    reached: Tensor = field(repr=False)

    @cached_property
    def drawing(self) -> EdgeDrawing:
        """Its function over its data, and the density of that."""
        return drawing_over(self.edge, self.reached, self.label)


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a network does over rows of data.  ``print`` it, `plot` it, or save it as a page.

    Attributes
    ----------
    model : KAN
        The network as it was, a copy.
    X : Tensor of shape (rows, inputs)
    predictions : array of shape (rows, outputs)
    input_names, output_names : tuple of str
    output_labels : tuple of str
        The outputs' names as pictures show them.
    inputs : tuple of InputExplanation
    edges : tuple of EdgeExplanation
        The edges that are there, layer by layer.
    exact : bool
        Whether the network is a sum of functions of single inputs, so that shapes and
        contributions are its own functions.  Otherwise shapes are accumulated local effects and
        contributions integrated gradients (arXiv 1703.01365).
    additivity : array of shape (outputs,)
        The share of each output's variance that the sum of the inputs' shapes accounts for (R^2);
        what is missing from 1 is what inputs do together.  nan for a constant output.
    threshold, tolerance : float
        As given to `explain`.
    """

    model: KAN
    X: Tensor
    predictions: Array
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    output_labels: tuple[str, ...]
    inputs: tuple[InputExplanation, ...]
    edges: tuple[EdgeExplanation, ...]
    exact: bool
    additivity: Array
    threshold: float
    tolerance: float
    statistics: list[LayerStatistics] = field(repr=False)

    def __len__(self) -> int:
        return len(self.X)

    # -- rows ------------------------------------------------------------------------------------

    def row(self, which: Any) -> RowExplanation:
        """Take the prediction for one row apart.

        Parameters
        ----------
        which : int or sequence of float
            The index of a row of X, or a row of its own with a number for each input.

        Raises
        ------
        IndexError
            If there is no such row.
        TypeError, ValueError
            If it is no row of as many finite numbers as there are inputs.
        """
        index = None
        if isinstance(which, int | np.integer) and not isinstance(which, bool):
            index = check_index(which, "row", len(self.X), "rows")
            row = self.X[index : index + 1]
        else:
            row = read_row(self.model, which, self.input_names)
        return explain_row(
            self.model,
            row,
            self.references,
            self.statistics,
            torch.from_numpy(_EXACTLY * self.spread).to(self.X),
            index=index,
            names=(self.input_names, self.output_names),
            exact=self.exact,
        )

    def telling_rows(self) -> list[int]:
        """Return the indices of a typical row and of the row that is farthest from the means.

        Distances are those of the predictions from their means, in units of their spread.
        """
        distance = np.abs(self.predictions - self.predictions.mean(axis=0)) / self.spread
        farthest = np.nan_to_num(distance).max(axis=1)
        return list(dict.fromkeys([int(farthest.argmin()), int(farthest.argmax())]))

    @cached_property
    def spread(self) -> Array:
        """The standard deviation of each output over the rows, shape (outputs,); 1 for constants.

        A constant counts as one, as there is nothing to compare its changes with.
        """
        spread = self.predictions.std(axis=0)
        return np.where(spread > 0, spread, 1.0)

    @property
    def most_importance(self) -> float:
        """What a whole bar of importance stands for: 1, or the largest importance above that."""
        scores = [found.importance for found in (*self.inputs, *self.edges)]
        return float(np.nanmax([1.0, *scores]))

    @cached_property
    def references(self) -> Tensor:
        """The rows that contributions are counted from where they are not `exact`."""
        return reference_rows(self.X, torch.from_numpy(self.predictions).to(self.X))

    @cached_property
    def dots(self) -> tuple[Array, Array]:
        """What inputs add to the predictions for some rows: the rows, and their contributions.

        Arrays of shape (some, inputs) and (some, inputs, outputs).
        """
        rows = some_rows(self.X, _DOTS)
        spread = torch.from_numpy(self.spread).to(rows)
        found = contributions(
            self.model, rows, self.references, self.statistics[0].edge_mean, _ROUGHLY * spread
        )
        return numbers(rows), numbers(found.inputs)

    # -- pictures --------------------------------------------------------------------------------

    def plot(self) -> Figure:
        """Draw the shape of every input's effect, with importance, direction and density."""
        from .figures import plot_inputs

        return plot_inputs(self)

    def plot_edges(self) -> Figure:
        """Draw the function of every edge over its data, with importance and density."""
        from .figures import plot_edges

        return plot_edges(self)

    def plot_row(self, which: Any, output: int | str = 0) -> Figure:
        """Draw what the inputs add to one prediction, the largest first.

        Parameters
        ----------
        which : int or sequence of float
            As for `row`.
        output : int or str
            The output, by its index or its name.
        """
        from .figures import plot_row

        return plot_row(self, self.row(which), self.output_index(output))

    def plot_network(self, which: Any = None) -> Figure:
        """Draw the network; given a row, as for `row`, dots say where it lies on every edge."""
        from .figures import plot_network_of

        return plot_network_of(self, None if which is None else self.row(which))

    def output_index(self, output: int | str) -> int:
        """Return the index of an output given by its index or its name."""
        if isinstance(output, str):
            return self.output_names.index(check_choice(output, "output", self.output_names))
        return check_index(output, "output", len(self.output_names), "outputs")

    # -- text and page ---------------------------------------------------------------------------

    def ranked(self) -> list[InputExplanation]:
        """Return the inputs, the most important one first."""
        return sorted(self.inputs, key=lambda found: -np.nan_to_num(found.importance))

    def ranked_edges(self) -> list[EdgeExplanation]:
        """Return the edges, the most important one first."""
        return sorted(self.edges, key=lambda found: -np.nan_to_num(found.importance))

    def to_html(self, rows: Sequence[Any] | None = None, *, title: str | None = None) -> str:
        """Return a page that needs nothing else: pictures, tables, and some rows taken apart.

        Parameters
        ----------
        rows : sequence of int or of rows, optional
            What to take apart, each as for `row`; by default the `telling_rows`.
        title : str, optional
        """
        from .page import html_page

        chosen = self.telling_rows() if rows is None else rows
        return html_page(self, [self.row(which) for which in chosen], title)

    def save_html(
        self,
        path: str | PathLike[str],
        rows: Sequence[Any] | None = None,
        *,
        title: str | None = None,
    ) -> None:
        """Write the page of `to_html`, all of it or nothing."""
        destination = check_destination(Path(path))
        write_atomically(destination, self.to_html(rows, title=title).encode())

    def __str__(self) -> str:
        return f"{self.summary()}\n\n{self._table()}"

    def _repr_html_(self) -> str:
        return page_part(f"<p>{escape(self.summary())}</p>", self._table().html())

    def _table(self) -> Table:
        header = ["input", "importance", *self.output_names]
        lines = [
            [found.name, f"{found.importance:.3f}", *map(str, found.effects)]
            for found in self.ranked()
        ]
        return Table(header, lines, words=range(2, len(header)), code=(0,))

    def summary(self) -> str:
        """Say in a sentence or two what was looked at, and what the shapes are."""
        size = f"network {self.model.width} with {len(self.edges)} edges, over {len(self)} rows"
        if self.exact:
            return f"{size}: a sum of functions of single inputs, which are the shapes."
        shares = ", ".join(
            f"{share:.1%} of {name}"
            for name, share in zip(self.output_names, self.additivity, strict=True)
        )
        return (
            f"{size}: the shapes are accumulated local effects; added up, they account for "
            f"{shares} (R^2), and what inputs do together for the rest."
        )
