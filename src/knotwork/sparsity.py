"""Attribution and pruning: what matters, and the smaller network without what does not.

Importance flows back from the outputs, as in KAN 2.0 (arXiv 2408.10205, section 4.1): an output
scores 1, an edge its node's score times its share of the node's spread over the data, an input or
hidden node the sum of what its edges score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ._checks import check_number
from ._tables import Table, page_part
from .layers import ABSENT
from .network import KAN
from .statistics import LayerStatistics, network_statistics

# What a notebook shows: so many inputs, and blocks in the longest bar.
_MOST_SHOWN = 40
_BAR = 20


@dataclass(frozen=True)
class Attribution:
    """Importance over the data.

    Attributes
    ----------
    inputs : Tensor of shape (inputs,)
    nodes : tuple of Tensors
        For each layer of nodes, inputs first and outputs last, a score per node.
    edges : tuple of Tensors of shape (inputs of the layer, outputs of the layer)
        For each layer a score per edge.
    input_names : tuple of str or None
        Those of the network.
    """

    inputs: Tensor
    nodes: tuple[Tensor, ...]
    edges: tuple[Tensor, ...]
    input_names: tuple[str, ...] | None = None

    def _repr_html_(self) -> str:
        scores = self.inputs.nan_to_num().tolist()
        names = self.input_names or [f"x_{i + 1}" for i in range(len(scores))]
        longest = max(*scores, torch.finfo(self.inputs.dtype).tiny)
        rows = [
            (name, f"{score:.3g}", "█" * round(_BAR * score / longest))
            for name, score in zip(names, scores, strict=True)
        ]
        left_out = len(rows) - _MOST_SHOWN
        more = f"<p>and {left_out} inputs more</p>" if left_out > 0 else ""
        table = Table(("input", "importance", ""), rows[:_MOST_SHOWN], words=(2,), code=(0,))
        return page_part(table.html(), more)


@dataclass(frozen=True)
class PruneReport:
    """What pruning removed.

    Attributes
    ----------
    edges : tuple of (l, i, j)
        Removed edges that led between nodes, in the numbering of the network before.
    nodes : tuple of (layer, node)
        Removed hidden nodes; layer 1 is the first hidden one.
    inputs : tuple of int
        Removed inputs.
    change : float
        Root mean square change of the outputs over the data, relative to their spread.
    """

    edges: tuple[tuple[int, int, int], ...]
    nodes: tuple[tuple[int, int], ...]
    inputs: tuple[int, ...]
    change: float

    def __str__(self) -> str:
        parts = [f"{len(self.edges)} edges", f"{len(self.nodes)} hidden nodes"]
        if self.inputs:
            parts.append(f"inputs {', '.join(map(str, self.inputs))}")
        return (
            f"removed {' and '.join(parts)}; outputs changed by {self.change:.2g} of their spread"
        )

    def _repr_html_(self) -> str:
        return page_part(f"<p>{self}</p>")


def attribute(model: KAN, X: Tensor | None = None) -> Attribution:
    """Score the importance of inputs, nodes and edges.

    Parameters
    ----------
    model : KAN
    X : Tensor of shape (rows, inputs), optional
        Data to judge by; what the network was last fitted to if None.

    Returns
    -------
    Attribution
    """
    return attribution(model, network_statistics(model, model.inputs_or_recent(X)))


@torch.no_grad()
def attribution(
    model: KAN, statistics: Sequence[LayerStatistics], output: int | None = None
) -> Attribution:
    """Score importance given every layer's statistics over the data.

    Parameters
    ----------
    model : KAN
    statistics : sequence of LayerStatistics
    output : int, optional
        Score what matters to this output alone; to all of them together if None.
    """
    score = torch.ones(model.output_count, dtype=model.dtype, device=model.device)
    if output is not None:
        score = score * (torch.arange(model.output_count, device=model.device) == output)
    nodes, edges = [score], []
    for level in range(model.depth - 1, -1, -1):
        sums = score[model.nodes[level].owners()]
        edge = statistics[level].relative_spread * sums
        score = edge.sum(dim=1)
        edges.insert(0, edge)
        nodes.insert(0, score)
    return Attribution(nodes[0], tuple(nodes), tuple(edges), model.input_names)


def prune(
    model: KAN,
    node_threshold: float = 1e-2,
    edge_threshold: float = 3e-2,
    X: Tensor | None = None,
) -> KAN:
    """Return a network without the edges and hidden nodes that do not matter.

    What is removed leaves its mean behind, in the biases of what it led to, so removing something
    that does not vary changes nothing at all.  Every output keeps at least its most important
    edge.  Inputs stay, used or not; see `prune_inputs`.

    Parameters
    ----------
    model : KAN
        Left as it is.
    node_threshold : float
        Hidden nodes scoring below this go; see `attribute`.
    edge_threshold : float
        Edges scoring below this go.
    X : Tensor of shape (rows, inputs), optional
        Data to judge by; what the network was last fitted to if None.

    Returns
    -------
    KAN
        With its `prune_report` set.
    """
    x = model.inputs_or_recent(X)
    check_number(node_threshold, "node_threshold", low=0)
    check_number(edge_threshold, "edge_threshold", low=0)
    scores = _scores(model, x)
    doomed = [edge < edge_threshold for edge in scores.edges]
    for level in range(1, model.depth):
        weak = scores.nodes[level] < node_threshold
        doomed[level][weak, :] = True
        doomed[level - 1][:, weak[model.nodes[level - 1].owners()]] = True
    _spare_outputs(doomed, scores, model)
    return _without(model, x, doomed)


def _scores(model: KAN, x: Tensor) -> Attribution:
    scores = attribute(model, x)
    if not any(bool(edge.any()) for edge in scores.edges):
        raise ValueError(
            "X does not make the outputs vary, so nothing can be judged by it: give more rows, or "
            "fit the network first."
        )
    return scores


def prune_edges(model: KAN, threshold: float = 3e-2, X: Tensor | None = None) -> KAN:
    """Return a network without the edges scoring below `threshold`; see `prune`.

    Parameters
    ----------
    model : KAN
        Left as it is.
    threshold : float
        What scores less goes; see `attribute`.
    X : Tensor of shape (rows, inputs), optional
        Data to judge by; what the network was last fitted to if None.

    Returns
    -------
    KAN
        With its `prune_report` set.
    """
    return prune(model, 0.0, threshold, X)


def prune_nodes(model: KAN, threshold: float = 1e-2, X: Tensor | None = None) -> KAN:
    """Return a network without the hidden nodes scoring below `threshold`; see `prune`.

    Parameters
    ----------
    model : KAN
        Left as it is.
    threshold : float
        What scores less goes; see `attribute`.
    X : Tensor of shape (rows, inputs), optional
        Data to judge by; what the network was last fitted to if None.

    Returns
    -------
    KAN
        With its `prune_report` set.
    """
    return prune(model, threshold, 0.0, X)


@torch.no_grad()
def prune_inputs(model: KAN, threshold: float = 1e-2, X: Tensor | None = None) -> KAN:
    """Return a network that no longer takes the inputs scoring below `threshold`.

    An input that goes leaves its edges' means behind.  At least the most important one stays.

    Parameters
    ----------
    model : KAN
        Left as it is.
    threshold : float
        What scores less goes; see `attribute`.
    X : Tensor of shape (rows, inputs), optional
        Data to judge by; what the network was last fitted to if None.

    Returns
    -------
    KAN
        With its `prune_report` set.
    """
    x = model.inputs_or_recent(X)
    check_number(threshold, "threshold", low=0)
    scores = _scores(model, x)
    keep = scores.inputs >= threshold
    keep[scores.inputs.argmax()] = True
    doomed = [torch.zeros_like(edge, dtype=torch.bool) for edge in scores.edges]
    doomed[0][~keep] = True
    pruned = _without(model, x, doomed)
    kept, gone = keep.nonzero()[:, 0].tolist(), (~keep).nonzero()[:, 0].tolist()
    pruned.layers[0] = pruned.layer(0).select(kept, list(range(pruned.layer(0).out_features)))
    pruned.input_count = len(kept)
    if pruned.input_names is not None:
        pruned.input_names = tuple(pruned.input_names[i] for i in kept)
    if pruned.dataset is not None:
        pruned.dataset = pruned.dataset.select_inputs(kept)
    report = pruned.prune_report
    assert report is not None
    pruned.prune_report = PruneReport(report.edges, report.nodes, tuple(gone), report.change)
    return pruned


@torch.no_grad()
def _without(model: KAN, x: Tensor, doomed: list[Tensor]) -> KAN:
    """Return the network without the doomed edges, and without hidden nodes left with none."""
    pruned = model.copy()
    pruned.fresh = False
    statistics = network_statistics(model, x)
    removed: list[tuple[int, int, int]] = []
    for level, edges in enumerate(doomed):
        layer = pruned.layer(level)
        for i, j in (edges & (layer.kind != ABSENT)).nonzero().tolist():
            layer.remove_edge(i, j, statistics[level].edge_mean[i, j])
            removed.append((level, i, j))
    gone = _drop_idle_nodes(pruned)
    before, after = model(x), pruned(x)
    spread = before.std(dim=0, correction=0).clamp(min=torch.finfo(x.dtype).tiny)
    change = float(((after - before).square().mean(dim=0).sqrt() / spread).max())
    pruned.prune_report = PruneReport(tuple(removed), tuple(gone), (), change)
    return pruned


def _spare_outputs(doomed: list[Tensor], scores: Attribution, model: KAN) -> None:
    """Keep for every output the path of best edges that leads to it, where they are not flat."""
    needed = set(range(model.output_count))
    for level in range(model.depth - 1, -1, -1):
        sums = [member for node in needed for member in model.nodes[level].members(node)]
        best = scores.edges[level].argmax(dim=0).tolist()
        kept = [(best[j], j) for j in sums if scores.edges[level][best[j], j] > 0]
        for i, j in kept:
            doomed[level][i, j] = False
        needed = {i for i, _ in kept}


def _drop_idle_nodes(model: KAN) -> list[tuple[int, int]]:
    """Remove hidden nodes without ingoing or outgoing edges; in place.

    A node without ingoing edges is a constant: what its outgoing edges make of it goes into the
    biases they lead to.  One pass forwards for those and one backwards for nodes that lead nowhere
    leave no idle node.
    """
    alive = [torch.ones(nodes.count, dtype=torch.bool) for nodes in model.nodes[:-1]]
    for level in range(model.depth - 1):
        layer, following = model.layer(level), model.layer(level + 1)
        values = model.nodes[level].combine(layer.bias[None])
        for node in range(model.nodes[level].count):
            members = list(model.nodes[level].members(node))
            if bool((layer.kind[:, members] != ABSENT).any()):
                continue
            leading = following.select([node], list(range(following.out_features)))
            constants = leading.edge_values(values[:, node : node + 1])[0, 0]
            for j in (following.kind[node] != ABSENT).nonzero()[:, 0].tolist():
                following.remove_edge(node, j, constants[j])
            alive[level][node] = False
    for level in range(model.depth - 2, -1, -1):
        layer, following = model.layer(level), model.layer(level + 1)
        for node in range(model.nodes[level].count):
            if bool((following.kind[node] != ABSENT).any()):
                continue
            members = list(model.nodes[level].members(node))
            for i, j in (layer.kind[:, members] != ABSENT).nonzero().tolist():
                layer.remove_edge(i, members[j])
            alive[level][node] = False
    gone = [
        (level + 1, node)
        for level, mask in enumerate(alive)
        for node in (~mask).nonzero()[:, 0].tolist()
    ]
    for level, mask in enumerate(alive):
        # A layer of nodes cannot be empty: a constant network keeps one idle node.
        kept = mask.nonzero()[:, 0].tolist() or [0]
        keep_nodes(model, level, kept)
    return gone


def keep_nodes(model: KAN, level: int, kept: list[int]) -> None:
    """Keep only these nodes behind layer `level`; in place."""
    nodes = model.nodes[level]
    if len(kept) == nodes.count:
        return
    sums = [sum_ for node in kept for sum_ in nodes.members(node)]
    layer, following = model.layer(level), model.layer(level + 1)
    model.layers[level] = layer.select(list(range(layer.in_features)), sums)
    model.layers[level + 1] = following.select(kept, list(range(following.out_features)))
    smaller = type(nodes)(
        sum(node < nodes.sums for node in kept),
        tuple(len(nodes.members(node)) for node in kept if node >= nodes.sums),
    )
    model.nodes = (*model.nodes[:level], smaller, *model.nodes[level + 1 :])
