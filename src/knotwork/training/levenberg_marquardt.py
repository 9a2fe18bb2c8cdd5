r"""Levenberg-Marquardt: damped Gauss-Newton steps on a nonlinear least-squares problem.

Each step solves :math:`(A + \mu D)\,\delta = -g` with the Gauss-Newton matrix `A`, the gradient `g`
and the damping :math:`\mu`, by Cholesky factorisation in float64.  The gain ratio, the objective's
true fall over the one that the quadratic model predicts, decides whether the step is taken and how
the damping changes (Nielsen's rule).  A refused step costs one factorisation and one evaluation;
the Jacobian is not formed again.

References
----------
H. B. Nielsen, "Damping parameter in Marquardt's method", IMM-REP-1999-05, DTU 1999.
K. Madsen, H. B. Nielsen, O. Tingleff, *Methods for Non-Linear Least Squares Problems*, DTU 2004.
M. K. Transtrum, J. P. Sethna, "Improvements to the Levenberg-Marquardt algorithm for nonlinear
least-squares minimization", arXiv 1201.5885, section 3 (delayed gratification).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .saved import Saved

_START_DAMPING = 1e-3
_LEAST_DAMPING = 1e-14
_MOST_DAMPING = 1e12
# Diagonal entries below this share of the largest are raised to it, so that directions the data
# says nothing about are damped rather than divided by zero.
_LEAST_DIAGONAL = 1e-30
_MOST_TRIALS = 12
_BOLD_FALL = 0.1
# No direction goes quite undamped.
_LEAST_WEIGHT = 1e-12


class LeastSquaresProblem(Protocol):
    """What the solver needs to know of a problem."""

    def read(self) -> Tensor:
        """Return the parameters, shape (size,), float64."""
        ...

    def write(self, parameters: Tensor) -> None:
        """Set the parameters."""
        ...

    def objective(self) -> float:
        """Evaluate half the sum of squares (and penalties) at the present parameters."""
        ...

    def normal_equations(self) -> tuple[float, Tensor, Tensor]:
        """Return the objective, its gradient and the Gauss-Newton matrix."""
        ...


@dataclass(frozen=True)
class Step:
    """The outcome of one step: `objective` after it, and why it `stopped` if no step was taken."""

    objective: float
    taken: bool
    stopped: str = ""


class LevenbergMarquardt:
    """The solver's state between steps: the damping and how fast it grows.

    Parameters
    ----------
    problem : LeastSquaresProblem
    metric : callable, optional
        Returns the diagonal of `D` after every call of the problem's `normal_equations`, shape
        (size,); that of the Gauss-Newton matrix if None.  A problem with penalties gives the
        diagonal of the data's part: damping that went by a stiff penalty would hold back just the
        directions that the penalty leaves free.
    bold : bool
        Let the damping fall to a tenth after every step that is taken, whatever its gain ratio,
        and so be refused more often.  Worth it where the objective costs far less than its
        Jacobian, and the valley is long, narrow and curved (Transtrum and Sethna).
    """

    def __init__(
        self,
        problem: LeastSquaresProblem,
        metric: Callable[[], Tensor] | None = None,
        bold: bool = False,
    ) -> None:
        self.problem = problem
        self.damping = _START_DAMPING
        self._metric = metric
        self._bold = bold
        self._growth = 2.0
        self.refused = 0

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on beside the problem."""
        return {"damping": self.damping, "growth": self._growth, "refused": self.refused}

    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave."""
        self.damping, self._growth = saved.number("damping"), saved.number("growth")
        self.refused = saved.integer("refused")
        if not (self.damping > 0 and self._growth >= 1):
            raise ValueError("the damping and its growth must be positive.")

    def step(self) -> Step:
        """Take one step that lowers the objective, or say why there is none."""
        problem = self.problem
        objective, gradient, matrix = problem.normal_equations()
        steepest = float(gradient.abs().max())
        if not (math.isfinite(objective) and math.isfinite(steepest)):
            return Step(objective, False, "the objective or its gradient is not finite")
        if objective == 0 or steepest == 0:
            return Step(objective, False, "converged: the gradient is zero")
        start = problem.read()
        diagonal = matrix.diagonal().clone()
        diagonal.clamp_(min=float(diagonal.max()) * _LEAST_DIAGONAL)
        # Solved in units in which the diagonal is 1, which keeps the factorisation accurate.
        scale = diagonal.sqrt()
        scaled = (matrix / scale).div_(scale[:, None])
        right = -(gradient / scale)
        weights = torch.ones_like(scale) if self._metric is None else self._metric() / diagonal
        weights = weights + _LEAST_WEIGHT
        for _ in range(_MOST_TRIALS):
            if self.damping > _MOST_DAMPING:
                break
            move, predicted = self._solve(scaled, right, weights)
            if not math.isfinite(predicted):
                self._refuse()
                continue
            problem.write(start + move / scale)
            reached = problem.objective()
            gain = (objective - reached) / predicted if predicted > 0 else -1.0
            if math.isfinite(reached) and reached < objective and gain > 0:
                careful = max(1 / 3, 1 - (2 * min(gain, 1.0) - 1) ** 3)
                self.damping *= _BOLD_FALL if self._bold else careful
                self.damping = max(self.damping, _LEAST_DAMPING)
                self._growth = 2.0
                return Step(reached, True)
            self._refuse()
        problem.write(start)
        self.damping = min(self.damping, _MOST_DAMPING)
        return Step(objective, False, "converged: no damping lowers the objective")

    def _solve(self, scaled: Tensor, right: Tensor, weights: Tensor) -> tuple[Tensor, float]:
        """Return the move and the fall that the model predicts, nan if the matrix is singular."""
        damped = scaled.clone()
        damped.diagonal().add_(self.damping * weights + _LEAST_DAMPING)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if int(failed) != 0:
            return right, math.nan
        half = torch.linalg.solve_triangular(factor, right[:, None], upper=False)
        move = torch.linalg.solve_triangular(factor.T, half, upper=True)[:, 0]
        return move, 0.5 * float(move @ (self.damping * weights * move + right))

    def _refuse(self) -> None:
        self.refused += 1
        self.damping = max(self.damping * self._growth, 10 * _LEAST_DAMPING)
        self._growth *= 2
