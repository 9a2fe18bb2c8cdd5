"""Least squares for any small module, its Jacobian by torch.func."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from .batches import Batches, block_rows
from .losses import total_weight


class DenseLeastSquares:
    """Half the mean squared error relative to the targets' variance, for `LevenbergMarquardt`.

    Parameters
    ----------
    model : nn.Module, float64
    batches : Batches
    variance : float
        The targets' variance, averaged over outputs.
    """

    def __init__(self, model: nn.Module, batches: Batches, variance: float) -> None:
        self.model = model
        self.batches = batches
        self.variance = variance
        # Frozen parameters stay as they are.
        self._free = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def read(self) -> Tensor:
        """Return the parameters, shape (size,)."""
        return nn.utils.parameters_to_vector(self._free.values()).detach()

    def write(self, parameters: Tensor) -> None:
        """Set the parameters."""
        nn.utils.vector_to_parameters(parameters, self._free.values())

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
        parameters = {name: p.detach() for name, p in self._free.items()}

        def outputs(values: dict[str, Tensor], row: Tensor) -> Tensor:
            result = functional_call(self.model, values, (row[None],))
            return result[0]

        size = sum(p.numel() for p in parameters.values())
        x = next(iter(parameters.values()))
        matrix, gradient = x.new_zeros(size, size), x.new_zeros(size)
        squares = total = 0.0
        for whole in self.batches:
            for batch in whole.blocks(block_rows(size * whole.targets.shape[1])):
                by_name = vmap(jacrev(outputs), in_dims=(None, 0))(parameters, batch.inputs)
                jacobian = torch.cat([by_name[name].flatten(2) for name in self._free], dim=2)
                jacobian = jacobian.detach()
                residual = (self.model(batch.inputs) - batch.targets).detach()
                weights = batch.weights
                weights = torch.ones_like(residual[:, 0]) if weights is None else weights
                squares += float(residual.square().mean(dim=1) @ weights)
                total += total_weight(batch)
                weighted = jacobian * (weights / residual.shape[1])[:, None, None]
                matrix += torch.einsum("nop,noq->pq", weighted, jacobian)
                gradient += torch.einsum("nop,no->p", weighted, residual)
        scale = 1 / (total * self.variance)
        return 0.5 * squares * scale, gradient * scale, matrix * scale
