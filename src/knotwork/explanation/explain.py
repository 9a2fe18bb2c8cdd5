"""What a network does, as an object to be read, drawn and saved as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._atomic_write import write_atomically
from .._checks import check_choice, check_index, check_number
from .._text_table import aligned
from ..edges import Edge
from ..layers import ABSENT
from ..network import KAN
from ..plotting.density import histogram
from ..plotting.edge import EdgeDrawing, drawing_over
from ..plotting.network_drawing import drawn_names
from ..sparsity import Attribution, attribution
from ..statistics import LayerStatistics, network_statistics
from .contributions import contributions, is_additive, some_rows
from .effects import Effect, effects
from .row import RowExplanation, explain_row
from .rows import numbers, read_row, read_rows

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
    inputs : tuple of InputExplanation
    edges : tuple of EdgeExplanation
        The edges that are there, layer by layer.
    exact : bool
        Whether the network is a sum of functions of single inputs, so that shapes and
        contributions are its own functions.  Otherwise shapes are accumulated local effects and
        contributions integrated gradients; see `knotwork.explanation`.
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
            self.X,
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

    @cached_property
    def dots(self) -> tuple[Array, Array]:
        """What inputs add to the predictions for some rows: the rows, and their contributions.

        Arrays of shape (some, inputs) and (some, inputs, outputs).
        """
        rows = some_rows(self.X, _DOTS)
        spread = torch.from_numpy(self.spread).to(rows)
        found = contributions(
            self.model, rows, self.X, self.statistics[0].edge_mean, _ROUGHLY * spread
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
        write_atomically(Path(path), self.to_html(rows, title=title).encode())

    def __str__(self) -> str:
        header = ["input", "importance", *self.output_names]
        lines = [
            [found.name, f"{found.importance:.3f}", *map(str, found.effects)]
            for found in self.ranked()
        ]
        columns = range(2, len(header))
        return f"{self.summary()}\n\n{aligned([header, *lines], left=(0, *columns))}"

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


@torch.no_grad()
def explain(
    model: KAN,
    X: Any = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    threshold: float = 1e-2,
    tolerance: float = 1e-2,
) -> Explanation:
    """Read a network: what every input and edge does, over rows of data.

    Parameters
    ----------
    model : KAN
        Copied, so that the explanation stays that of the network as it is now.
    X : tensor, array, data frame or list of rows, shape (rows, inputs), optional
        What to explain it over; what the network was last fitted to if None.
    input_names, output_names : sequence of str, optional
        By default those that the network or X has, else x_1, x_2, ... and y.
    threshold : float
        An input has no effect on an output if no path of edges leads there, if it does not vary,
        if its importance is below this, or if at its slopes over its whole range it would nowhere
        move the output by more than this share of the output's spread.
    tolerance : float
        An effect is increasing (decreasing) if the output's exact derivative by the input is
        positive (negative) wherever it was looked at, slopes aside that are smaller than this
        share of their root mean square: at all rows, and between them along the whole range of
        the data where the network is a sum of functions, elsewhere with the input moved to the
        ends of the interval around every row (at most 2,000 rows).

    Returns
    -------
    Explanation

    Raises
    ------
    TypeError, ValueError
        If X does not fit the network, is not finite, or gives outputs that are not.

    Examples
    --------
    >>> from knotwork import KAN, create_dataset
    >>> data = create_dataset(lambda x: x[:, 0] ** 3 + x[:, 1] ** 2, n_var=3, train_num=300)
    >>> model = KAN([3, 1])
    >>> history = model.fit(data, steps=10)
    >>> [found.effects[0].direction for found in model.explain().inputs]
    ['increasing', 'neither', 'no effect']
    """
    check_number(threshold, "threshold", low=0)
    check_number(tolerance, "tolerance", low=0)
    rows, columns = read_rows(model, X)
    given_inputs = columns if input_names is None else input_names
    given_outputs = model.output_names if output_names is None else output_names
    labels = drawn_names(given_inputs, model.input_count, "input_names", "x")
    drawn_names(given_outputs, model.output_count, "output_names", "y")
    names = _plain_names(given_inputs, model.input_count, "x")
    model = model.copy().requires_grad_(False)
    traces, outputs = model.trace(rows)
    _check_finite(outputs)
    statistics = network_statistics(model, rows)
    scores = attribution(model, statistics)
    shapes = effects(model, rows, outputs, statistics, threshold, tolerance)
    inputs = tuple(
        _input(i, names[i], labels[i], scores, rows[:, i], shapes[i])
        for i in range(model.input_count)
    )
    targets = _plain_names(given_outputs, model.output_count, "y")
    reached = [trace.inputs for trace in traces]
    return Explanation(
        model,
        rows,
        numbers(outputs),
        names,
        targets,
        inputs,
        tuple(_edges(model, reached, statistics, scores, (names, labels), targets)),
        is_additive(model),
        _additivity(numbers(outputs), numbers(rows), shapes),
        threshold,
        tolerance,
        statistics,
    )


def _plain_names(given: Sequence[str] | None, count: int, letter: str) -> tuple[str, ...]:
    if given is not None:
        return tuple(map(str, given))
    if letter == "y" and count == 1:
        return (letter,)
    return tuple(f"{letter}_{index}" for index in range(1, count + 1))


def _check_finite(outputs: Tensor) -> None:
    bad = (~outputs.isfinite()).nonzero()
    if len(bad):
        row, output = bad[0].tolist()
        raise ValueError(
            f"the network gives {float(outputs[row, output])} for row {row} of X (counted from "
            "0): a function on its edges is not defined there. Leave such rows out."
        )


def _input(
    index: int,
    name: str,
    label: str,
    scores: Attribution,
    column: Tensor,
    shapes: Sequence[Effect],
) -> InputExplanation:
    values = numbers(column)
    low, high = float(values.min()), float(values.max())
    # NumPy widens the span of a constant by itself.
    bins, density = histogram(values, (low, high))
    importance = float(scores.inputs[index])
    mean = float(values.mean())
    return InputExplanation(
        index, name, label, importance, low, high, mean, bins, density, tuple(shapes)
    )


def _edges(
    model: KAN,
    reached: Sequence[Tensor],
    statistics: Sequence[LayerStatistics],
    scores: Attribution,
    inputs: tuple[Sequence[str], Sequence[str]],
    outputs: Sequence[str],
) -> list[EdgeExplanation]:
    found: list[EdgeExplanation] = []
    names, labels = inputs
    for l in range(model.depth):
        nodes, last = model.nodes[l], l == model.depth - 1
        owners = nodes.owners()
        for i, j in (model.layer(l).kind != ABSENT).nonzero().tolist():
            edge = Edge(model, l, i, j)
            node = owners[j]
            target = outputs[node] if last else f"node {node} of layer {l + 1}"
            if node >= nodes.sums:
                target = f"factor {nodes.members(node).index(j) + 1} of {target}"
            source, label = f"node {i} of layer {l}", f"node {i} of layer {l}"
            if l == 0:
                source, label = names[i], labels[i]
            found.append(
                EdgeExplanation(
                    edge,
                    source,
                    target,
                    label,
                    float(scores.edges[l][i, j]),
                    float(statistics[l].edge_mean[i, j]),
                    float(statistics[l].edge_spread[i, j]),
                    reached[l][:, i],
                )
            )
    return found


def _additivity(outputs: Array, rows: Array, shapes: Sequence[Sequence[Effect]]) -> Array:
    """Return R^2 of the sum of all shapes for every output."""
    variance = outputs.var(axis=0)
    found = np.full(outputs.shape[1], np.nan)
    for o in np.flatnonzero(variance > 0):
        total = sum(row[o].at(rows[:, i]) for i, row in enumerate(shapes))
        found[o] = 1 - np.mean((outputs[:, o] - outputs[:, o].mean() - total) ** 2) / variance[o]
    return found
