"""A network, its data and quadratic penalties as a nonlinear least-squares problem."""

from __future__ import annotations

import torch
from torch import Tensor

from ..network import KAN
from .batches import Batches
from .levenberg_marquardt import LeastSquaresProblem
from .losses import total_weight
from .normal_equations import sums_of
from .parameters import FreeParameters, Remembered
from .penalties import QuadraticPenalty


class NetworkLeastSquares:
    r"""Half the weighted mean squared error, relative to the targets' variance, plus penalties.

    .. math:: F = \frac{1}{2 m s^2 \sum_n w_n} \sum_n w_n |f(x_n) - y_n|^2 + \text{penalty}

    for `m` outputs with mean variance :math:`s^2`.  Rows are gone through in batches and only sums
    are kept.

    Parameters
    ----------
    model : KAN, float64
    batches : Batches
    variance : float
        The targets' variance, averaged over outputs.
    penalty : QuadraticPenalty, optional
    """

    def __init__(
        self,
        model: KAN,
        batches: Batches,
        variance: float,
        penalty: QuadraticPenalty | None = None,
    ) -> None:
        self.model = model
        self.batches = batches
        self.variance = variance
        self.penalty = penalty
        self.parameters = FreeParameters(model)
        self._data_diagonal = torch.empty(0)
        self._reached = Remembered[float](self.parameters)

    def data_diagonal(self) -> Tensor:
        """Return the diagonal of the last normal equations without penalties, shape (size,)."""
        return self._data_diagonal

    def read(self) -> Tensor:
        """Return the parameters, shape (size,)."""
        return self.parameters.read()

    def write(self, parameters: Tensor) -> None:
        """Set the network's parameters."""
        self.parameters.write(parameters)

    def row_count(self) -> int:
        """Return how many numbers are fitted: rows with a weight, times outputs."""
        rows = sum(
            len(batch) if batch.weights is None else int((batch.weights > 0).sum())
            for batch in self.batches
        )
        return rows * self.model.output_count

    def _scale(self, total: float) -> float:
        return 1 / (total * self.model.output_count * self.variance)

    @torch.no_grad()
    def data_objective(self) -> float:
        """Evaluate the objective without penalties, once for parameters that stay as they are."""
        return self._reached.value(self._sum_of_squares)

    def _sum_of_squares(self) -> float:
        """Return half the squares of all rows' errors, relative to the targets' variance."""
        sums = sums_of(self.parameters)
        squares = total = 0.0
        for batch in self.batches:
            squares += sums.squares(batch)
            total += total_weight(batch)
        return 0.5 * squares * self._scale(total)

    def objective(self) -> float:
        """Evaluate the objective."""
        value = self.data_objective()
        return value if self.penalty is None else value + self.penalty.value(self.read())

    @torch.no_grad()
    def normal_equations(self) -> tuple[float, Tensor, Tensor]:
        """Return the objective, its gradient and the Gauss-Newton matrix."""
        sums = sums_of(self.parameters)
        total = 0.0
        for whole in self.batches:
            for batch in whole.blocks(sums.rows):
                sums.add(batch)
                total += total_weight(batch)
        squares, gradient, matrix = sums.total(self._scale(total))
        self._data_diagonal = matrix.diagonal().clone()
        objective = 0.5 * squares
        if self.penalty is not None:
            parameters = self.read()
            objective += self.penalty.value(parameters)
            self.penalty.add_to(parameters, gradient, matrix)
        return objective, gradient, matrix


class Restricted:
    """A least-squares problem in some of its parameters, the others held."""

    def __init__(self, problem: LeastSquaresProblem, free: Tensor) -> None:
        self._problem = problem
        self._free = free

    def read(self) -> Tensor:
        """Return the free parameters."""
        return self._problem.read()[self._free]

    def write(self, parameters: Tensor) -> None:
        """Set the free parameters."""
        values = self._problem.read().clone()
        values[self._free] = parameters
        self._problem.write(values)

    def objective(self) -> float:
        """Evaluate the objective."""
        return self._problem.objective()

    def normal_equations(self) -> tuple[float, Tensor, Tensor]:
        """Return the objective, and gradient and matrix in the free parameters."""
        objective, gradient, matrix = self._problem.normal_equations()
        return objective, gradient[self._free], matrix[self._free][:, self._free]
