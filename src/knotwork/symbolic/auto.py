"""The whole way from a trained network to one with a function on every edge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .._checks import MOST_SEED, check_integer
from .._tables import Table, page_part
from .._threads import SMALL_WORK, one_thread
from ..data import Dataset, Samples, as_dataset
from ..functions import SymbolicFunction, resolve
from ..knots import varies
from ..layers import ABSENT, SPLINE
from ..network import KAN
from ..sparsity import attribute, keep_nodes, prune
from ..statistics import network_statistics
from ..training.losses import LOSSES
from ..training.options import DEFAULT_STARTS
from ..training.polish import polish, relative_loss
from ..training.start import start_on_data
from .rounding import round_constants
from .snapping import COST_FACTOR, EXACT, EdgeKey, network_cost, snap, snap_at_once, spline_edges

# Sparsity strengths gone through, weak to strong, and the steps at each.
_LADDER = (1e-4, 3e-4, 1e-3)
_LADDER_STEPS = 20
_FREE_STEPS = 15
_PRUNE_THRESHOLD = 0.05
_FINAL_STEPS = 100
# What makes a trained network worth snapping at once: a small loss and few edges.
_PROMISING_LOSS = 1e-4
_PROMISING_EDGES = 6
# The share of a loss that finer splines leave if it was their misfit and not noise.
_MISFIT = 0.5
# A loss up to this many times that of finer splines may be noise.
_AT_THE_FLOOR = 1.5
# Cost that an edge is expected to have once it is a function.
_EDGE_COST = 2.5
# Edges that vary less than this share of their node have no function to speak of.
_NEGLIGIBLE = 1e-3
# How many edges of a symbolic network are tried for removal, and the steps given to do without.
_MOST_REMOVALS = 12
_REMOVAL_STEPS = 30
# A loss may rise by this over the number of rows before an edge counts as needed: two standard
# errors of one constant.
_SIGNIFICANT = 4.0


@dataclass(frozen=True)
class SnapReport:
    """What `auto_symbolic` did.

    Attributes
    ----------
    functions : dict
        The function's name for every edge (l, i, j).
    spline_rmse, symbolic_rmse : float
        Training RMSE relative to the targets' spread, with splines and with functions.
    restarts : int
        Fresh starts that were trained because the network as it was did not turn symbolic well.
    """

    functions: dict[EdgeKey, str]
    spline_rmse: float
    symbolic_rmse: float
    restarts: int

    def __str__(self) -> str:
        edges = [f"({l}, {i}, {j}): {name}" for (l, i, j), name in sorted(self.functions.items())]
        return "\n".join([*edges, *self._remarks()])

    def _repr_html_(self) -> str:
        rows = [(str(edge), name) for edge, name in sorted(self.functions.items())]
        remarks = [f"<p>{remark}</p>" for remark in self._remarks()]
        return page_part(Table(("edge", "function"), rows, code=(0, 1)).html(), *remarks)

    def _remarks(self) -> list[str]:
        remarks = [
            f"relative RMSE {self.spline_rmse:.2g} with splines, {self.symbolic_rmse:.2g} symbolic"
        ]
        if self.restarts:
            remarks.append(
                f"after {self.restarts} fresh starts of the same shape or a narrower one"
            )
        return remarks


@dataclass(frozen=True)
class _Trained:
    """A network of splines and its relative loss; `given` if it is the user's own."""

    model: KAN
    loss: float
    given: bool = False

    @property
    def worth(self) -> float:
        """Loss against the number of edges that will need a function; smaller is better."""
        return max(self.loss, EXACT) * COST_FACTOR ** (_EDGE_COST * self.model.edge_count())

    @property
    def promising(self) -> bool:
        """Whether it fits well with few enough edges to be snapped quickly."""
        few = self.model.edge_count() <= _PROMISING_EDGES or _is_tree(self.model)
        return self.loss <= _PROMISING_LOSS and few


@dataclass(frozen=True)
class _Snapped:
    """A symbolic network and its relative loss, after `start` was snapped."""

    model: KAN
    loss: float
    start: _Trained

    @property
    def worth(self) -> float:
        """Loss against cost; smaller is better."""
        return max(self.loss, EXACT) * COST_FACTOR ** network_cost(self.model)

    @property
    def exact(self) -> bool:
        """Whether the loss is rounding error."""
        return self.loss <= EXACT

    def agrees(self, other: _Snapped) -> bool:
        """Tell whether both found the same functions, layer by layer, and fit alike."""
        same = _names_by_layer(self.model) == _names_by_layer(other.model)
        return same and _alike(self.loss, other.loss)


def _alike(loss: float, other: float) -> bool:
    return loss <= 1.1 * other and other <= 1.1 * loss


def _names_by_layer(model: KAN) -> list[list[str]]:
    return [
        sorted(function.name for function in model.layer(level).functions)
        for level in range(model.depth)
    ]


def auto_symbolic(
    model: KAN,
    lib: Sequence[str | SymbolicFunction] | None = None,
    *,
    data: Any = None,
    restarts: int = 6,
) -> SnapReport:
    """Put a function of the library on every edge, in place.

    Edges are snapped one by one in the context of the whole network, by a beam search that fits
    everything else again after every choice (see ``knotwork/symbolic/snapping.py``); constants are
    fitted to rounding error and made nicer where the loss allows.  Where the network as it is
    does not clearly turn into the right functions, it is first made sparser, and then started
    afresh a few times in the same shape or a narrower one, until the loss is rounding error or two
    starts agree.

    Parameters
    ----------
    model : KAN
        Fitted and, preferably, pruned.
    lib : sequence of str or SymbolicFunction, optional
        Functions to choose from, by name or as records.
    data : optional
        As `fit` takes it; what the network was last fitted to if None.
    restarts : int
        Fresh starts to try at the most.

    Returns
    -------
    SnapReport

    Raises
    ------
    ValueError
        If there is no data in memory to fit to, a name is not known, or some edge admits no
        function.
    """
    functions = resolve(lib)
    restarts = check_integer(restarts, "restarts", low=0)
    dataset = _dataset(model, data)
    samples = dataset.train.to(torch.float64)
    with one_thread(len(samples) * model.parameter_count() <= SMALL_WORK):
        best, tries = _best_of_starts(model, samples, functions, restarts)
    _take_over(model, best.model)
    model.dataset = dataset
    report = SnapReport(
        {
            (l, i, j): layer.functions[position].name
            for l in range(model.depth)
            for layer in [model.layer(l)]
            for position, (i, j) in enumerate(layer.symbolic_edges.tolist())
        },
        best.start.loss**0.5,
        best.loss**0.5,
        tries,
    )
    model.snap_report = report
    return report


def _best_of_starts(
    model: KAN, samples: Samples, functions: Sequence[SymbolicFunction], restarts: int
) -> tuple[_Snapped, int]:
    """Snap the network as it is and, where that is not clearly right, fresh starts of its shape.

    Clearly right is a loss of rounding error, or the same functions from two starts with a loss
    that splines on a finer grid do not get below either.
    """
    if not spline_edges(model):
        given = model.copy().double()
        start = _Trained(given, relative_loss(given, samples))
        return _finish(given, samples, start), 0
    pool: list[_Trained] = []
    exact, tries = _exact_at_once(model, pool, samples, functions, restarts)
    if exact is not None:
        return exact, tries
    if not any(start.given for start in pool):
        pool.append(_from_given(model, samples))
    floor, best = math.inf, None
    while True:
        # Cheap training comes before costly snapping: look for a start that promises a formula.
        while tries < restarts and not any(trained.promising for trained in pool):
            tries += 1
            pool.append(_from_fresh(model, samples, model.seed + tries))
        if not pool:
            break
        start = min(pool, key=lambda trained: trained.worth)
        pool.remove(start)
        floor = min(floor, _noise_floor(start, samples))
        snapped = _finish(snap(start.model, samples, functions), samples, start)
        if best is not None and snapped.agrees(best) and snapped.loss <= _AT_THE_FLOOR * floor:
            best = min(best, snapped, key=lambda candidate: candidate.worth)
            break
        if best is None or snapped.worth < best.worth:
            best = snapped
        hopeless = not any(trained.promising for trained in pool)
        if best.exact or (tries >= restarts and hopeless):
            break
    assert best is not None
    return best, tries


def _exact_at_once(
    model: KAN,
    pool: list[_Trained],
    samples: Samples,
    functions: Sequence[SymbolicFunction],
    restarts: int,
) -> tuple[_Snapped | None, int]:
    """Try the given network and fresh starts, which join the pool, for a quick exact end.

    Where finer splines are no better, and so with two starts that fit alike, there is noise, and
    nothing can be exact.
    """
    tries = 0
    floors: list[float] = []
    for start in _simplest_first(model, samples, restarts):
        pool.append(start)
        tries += not start.given
        if _noise_floor(start, samples) > _MISFIT * start.loss:
            if any(_alike(start.loss, floor) for floor in floors):
                break
            floors.append(start.loss)
        elif start.promising:
            found = snap_at_once(start.model, samples, functions)
            if found is not None:
                snapped = _finish(found, samples, start)
                if snapped.exact:
                    return snapped, tries
    return None, tries


def _simplest_first(model: KAN, samples: Samples, restarts: int) -> Iterator[_Trained]:
    """Train starts of one hidden node in every layer, then two, up to the network's own shape.

    The given network comes before fresh ones of its shape, or first of all if it is as simple as
    they are, or if some of it is symbolic already, which they would forget.
    """
    most = max((nodes.sums for nodes in model.nodes[:-1]), default=0)
    narrower = min(restarts, max(most - 1, 0))
    if _is_chain(model) or any(model.layer(level).functions for level in range(model.depth)):
        narrower = 0
    for tries in range(1, narrower + 1):
        yield _from_fresh(_narrowed(model, tries), samples, model.seed + tries)
    yield _from_given(model, samples)
    for tries in range(narrower + 1, restarts + 1):
        shape = _narrowed(model, tries) if tries < most else model
        yield _from_fresh(shape, samples, model.seed + tries)


def _is_tree(model: KAN) -> bool:
    """Tell whether every input and node feeds one node at the most: nothing can be left out."""
    kinds = [model.layer(level).kind for level in range(model.depth)]
    return all(bool(((kind != ABSENT).sum(dim=1) <= 1).all()) for kind in kinds)


def _is_chain(model: KAN) -> bool:
    """Tell whether every layer has a single sum: one way from every input, and nothing double."""
    return all(nodes.subnodes == 1 for nodes in model.nodes)


def _narrowed(model: KAN, hidden: int) -> KAN:
    """Return the network with no more than so many sums in every hidden layer, all edges back."""
    narrow = model.copy()
    for level in range(model.depth):
        kind = narrow.layer(level).kind
        kind[(kind != ABSENT).any(dim=1)] = SPLINE
    _forget(narrow)
    for level, nodes in enumerate(model.nodes[:-1]):
        sums = range(min(hidden, nodes.sums))
        keep_nodes(narrow, level, [*sums, *range(nodes.sums, nodes.count)])
    return narrow


def _dataset(model: KAN, data: Any) -> Dataset:
    if data is not None:
        return as_dataset(
            data,
            inputs=model.input_count,
            outputs=model.output_count,
            dtype=model.dtype,
            device=model.device,
        )
    if model.dataset is None or not model.dataset.train.targets.is_floating_point():
        raise ValueError(
            "auto_symbolic needs the data to judge functions by: fit the network to rows in memory "
            "first, or give data=(X, y)."
        )
    return model.dataset


def _from_given(model: KAN, samples: Samples) -> _Trained:
    """Return the given network, made sparser if that costs no accuracy."""
    trained = model.copy().double()
    full = _Trained(trained, polish(trained, samples, _FREE_STEPS), given=True)
    if full.promising and _is_chain(trained):
        return replace(_without_idle_edges(trained, samples), given=True)
    sparse = replace(_sparsified(trained, samples), given=True)
    return sparse if sparse.worth < full.worth else full


def _noise_floor(start: _Trained, samples: Samples) -> float:
    """Return the loss of the same network on a grid twice as fine: noise stays, misfit goes."""
    finer = start.model.refine(2 * start.model.grid)
    return polish(finer, samples, _FREE_STEPS)


def _from_fresh(model: KAN, samples: Samples, seed: int) -> _Trained:
    """Return a sparse network of the same shape, trained from a fresh start."""
    fresh = model.copy().double()
    _forget(fresh)
    fresh.seed = seed % (MOST_SEED + 1)
    if fresh.depth > 2:
        # One start of a deep network in six or so comes to anything: the best of a few goes on.
        start_on_data(fresh, samples, LOSSES["mse"], DEFAULT_STARTS)
    else:
        fresh.restart(samples.inputs)
    trained = _Trained(fresh, polish(fresh, samples, _FREE_STEPS))
    if trained.promising and _is_chain(fresh):
        return _without_idle_edges(fresh, samples)
    return _sparsified(fresh, samples)


def _without_idle_edges(model: KAN, samples: Samples) -> _Trained:
    """Return a chain of single sums, in which nothing is double, without edges that do nothing."""
    pruned = prune(model, _NEGLIGIBLE, _NEGLIGIBLE, samples.inputs)
    return _Trained(pruned, polish(pruned, samples, _FREE_STEPS))


def _sparsified(model: KAN, samples: Samples) -> _Trained:
    """Return a sparser network: adaptive penalties of growing strength, then pruning."""
    sparse = model.copy()
    for lamb in _LADDER:
        polish(sparse, samples, _LADDER_STEPS, lamb=lamb)
    sparse = prune(sparse, _PRUNE_THRESHOLD, _PRUNE_THRESHOLD, samples.inputs)
    return _Trained(sparse, polish(sparse, samples, _LADDER_STEPS))


def _finish(model: KAN, samples: Samples, start: _Trained) -> _Snapped:
    """Fit a symbolic network's constants to the end, drop idle edges, make constants nicer."""
    loss = polish(model, samples, _FINAL_STEPS, tolerance=1e-6, follow=False)
    model, loss = _simplified(model, samples, loss)
    rounded = model.copy()
    rounded_loss = round_constants(rounded, samples)
    if math.isfinite(rounded_loss):
        model, loss = rounded, rounded_loss
    return _Snapped(model, loss, start)


@torch.no_grad()
def _simplified(model: KAN, samples: Samples, loss: float) -> tuple[KAN, float]:
    """Remove edges, the least important first, where the fit is as good without them.

    Two hidden nodes that share the work of one lose the second this way.
    """
    scores = attribute(model, samples.inputs)
    ranked = sorted(
        (float(edges[i, j]), l, i, j)
        for l, edges in enumerate(scores.edges)
        for i, j in (model.layer(l).kind != ABSENT).nonzero().tolist()
    )
    removed = False
    for _, l, i, j in ranked[:_MOST_REMOVALS]:
        trial = model.copy()
        mean = network_statistics(model, samples.inputs)[l].edge_mean[i, j]
        trial.layer(l).remove_edge(i, j, mean)
        if not bool(varies(trial(samples.inputs)).all()):
            # The last edge of an output stays, however little it explains.
            continue
        reached = polish(trial, samples, _REMOVAL_STEPS, follow=False)
        if reached <= max(loss * (1 + _SIGNIFICANT / len(samples)), EXACT):
            model, loss, removed = trial, reached, True
    if removed:
        model = prune(model, 0.0, 0.0, samples.inputs)
    return model, loss


def _forget(model: KAN) -> None:
    """Turn every edge that is not absent back into a spline, keeping the shape."""
    for index in range(model.depth):
        layer = model.layer(index)
        for i, j in layer.symbolic_edges.tolist():
            layer.unset_symbolic(i, j)


def _take_over(model: KAN, other: KAN) -> None:
    """Give `model` the structure and parameters of `other`, in its own dtype; in place."""
    other = other.to(model.dtype)
    model.layers, model.nodes = other.layers, other.nodes
    model.fresh = False
