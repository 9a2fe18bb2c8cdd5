"""Fit symbolic functions to the samples of an edge.

For every function f of a library, `fit_edges` finds the constants of ``c * f(a*x + b) + d`` that
are best in least squares. It looks for starts on a grid of the inner constants, at many scales and
only over those that are not redundant, with c and d solved for (variable projection); the few best
starts are then refined by Levenberg-Marquardt, inside the function's domain. All edges and all
functions go through this together.

The work is done in x scaled to [-1, 1] and y scaled to variance 1, so that the units of neither
matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from knotwork._threads import one_thread
from knotwork.functions import SymbolicFunction, resolve
from knotwork.symbolic._refine import Problems, Samples, State, refine
from knotwork.symbolic._starts import best_starts, gather_at_nodes

__all__ = ["FEWEST_SAMPLES", "EdgeFit", "fit_edge", "fit_edges"]

FEWEST_SAMPLES = 5
# The ranking. Of two functions the one dearer by 1 must leave an unexplained variance smaller by
# the factor exp(-0.2) = 0.82; one whose constants cancel a hundredfold, by exp(-0.3 * log(10)).
_COST_WEIGHT = 0.2
_CANCELLATION_WEIGHT = 0.3
_HARMLESS_CANCELLATION = 10.0
# Two functions that explain all but this part of the variance are equally accurate.
_EXACT = 1e-12

_STARTS = 4
_SCREENING_SAMPLES = 64
_SCREENING_STEPS = 4
_FIRST_STEPS = 8
_LAST_STEPS = 25
# A function whose loss is this many times the best one's is out of the running.
_HOPELESS = 1000.0
# Samples times problems in memory at once.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class EdgeFit:
    """A symbolic function with its constants, ``c * f(a*x + b) + d``, and how well it fits.

    Attributes
    ----------
    function
        The function f.
    a, b, c, d
        The constants, in the canonical form of `knotwork.SymbolicFunction.normalise`.
    r2
        The coefficient of determination over the samples, with their weights.
    score
        What a ranking goes by, smaller is better; see `fit_edges`.
    """

    function: SymbolicFunction
    a: float
    b: float
    c: float
    d: float
    r2: float
    score: float

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``c * f(a*x + b) + d``, elementwise."""
        return self.c * self.function.torch(self.a * x + self.b) + self.d


def fit_edge(
    x: Tensor,
    y: Tensor,
    functions: Sequence[str | SymbolicFunction] | None = None,
    weights: Tensor | None = None,
) -> list[EdgeFit]:
    """Fit every function to the samples of one edge; see `fit_edges`.

    Parameters
    ----------
    x, y
        The samples, shape (samples,).
    functions
        Names or records; None for the default library.
    weights
        Weights of the samples, shape (samples,), not negative; None for equal ones.

    Returns
    -------
    list of EdgeFit
        Best first.

    Examples
    --------
    >>> import torch
    >>> x = torch.linspace(0, 2, 100, dtype=torch.float64)
    >>> best = fit_edge(x, 3 * torch.sin(2 * x + 1) - 4, ["x^2", "sin", "exp"])[0]
    >>> best.function.name, round(best.a, 9), round(best.b, 9), round(best.c, 9), round(best.d, 9)
    ('sin', 2.0, 1.0, 3.0, -4.0)
    """
    if x.ndim != 1:
        raise ValueError(f"x must have shape (samples,); got {tuple(x.shape)}.")
    return fit_edges(x[None], y[None], functions, None if weights is None else weights[None])[0]


def fit_edges(
    x: Tensor,
    y: Tensor,
    functions: Sequence[str | SymbolicFunction] | None = None,
    weights: Tensor | None = None,
) -> list[list[EdgeFit]]:
    """Fit every function to the samples of every edge, and rank the fits of each edge.

    Parameters
    ----------
    x, y
        The samples, shape (edges, samples), at least 5 for an edge. They are taken to the CPU and
        to float64.
    functions
        Names or records; None for the default library.
    weights
        Weights of the samples, of the same shape, not negative; None for equal ones. A sample of
        weight 0 still has to lie in a function's domain.

    Returns
    -------
    list of lists of EdgeFit
        For each edge its fits, best first. A function that cannot be fitted to an edge, since no
        constants keep the samples in its domain or it would be constant over them, is left out. An
        edge whose x or y is constant has no fits at all: what to do with it is a matter of pruning.

    Raises
    ------
    ValueError
        If shapes do not match, a number is not finite, a weight is negative or an edge has no
        weight at all.

    Notes
    -----
    The score is ``log(1 - r2 + 1e-12) + 0.2 * cost + 0.3 * log(max(1, cancellation / 10))``. The
    accuracy counts by its logarithm, so that it decides wherever it differs clearly; where it does
    not, the cheaper function is preferred. `cancellation` is the size of f over the samples, as a
    root mean square, divided by its spread, in the inner constants for x from -1 to 1. It is large
    where c and d cancel, as when the top of a sine with a tiny `a` and a huge `c` imitates a
    parabola or the far tail of tanh an exponential; such imitations are as accurate as the real
    thing, so without this term it would be a matter of luck which of the two comes first.
    """
    records = resolve(functions)
    x, y, weights = _checked(x, y, weights)
    fits: list[list[EdgeFit]] = []
    block = max(1, _BLOCK // (len(records) * x.shape[1]))
    with one_thread():
        for start in range(0, len(x), block):
            rows = slice(start, start + block)
            fits += _fit_block(x[rows], y[rows], weights[rows], records)
    return fits


def _checked(x: Tensor, y: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return samples and weights in float64 on the CPU, the weights with sum 1, or raise."""
    if x.ndim != 2 or x.shape[1] < FEWEST_SAMPLES:
        raise ValueError(
            f"x must have shape (edges, samples), at least {FEWEST_SAMPLES} samples; got "
            f"{tuple(x.shape)}."
        )
    if weights is None:
        weights = torch.ones_like(x)
    for argument, values in (("y", y), ("weights", weights)):
        if values.shape != x.shape:
            raise ValueError(
                f"{argument} must have the shape of x, {tuple(x.shape)}; got {tuple(values.shape)}."
            )
    for argument, values in (("x", x), ("y", y), ("weights", weights)):
        if not values.isfinite().all():
            raise ValueError(f"{argument} must be finite.")
    x, y, weights = (part.detach().to("cpu", torch.float64) for part in (x, y, weights))
    totals = weights.sum(1, keepdim=True)
    if (weights < 0).any() or not (totals > 0).all():
        raise ValueError("weights must not be negative, and some of every edge must be above 0.")
    return x, y, weights / totals


def _fit_block(
    x: Tensor, y: Tensor, weights: Tensor, functions: Sequence[SymbolicFunction]
) -> list[list[EdgeFit]]:
    low, high = x.amin(1), x.amax(1)
    middle, reach = (low + high) / 2, (high - low) / 2
    mean = (weights * y).sum(1)
    centred = y - mean[:, None]
    spread = (weights * centred.square()).sum(1).sqrt()
    alive = (reach > 1e-13 * middle.abs()) & (spread > 1e-13 * y.abs().amax(1))
    fits: list[list[EdgeFit]] = [[] for _ in x]
    edges = alive.nonzero()[:, 0]
    if len(edges) == 0:
        return fits
    x = ((x - middle[:, None]) / reach[:, None])[edges].clamp(-1.0, 1.0)
    samples = Samples(x, (centred / spread[:, None])[edges], weights[edges].sqrt())
    problems, state = _best_constants(samples, functions)

    c = state.c * spread[edges][problems.edge]
    a = state.a / reach[edges][problems.edge]
    b = state.b - a * middle[edges][problems.edge]
    d = mean[edges][problems.edge] - c * state.mean
    constants = torch.stack([a, b, c, d], dim=1).tolist()
    losses, scores = state.loss.tolist(), _scores(problems, state).tolist()
    places = zip(problems.function.tolist(), edges[problems.edge].tolist(), strict=True)
    for row, (place, edge) in enumerate(places):
        if math.isfinite(scores[row]):
            function = functions[place]
            a, b, c, d = constants[row]
            a, b, c, shift = function.normalise(a, b, c)
            fit = EdgeFit(function, a, b, c, d + shift, 1 - losses[row], scores[row])
            fits[edge].append(fit)
    for ranking in fits:
        ranking.sort(key=lambda fit: fit.score)
    return fits


def _scores(problems: Problems, state: State) -> Tensor:
    costs = torch.tensor([function.cost for function in problems.functions], dtype=torch.float64)
    cancellation = torch.hypot(state.mean, state.spread) / state.spread
    return (
        torch.log(state.loss + _EXACT)
        + _COST_WEIGHT * costs[problems.function]
        + _CANCELLATION_WEIGHT * torch.log((cancellation / _HARMLESS_CANCELLATION).clamp_min(1.0))
    )


def _best_constants(
    samples: Samples, functions: Sequence[SymbolicFunction]
) -> tuple[Problems, State]:
    """Return one problem for each function and edge, at the best constants that were found."""
    edges, count = samples.x.shape
    weights, products = gather_at_nodes(samples.x, samples.y, samples.root_weights.square())
    # Half the frequency beyond which evenly spaced samples cannot tell a wave from a slower one.
    fastest = math.pi * count / 4
    starts = [best_starts(f, weights, products, _STARTS, fastest) for f in functions]
    a = torch.stack([a for a, _ in starts]).flatten()
    b = torch.stack([b for _, b in starts]).flatten()
    function = torch.arange(len(functions)).repeat_interleave(edges * _STARTS)
    edge = torch.arange(edges).repeat_interleave(_STARTS).repeat(len(functions))
    problems = Problems(functions, function, edge, _thinned(samples))
    state = refine(problems, a, b, _SCREENING_STEPS)

    losses = state.loss.nan_to_num(math.inf).view(-1, _STARTS)
    best = torch.arange(len(losses)) * _STARTS + losses.argmin(1)
    problems = problems.take(best, samples)
    state = refine(problems, state.a[best], state.b[best], _FIRST_STEPS, 1e-2)

    losses = state.loss.nan_to_num(math.inf).view(-1, edges)
    contenders = (losses <= _HOPELESS * losses.amin(0) + _EXACT).flatten().nonzero()[:, 0]
    a, b = state.a[contenders], state.b[contenders]
    table = torch.stack(state)
    table[:, contenders] = torch.stack(refine(problems.take(contenders), a, b, _LAST_STEPS))
    return problems, State._make(table)


def _thinned(samples: Samples) -> Samples:
    """Return evenly many samples from all parts of x, for the first steps."""
    count = samples.x.shape[1]
    if count <= _SCREENING_SAMPLES:
        return samples
    order = samples.x.argsort(1)
    kept = order[:, torch.linspace(0, count - 1, _SCREENING_SAMPLES).round().long()]
    x, y, root = (part.gather(1, kept) for part in samples)
    root = root / root.norm(dim=1, keepdim=True).clamp_min(1e-150)
    return Samples(x, y - (y * root.square()).sum(1, keepdim=True), root)
