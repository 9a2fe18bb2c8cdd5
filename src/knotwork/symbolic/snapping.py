"""In-context snapping: turning a whole network symbolic, judged on the network's own loss.

All edges are snapped at once only where that turns out exact.  Otherwise they are snapped one by
one: at each step the edges that single functions describe best are tried, each with its best few
functions; everything that is still free, the remaining splines and all constants, is fitted again
jointly; and a beam of the best networks goes on.  A choice that turns out wrong is outlived by
others.  On clean data the loss falls to rounding error only when every function is right, which is
the surest test there is.

The idea of judging candidates in context: F. Sovrano et al., arXiv 2603.15250.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch

from ..data import Samples
from ..functions import SymbolicFunction
from ..layers import SPLINE
from ..network import KAN
from ..training.polish import polish, relative_loss
from .edge_fit import EdgeFit
from .edges import fit_layer_edges, place
from .gauge import fix_gauge

_BEAM = 4
_EDGES_TRIED = 2
_FUNCTIONS_TRIED = 3
_JOINT_STEPS = 15
# Choices for all edges together that are tried, and the share that three steps in a row must gain
# for the next: what is right converges quadratically.
_CHOICES_AT_ONCE = 6
_HURRIED = 0.1
_FINAL_STEPS = 100
# Each unit of a function's cost must lower the loss by this factor.
COST_FACTOR = 1.1
# How much larger than its spread an edge's function may plausibly be.
_PLAUSIBLE_CANCELLATION = 300.0
# A function that misses this share of an edge's variance, and this many times what the best one
# misses, is not tried.
_HOPELESS_MISFIT = 0.1
_HOPELESS_RATIO = 10.0
# Rows that the search looks at; the final fit sees all.
_SEARCH_ROWS = 512

# A relative loss at this level is rounding error: every function is right.
EXACT = 1e-22

EdgeKey = tuple[int, int, int]


@dataclass(frozen=True)
class _State:
    """A network with some edges snapped, and what it is worth."""

    model: KAN
    loss: float
    chosen: frozenset[tuple[EdgeKey, str]]
    distrust: float = 1.0

    @property
    def worth(self) -> float:
        """Loss against cost; smaller is better.  Below rounding error only the cost counts."""
        return max(self.loss, EXACT) * COST_FACTOR ** network_cost(self.model) * self.distrust


@torch.no_grad()
def distrust(model: KAN, samples: Samples) -> float:
    """Return by how much constants cancel beyond what is plausible, at least 1.

    A function far out on its tail or at the top of its arch, with a huge factor and a constant
    that takes it back, imitates a simpler one: sin a parabola, tanh an exponential.
    """
    worst = 1.0
    for index, trace in enumerate(model.trace(samples.inputs)[0]):
        layer = model.layer(index)
        if layer.functions:
            values = layer.symbolic_values(trace.inputs)
            spread = values.std(dim=0).clamp(min=torch.finfo(values.dtype).tiny)
            cancels = float((values.abs().amax(dim=0) / spread).max())
            worst = max(worst, cancels / _PLAUSIBLE_CANCELLATION)
    return worst


def network_cost(model: KAN) -> float:
    """Sum the costs of all symbolic edges, every free inner constant counting 1 more."""
    return sum(
        f.cost + f.free_a + f.free_b
        for index in range(model.depth)
        for f in model.layer(index).functions
    )


def spline_edges(model: KAN) -> list[EdgeKey]:
    """List the edges that are still splines."""
    return [
        (l, i, j)
        for l in range(model.depth)
        for i, j in (model.layer(l).kind == SPLINE).nonzero().tolist()
    ]


def snap(model: KAN, samples: Samples, functions: Sequence[SymbolicFunction]) -> KAN:
    """Return a network with functions on all edges, found by beam search.

    Parameters
    ----------
    model : KAN, float64
        Left as it is.
    samples : Samples
    functions : sequence of SymbolicFunction
    """
    few = samples.thinned(_SEARCH_ROWS)
    beam = [_State(model.copy(), relative_loss(model, few), frozenset())]
    # Once a network fits exactly, only cheaper ones are still of interest.
    enough = math.inf
    while spline_edges(beam[0].model):
        reached: dict[frozenset[tuple[EdgeKey, str]], _State] = {}
        for state in beam:
            for key, fit in _branches(state.model, few, functions):
                chosen = state.chosen | {(key, fit.function.name)}
                trial = state.model.copy()
                place(trial, *key, fit)
                if network_cost(trial) >= enough:
                    continue
                if not spline_edges(trial):
                    fix_gauge(trial)
                loss = polish(trial, few, _JOINT_STEPS)
                new = _State(trial, loss, chosen, distrust(trial, few))
                if loss <= EXACT and not spline_edges(trial):
                    enough = network_cost(trial)
                if chosen not in reached or new.loss < reached[chosen].loss:
                    reached[chosen] = new
        if not reached:
            raise ValueError(
                "auto_symbolic found no admissible function for some edge: prune edges that are "
                "constant over the data, or give more functions in lib."
            )
        beam = sorted(reached.values(), key=lambda state: state.worth)[:_BEAM]
    finished = [
        replace(state, loss=polish(state.model, few, _FINAL_STEPS), distrust=1.0) for state in beam
    ]
    finished = [replace(state, distrust=distrust(state.model, few)) for state in finished]
    return min(finished, key=lambda state: state.worth).model


def snap_at_once(model: KAN, samples: Samples, functions: Sequence[SymbolicFunction]) -> KAN | None:
    """Return a network with functions on all edges if that makes it exact, None otherwise.

    Every edge gets the function that describes it best, or one of the next, all edges together.
    On clean data and an accurate network that is often right, and costs a fraction of a search;
    that it is right is seen by a loss of rounding error and by nothing less.

    Parameters
    ----------
    model : KAN, float64
        Left as it is.
    samples : Samples
    functions : sequence of SymbolicFunction
    """
    few = samples.thinned(_SEARCH_ROWS)
    fits = _edge_fits(model, few, functions)
    if len(fits) < len(spline_edges(model)):
        return None
    tried = [_hopeful(edge)[:_FUNCTIONS_TRIED] for _, edge in fits]
    choices = sorted(product(*tried), key=lambda choice: sum(fit.score for fit in choice))
    for choice in choices[:_CHOICES_AT_ONCE]:
        trial = model.copy()
        for (key, _), fit in zip(fits, choice, strict=True):
            place(trial, *key, fit)
        # Constants that can stand in for each other, of sizes far apart, would hold the fit back.
        fix_gauge(trial)
        if polish(trial, few, _FINAL_STEPS, tolerance=_HURRIED, follow=False) <= EXACT:
            return trial
    return None


def _edge_fits(
    model: KAN, samples: Samples, functions: Sequence[SymbolicFunction]
) -> list[tuple[EdgeKey, list[EdgeFit]]]:
    """List the spline edges that functions can describe, each with its fits, best first."""
    found: list[tuple[EdgeKey, list[EdgeFit]]] = []
    for l, trace in enumerate(model.trace(samples.inputs)[0]):
        edges = [(i, j) for level, i, j in spline_edges(model) if level == l]
        if edges:
            fits = fit_layer_edges(model, l, edges, trace.inputs, functions)
            found += [((l, i, j), fit) for (i, j), fit in zip(edges, fits, strict=True) if fit]
    return found


def _hopeful(fits: Sequence[EdgeFit]) -> list[EdgeFit]:
    """Leave out functions that describe an edge far worse than the best one does."""
    most = max(_HOPELESS_MISFIT, _HOPELESS_RATIO * (1 - fits[0].r2))
    return [fit for fit in fits if 1 - fit.r2 <= most]


def _branches(
    model: KAN, samples: Samples, functions: Sequence[SymbolicFunction]
) -> list[tuple[EdgeKey, EdgeFit]]:
    """List the edges and functions to try next: the best few of the best-described edges."""
    ranked = _edge_fits(model, samples, functions)
    ranked.sort(key=lambda entry: entry[1][0].score)
    return [
        (key, fit)
        for key, fits in ranked[:_EDGES_TRIED]
        for fit in _hopeful(fits[:_FUNCTIONS_TRIED])
    ]
