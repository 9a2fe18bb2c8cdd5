"""Least squares for any small module, its Jacobian by torch.func."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from .batches import Batches, block_rows
from .losses import total_weight


class ModuleParameters:
    """The parameters of a module that are not frozen, as one vector, and derivatives by them.

    Parameters
    ----------
    model : nn.Module, float64
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._free = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.size = sum(p.numel() for p in self._free.values())

    def read(self) -> Tensor:
        """Return the parameters, shape (size,)."""
        return nn.utils.parameters_to_vector(self._free.values()).detach()

    def write(self, parameters: Tensor) -> None:
        """Set the parameters."""
        nn.utils.vector_to_parameters(parameters, self._free.values())

    def jacobian(
        self, function: Callable[[nn.Module, Tensor], Tensor], rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return a function's values at rows, and their derivatives by all parameters.

        Parameters
        ----------
        function : callable
            ``function(model, rows)`` returns shape (rows, values), each row by itself.
        rows : Tensor of shape (rows, inputs)

        Returns
        -------
        tuple of Tensors of shape (rows, values) and (rows, values, size)
        """
        bound = _Bound(self.model, function)
        parameters = {f"model.{name}": p.detach() for name, p in self._free.items()}

        def of_row(values: dict[str, Tensor], row: Tensor) -> tuple[Tensor, Tensor]:
            result = functional_call(bound, values, (row[None],))[0]
            return result, result

        by_name, values = vmap(jacrev(of_row, has_aux=True), in_dims=(None, 0))(parameters, rows)
        # Not flatten(2), which a parameter that is a single number has no dimension for.
        columns = [by_name[name].reshape(*values.shape, -1) for name in parameters]
        return values.detach(), torch.cat(columns, dim=2).detach()


class _Bound(nn.Module):
    """A function of a module and rows as a module of rows."""

    def __init__(self, model: nn.Module, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._function = function

    def forward(self, rows: Tensor) -> Tensor:
        return self._function(self.model, rows)


class DenseLeastSquares(ModuleParameters):
    """Half the mean squared error relative to the targets' variance, for `LevenbergMarquardt`.

    Parameters
    ----------
    model : nn.Module, float64
    batches : Batches
    variance : float
        The targets' variance, averaged over outputs.
    """

    def __init__(self, model: nn.Module, batches: Batches, variance: float) -> None:
        super().__init__(model)
        self.batches = batches
        self.variance = variance

    @torch.no_grad()
    def objective(self) -> float:
        """Evaluate the objective."""
        squares = total = 0.0
        for batch in self.batches:
            error = (self.model(batch.inputs) - batch.targets).square().mean(dim=1)
            squares += float(error.sum() if batch.weights is None else error @ batch.weights)
            total += total_weight(batch)
        return 0.5 * squares / (total * self.variance)

    def normal_equations(self) -> tuple[float, Tensor, Tensor]:
        """Return the objective, its gradient and the Gauss-Newton matrix."""
        x = self.read()
        matrix, gradient = x.new_zeros(self.size, self.size), x.new_zeros(self.size)
        squares = total = 0.0
        for whole in self.batches:
            for batch in whole.blocks(block_rows(self.size * whole.targets.shape[1])):
                outputs, jacobian = self.jacobian(_outputs, batch.inputs)
                residual = outputs - batch.targets
                weights = batch.weights
                weights = torch.ones_like(residual[:, 0]) if weights is None else weights
                squares += float(residual.square().mean(dim=1) @ weights)
                total += total_weight(batch)
                weighted = jacobian * (weights / residual.shape[1])[:, None, None]
                matrix += torch.einsum("nop,noq->pq", weighted, jacobian)
                gradient += torch.einsum("nop,no->p", weighted, residual)
        scale = 1 / (total * self.variance)
        return 0.5 * squares * scale, gradient * scale, matrix * scale


def _outputs(model: nn.Module, rows: Tensor) -> Tensor:
    return model(rows)
