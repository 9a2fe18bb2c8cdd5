r"""How smooth the splines should be, chosen from the data.

On fine grids some coefficients hardly meet a row, and the training loss says nothing about them.
A small roughness penalty determines them; how small is chosen by generalised cross-validation on
the linearised problem at the present parameters,

.. math:: V(\lambda) = \frac{\mathrm{RSS}(\lambda)}{(1 - \mathrm{dof}(\lambda) / N)^2}, \qquad
          \mathrm{dof} = \mathrm{tr}\, A (A + \lambda R)^{-1},

and of all strengths that are about equally good the strongest is taken.

Reference: P. Craven, G. Wahba, "Smoothing noisy data with spline functions", *Numerische
Mathematik* 31 (1979) 377-403.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..statistics import LayerStatistics
from .least_squares import NetworkLeastSquares
from .penalties import PenaltyWeights, QuadraticPenalty

# Steps after a change of grid at which the strength is chosen anew, as the fit settles.
SMOOTHING_STEPS = (2, 5, 10, 20, 40)
# Powers of ten tried, relative to the ratio of the two matrices' diagonals; those between the last
# good one and the next are looked at afterwards.
_EXPONENTS = range(-20, 14, 3)
# Entries of the diagonal below this share of the largest count as this share.
_LEAST_DIAGONAL = 1e-30
# Criteria within this many standard errors of the least count as equally good: a mean square over
# N rows has the relative standard error sqrt(2 / N).
_STANDARD_ERRORS = 2.0
# Share of the rows that must be left over: where parameters can follow every row, the criterion is
# a quotient of two rounding errors.
_LEAST_FREEDOM_LEFT = 0.2
# Directions the data hardly determines are damped as the solver would, in units where the diagonal
# of the matrix is 1.
_DAMPING = 1e-11


@dataclass(frozen=True)
class Choice:
    """A strength of the roughness penalty, 0 for none.

    Attributes
    ----------
    strength : float
    predicted_loss : float
        The relative loss that the linearised problem promises with it.
    """

    strength: float
    predicted_loss: float


@torch.no_grad()
def choose_smoothness(
    problem: NetworkLeastSquares, statistics: Sequence[LayerStatistics]
) -> Choice:
    """Choose the strength of the roughness penalty that cross-validates best.

    Parameters
    ----------
    problem : NetworkLeastSquares
        Its penalty, if any, is taken off.
    statistics : sequence of LayerStatistics
        How the network varies at present, which roughness is relative to.
    """
    problem.penalty = None
    objective, gradient, matrix = problem.normal_equations()
    parameters, rows = problem.read(), problem.row_count()
    unit = PenaltyWeights(smoothness=1.0)
    penalty = QuadraticPenalty.of_statistics(problem.parameters, statistics, unit)
    rough, pull = torch.zeros_like(matrix), torch.zeros_like(gradient)
    penalty.add_to(parameters, pull, rough)
    total = float(rough.diagonal().sum())
    if total == 0 or objective == 0:
        return Choice(0.0, 2 * objective)
    ratio = float(matrix.diagonal().sum()) / total
    criteria: dict[int, float] = {}
    losses: dict[int, float] = {}
    slack = 1 + _STANDARD_ERRORS * (2 / rows) ** 0.5

    def judge(exponent: int) -> None:
        strength = ratio * 10.0**exponent
        penalised = matrix + strength * rough
        diagonal = penalised.diagonal()
        scale = diagonal.clamp(min=_LEAST_DIAGONAL * float(diagonal.max())).sqrt()
        scaled = penalised / scale / scale[:, None]
        scaled.diagonal().add_(_DAMPING)
        factor, failed = torch.linalg.cholesky_ex(scaled)
        if int(failed) != 0:
            return
        right = -(gradient + strength * pull) / scale
        move = torch.cholesky_solve(right[:, None], factor)[:, 0] / scale
        squares = 2 * objective + 2 * float(gradient @ move) + float(move @ matrix @ move)
        losses[exponent] = squares
        if out_of_reach(squares):
            return
        # The trace of a product of symmetric matrices, of which only the sum is needed.
        freedom = (torch.cholesky_inverse(factor) * (matrix / scale / scale[:, None])).sum()
        left = 1 - float(freedom) / rows
        if left >= _LEAST_FREEDOM_LEFT and squares > 0:
            criteria[exponent] = squares / left**2

    def out_of_reach(squares: float) -> bool:
        """Tell whether a criterion, which is no less than its squares, cannot be good enough."""
        return bool(criteria) and squares > min(criteria.values()) * slack

    for exponent in _EXPONENTS:
        judge(exponent)
        # The squares only grow with the strength.
        if out_of_reach(losses.get(exponent, 0.0)):
            break
    if not criteria:
        return Choice(0.0, 2 * objective)
    enough = min(criteria.values()) * slack
    strongest = max(exponent for exponent, value in criteria.items() if value <= enough)
    # Between the strongest of the coarse row that is good enough and the next, one step at a time.
    for exponent in range(strongest + 1, strongest + _EXPONENTS.step):
        judge(exponent)
        if criteria.get(exponent, float("inf")) > enough:
            break
        strongest = exponent
    return Choice(ratio * 10.0**strongest, losses[strongest])
