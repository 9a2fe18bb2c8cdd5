"""Refinement of the inner constants of many symbolic edges at once.

Every problem is one function for one edge: minimise the weighted squares of
``c * f(a*x + b) + d - y``. The outer constants c and d follow from a and b by linear least squares
(variable projection), so that Levenberg-Marquardt runs on a and b alone. The derivative of the
projection is taken in Kaufman's form. All problems step together; those that are done drop out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from knotwork.functions import SymbolicFunction
from knotwork.symbolic._starts import MARGIN, interval_of

_CANCELLATION_LIMIT = 1e4


class Samples(NamedTuple):
    """Samples of all edges: x from -1 to 1, y with mean 0 and variance 1, each (edges, samples).

    `root_weights` are the square roots of weights that sum to 1.
    """

    x: Tensor
    y: Tensor
    root_weights: Tensor


class State(NamedTuple):
    """Inner constants and what is known of the problems there, each of shape (problems,)."""

    a: Tensor
    b: Tensor
    loss: Tensor
    """Weighted mean square of the residual, 1 - R^2; nan where the constants are no good."""
    c: Tensor
    mean: Tensor
    """Mean of f over the samples, so that d is ``-c * mean``."""
    spread: Tensor
    """Standard deviation of f over the samples."""
    slope_a: Tensor
    slope_b: Tensor
    curvature_aa: Tensor
    curvature_ab: Tensor
    curvature_bb: Tensor


class Problems:
    """Functions to be fitted to edges, with the edges' samples at hand.

    Parameters
    ----------
    functions
        The functions that occur.
    function, edge
        Indices of each problem's function and edge, sorted by function; shape (problems,).
    samples
        The samples of all edges.
    """

    def __init__(
        self,
        functions: Sequence[SymbolicFunction],
        function: Tensor,
        edge: Tensor,
        samples: Samples,
    ) -> None:
        self.functions = functions
        self.function = function
        self.edge = edge
        self.samples = samples
        self.counts: list[int] = torch.bincount(function, minlength=len(functions)).tolist()
        self.x = samples.x[edge]
        self.root = samples.root_weights[edge]
        self.y = samples.y[edge] * self.root

    def take(self, rows: Tensor, samples: Samples | None = None) -> Problems:
        """Return some of the problems, `rows` increasing, perhaps with other samples."""
        return Problems(
            self.functions, self.function[rows], self.edge[rows], samples or self.samples
        )

    def evaluate(self, a: Tensor, b: Tensor) -> State:
        """Solve for the outer constants and differentiate the loss by the inner ones.

        Where a function is constant over the samples or not finite, the loss is nan.
        """
        parts = torch.addcmul(b[:, None], a[:, None], self.x).split(self.counts)
        pairs = [pair for pair in zip(self.functions, parts, strict=True) if len(pair[1])]
        values = torch.cat([function.torch(argument) for function, argument in pairs])
        slopes = torch.cat([function.derivative(argument) for function, argument in pairs])
        # f, its derivative by b and its derivative by a.
        columns = torch.stack([values, slopes, slopes * self.x], dim=1)
        columns *= self.root[:, None]
        means = columns @ self.root[:, :, None]
        columns -= means * self.root[:, None]
        (ff, fb, fa), (_, bb, ab), (_, _, aa) = (columns @ columns.mT).permute(1, 2, 0)
        c = (columns[:, 0] * self.y).sum(1) / ff
        residual = self.y - c[:, None] * columns[:, 0]
        rf, rb, ra = (columns @ residual[:, :, None])[:, :, 0].T
        # Project f out of the two derivatives.
        along_a, along_b = fa / ff, fb / ff
        return State(
            a=a,
            b=b,
            loss=residual.square().sum(1),
            c=c,
            mean=means[:, 0, 0],
            spread=ff.sqrt(),
            slope_a=c * (ra - along_a * rf),
            slope_b=c * (rb - along_b * rf),
            curvature_aa=c * c * (aa - along_a * fa),
            curvature_ab=c * c * (ab - along_a * fb),
            curvature_bb=c * c * (bb - along_b * fb),
        )

    def limits(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ends of the interval that holds the arguments, and which of a, b are free.

        The shapes are (problems,), (problems,) and (2, problems); the ends are nan for constants
        that are not admissible.
        """
        low, high, free = torch.empty_like(a), torch.empty_like(a), a.new_empty(2, len(a)).bool()
        start = 0
        for function, count in zip(self.functions, self.counts, strict=True):
            rows = slice(start, start + count)
            low[rows], high[rows] = interval_of(function, a[rows], b[rows])
            free[0, rows], free[1, rows] = function.free_a, function.free_b
            start += count
        return low, high, free


def refine(problems: Problems, a: Tensor, b: Tensor, steps: int, tolerance: float = 1e-5) -> State:
    """Improve the inner constants by at most `steps` steps of Levenberg-Marquardt.

    Parameters
    ----------
    problems
        The problems.
    a, b
        Where to start, shape (problems,).
    steps
        The number of steps.
    tolerance
        A problem is done when a step promises less than this fraction of its loss.

    Returns
    -------
    State
        At the best constants met.
    """
    low, high, free = problems.limits(a, b)
    state = problems.evaluate(a, b)
    state.loss[low.isnan()] = torch.nan
    result = torch.stack(state)
    alive = torch.arange(len(a))
    damping = torch.full_like(a, 1e-3)
    for _ in range(steps):
        step_a, step_b, promise = _step(state, damping, free)
        length = _longest_step(state, step_a, step_b, low, high)
        trial = problems.evaluate(state.a + length * step_a, state.b + length * step_b)
        better = trial.loss < state.loss
        damping = damping * torch.where(better, 0.1, 10.0)
        table = torch.where(better, torch.stack(trial), torch.stack(state))
        state = State._make(table)
        result[:, alive] = table

        # What rounding of f leaves of the residual.
        rounding = (1e-15 * state.c * (state.mean.abs() + state.spread)).square()
        going = (promise * length > tolerance * state.loss) & (state.loss > rounding)
        # Far out, where c and d cancel, better and better imitations of another function may lie.
        going &= state.mean.abs() < _CANCELLATION_LIMIT * state.spread
        kept = (going & (damping < 1e6)).nonzero()[:, 0]
        if len(kept) == 0:
            break
        if len(kept) < 0.8 * len(alive):
            problems, alive, damping = problems.take(kept), alive[kept], damping[kept]
            low, high, free = low[kept], high[kept], free[:, kept]
            state = State._make(table[:, kept])
    return State._make(result)


def _step(state: State, damping: Tensor, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the damped step in a and b and how much of the loss it promises to remove."""
    size_a = state.curvature_aa.clamp_min(1e-60).sqrt()
    size_b = state.curvature_bb.clamp_min(1e-60).sqrt()
    slope_a, slope_b = torch.where(
        free, torch.stack([state.slope_a / size_a, state.slope_b / size_b]), 0.0
    )
    cosine = (state.curvature_ab / (size_a * size_b)).clamp(-1.0, 1.0)
    cosine = torch.where(free.all(0), cosine, 0.0)
    diagonal = 1 + damping
    determinant = diagonal.square() - cosine.square()
    step_a = (diagonal * slope_a - cosine * slope_b) / determinant
    step_b = (diagonal * slope_b - cosine * slope_a) / determinant
    return step_a / size_a, step_b / size_b, slope_a * step_a + slope_b * step_b


def _longest_step(
    state: State, step_a: Tensor, step_b: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Return the fraction of a step, at most 1, that leaves a tenth of each distance to the ends.

    The distances of the arguments from the domain's ends are concave in a and b, hence no less
    along the step than between its ends.
    """
    reach_before, reach_after = state.a.abs() + MARGIN, (state.a + step_a).abs() + MARGIN
    above, below = state.b - low, high - state.b
    before = torch.stack([above - reach_before, below - reach_before])
    after = torch.stack([above + step_b - reach_after, below - step_b - reach_after])
    # With an end at infinity this is nan, which stands for no limit.
    limits = torch.nan_to_num(0.9 * before / (before - after), nan=1.0)
    return torch.where(after < 0.1 * before, limits, 1.0).amin(0)
