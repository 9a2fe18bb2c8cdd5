"""Refinement of the inner constants of many symbolic edges at once.

Every problem is one function for one edge: minimise the weighted squares of
``c * f(a*x + b) + d - y``. The outer constants c and d follow from a and b by linear least squares
(variable projection), so that Levenberg-Marquardt runs on a and b alone. The derivative of the
projection is taken in Kaufman's form. All problems step together; those that are done drop out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from knotwork.functions import SymbolicFunction
from knotwork.symbolic._starts import MARGIN, interval_of


class Samples(NamedTuple):
    """Samples of all edges: x from -1 to 1, y with mean 0 and variance 1, each (edges, samples).

    `root_weights` are the square roots of weights that sum to 1.
    """

    x: Tensor
    y: Tensor
    root_weights: Tensor


class Evaluation(NamedTuple):
    """What is known of problems at their inner constants, each of shape (problems,)."""

    loss: Tensor
    """Weighted mean square of the residual: 1 - R^2."""
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


@dataclass(frozen=True)
class Problems:
    """Problems in progress: indices of function and edge, sorted by function, and constants."""

    functions: Sequence[SymbolicFunction]
    function: Tensor
    edge: Tensor
    a: Tensor
    b: Tensor

    def take(self, rows: Tensor) -> Problems:
        """Return some of the problems; `rows` must be increasing."""
        constants = (self.a[rows], self.b[rows])
        return Problems(self.functions, self.function[rows], self.edge[rows], *constants)

    def rows(self) -> list[tuple[SymbolicFunction, slice]]:
        """Return each function that occurs with its rows."""
        counts = torch.bincount(self.function, minlength=len(self.functions))
        ends = counts.cumsum(0).tolist()
        starts = [0, *ends[:-1]]
        pairs = zip(self.functions, starts, ends, strict=True)
        return [(function, slice(start, end)) for function, start, end in pairs if end > start]


def evaluate(problems: Problems, samples: Samples) -> Evaluation:
    """Solve for the outer constants and differentiate the loss by the inner ones.

    Where a function is constant over the samples or not finite, the loss is nan.
    """
    a, b = problems.a[:, None], problems.b[:, None]
    x, y, root = (part[problems.edge] for part in samples)
    argument = torch.addcmul(b, a, x)
    # Rows: f, its derivative by b and its derivative by a.
    columns = torch.empty(len(a), 3, x.shape[1], dtype=x.dtype)
    for function, rows in problems.rows():
        columns[rows, 0] = function.torch(argument[rows])
        columns[rows, 1] = function.derivative(argument[rows])
    torch.mul(columns[:, 1], x, out=columns[:, 2])
    columns *= root[:, None]
    means = columns @ root[:, :, None]
    columns -= means * root[:, None]
    products = columns @ columns.mT
    size = products[:, 0, 0]
    y = y * root
    c = (columns[:, 0] * y).sum(1) / size
    residual = y - c[:, None] * columns[:, 0]
    slopes = (columns @ residual[:, :, None])[:, :, 0]
    # Project f out of the two derivatives.
    along_b, along_a = products[:, 0, 1] / size, products[:, 0, 2] / size
    return Evaluation(
        loss=residual.square().sum(1),
        c=c,
        mean=means[:, 0, 0],
        spread=size.sqrt(),
        slope_a=c * (slopes[:, 2] - along_a * slopes[:, 0]),
        slope_b=c * (slopes[:, 1] - along_b * slopes[:, 0]),
        curvature_aa=c * c * (products[:, 2, 2] - along_a * products[:, 0, 2]),
        curvature_ab=c * c * (products[:, 1, 2] - along_a * products[:, 0, 1]),
        curvature_bb=c * c * (products[:, 1, 1] - along_b * products[:, 0, 1]),
    )


def refine(
    problems: Problems, samples: Samples, steps: int, tolerance: float = 1e-5
) -> tuple[Problems, Evaluation]:
    """Improve the inner constants by at most `steps` steps of Levenberg-Marquardt.

    Parameters
    ----------
    problems
        Where to start, inside the functions' domains.
    samples
        The samples of all edges.
    steps
        The number of steps.
    tolerance
        A problem is done when a step promises less than this fraction of its loss.

    Returns
    -------
    problems, evaluation
        The best constants met and what `evaluate` says there.
    """
    low, high = torch.empty_like(problems.a), torch.empty_like(problems.a)
    free_a, free_b = torch.empty_like(problems.a), torch.empty_like(problems.a)
    for function, rows in problems.rows():
        low[rows], high[rows] = interval_of(function, problems.a[rows], problems.b[rows])
        free_a[rows], free_b[rows] = float(function.free_a), float(function.free_b)

    result_a, result_b = problems.a.clone(), problems.b.clone()
    now = evaluate(problems, samples)
    result = Evaluation(*(part.clone() for part in now))
    alive = torch.arange(len(result_a))
    damping = torch.full_like(result_a, 1e-3)
    for _ in range(steps):
        step_a, step_b, promise = _step(now, damping, free_a, free_b)
        length = _longest_step(problems.a, problems.b, step_a, step_b, low, high)
        trial = Problems(
            problems.functions,
            problems.function,
            problems.edge,
            problems.a + length * step_a,
            problems.b + length * step_b,
        )
        then = evaluate(trial, samples)
        better = then.loss < now.loss
        damping = torch.where(better, damping * 0.1, damping * 10)
        now = Evaluation(*(torch.where(better, *pair) for pair in zip(then, now, strict=True)))
        a = torch.where(better, trial.a, problems.a)
        b = torch.where(better, trial.b, problems.b)
        problems = Problems(problems.functions, problems.function, problems.edge, a, b)

        result_a[alive], result_b[alive] = a, b
        for whole, part in zip(result, now, strict=True):
            whole[alive] = part
        # Rounding of f, next to which a residual means nothing.
        rounding = (1e-15 * now.c * (now.mean.abs() + now.spread)).square()
        going = (promise * length > tolerance * now.loss) & (now.loss > rounding) & (damping < 1e6)
        if not going.any():
            break
        if int(going.sum()) < 0.8 * len(going):
            kept = going.nonzero()[:, 0]
            problems, alive, damping = problems.take(kept), alive[kept], damping[kept]
            low, high, free_a, free_b = low[kept], high[kept], free_a[kept], free_b[kept]
            now = Evaluation(*(part[kept] for part in now))
    return _with_constants(problems, result_a, result_b), result
