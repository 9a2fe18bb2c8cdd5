"""From a network and rows of data to an `Explanation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._checks import check_number
from ..edges import Edge
from ..layers import ABSENT
from ..network import KAN
from ..plotting.density import histogram
from ..plotting.network_drawing import drawn_names
from ..sparsity import Attribution, attribution
from ..statistics import LayerStatistics, network_statistics
from .contributions import is_additive
from .effects import Effect, effects
from .result import EdgeExplanation, Explanation, InputExplanation
from .rows import numbers, read_rows

Array = NDArray[np.float64]

# Letters of a name in pictures; texts and tables have all of them.
_LONGEST = 30


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
    labels = tuple(drawn_names(_short(given_inputs), model.input_count, "input_names", "x"))
    output_labels = tuple(
        drawn_names(_short(given_outputs), model.output_count, "output_names", "y")
    )
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
        output_labels,
        inputs,
        tuple(_edges(model, reached, statistics, scores, (names, labels), targets)),
        is_additive(model),
        _additivity(numbers(outputs), numbers(rows), shapes),
        threshold,
        tolerance,
        statistics,
    )


def _short(names: Sequence[str] | None) -> Sequence[str] | None:
    """Return names that leave room for something else in a picture."""
    if names is None or isinstance(names, str):
        return names
    texts = [str(name) for name in names]
    return [text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…" for text in texts]


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
    inputs: tuple[tuple[str, ...], tuple[str, ...]],
    outputs: tuple[str, ...],
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
    for o in np.flatnonzero(variance > 0).tolist():
        total = sum(row[o].at(rows[:, i]) for i, row in enumerate(shapes))
        found[o] = 1 - np.mean((outputs[:, o] - outputs[:, o].mean() - total) ** 2) / variance[o]
    return found
