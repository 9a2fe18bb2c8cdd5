"""The normal equations of a network, summed over rows: J'J, J'r and the squares of r.

The Jacobian's columns of a spline edge have local support: on a row only k + 1 of its coefficients
matter.  The compiled library adds up just the products of those, so that a row costs the same
whatever the grid; elsewhere the Jacobian is formed whole, a block of rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from .. import kernels
from ..kernels.compiled import Library, SplineColumns
from .batches import CHUNK_ROWS, block_rows
from .parameters import FreeParameters
from .sensitivities import LayerSweep


class NormalEquations(Protocol):
    """Sums over rows."""

    @property
    def rows(self) -> int:
        """How many rows to add at once."""
        ...

    def add(self, sweeps: Sequence[LayerSweep], slopes: Sequence[Tensor], residual: Tensor) -> None:
        """Add rows of one output.

        Parameters
        ----------
        sweeps : sequence of LayerSweep
        slopes : sequence of Tensors of shape (rows, sums)
            The output's derivatives by every layer's sums, times the root of the row's weight.
        residual : Tensor of shape (rows,)
            Output less target, times the root of the row's weight.
        """
        ...

    def total(self) -> tuple[float, Tensor, Tensor]:
        """Return the sum of squares, J'r of shape (size,) and J'J of shape (size, size)."""
        ...


def normal_equations(parameters: FreeParameters) -> NormalEquations:
    """Return empty sums for these parameters, by the fastest way there is here."""
    selection = kernels.selection
    orders = {part.layer.k for part in parameters.parts}
    on_cpu = parameters.model.device.type == "cpu"
    library, instruction_set = selection.library, selection.instruction_set
    if library is None or instruction_set is None or len(orders) > 1 or not on_cpu:
        return DenseSums(parameters)
    return LocalSums(parameters, library, instruction_set)


def jacobian(
    parameters: FreeParameters, sweeps: Sequence[LayerSweep], slopes: Sequence[Tensor]
) -> Tensor:
    """Return one output's derivatives by all free parameters, shape (rows, size)."""
    rows = len(slopes[0])
    whole = slopes[0].new_empty(rows, parameters.size)
    for sweep, slope in zip(sweeps, slopes, strict=True):
        part, at = sweep.part, sweep.part.offset
        end = at + part.spline_size
        if part.spline_size:
            block = whole[:, at:end].view(rows, -1, part.per_edge)
            values = part.layer.feature_values(sweep.x)[:, part.sources]
            torch.mul(values, slope[:, part.targets, None], out=block)
        for columns in sweep.plain_columns(slope):
            at, end = end, end + columns.shape[1]
            whole[:, at:end] = columns
    return whole


class DenseSums:
    """Sums of a Jacobian that is formed whole."""

    def __init__(self, parameters: FreeParameters) -> None:
        size, device = parameters.size, parameters.model.device
        self.rows = block_rows(size)
        self._parameters = parameters
        self._matrix = torch.zeros(size, size, dtype=torch.float64, device=device)
        self._gradient = torch.zeros(size, dtype=torch.float64, device=device)
        self._squares = 0.0

    def add(self, sweeps: Sequence[LayerSweep], slopes: Sequence[Tensor], residual: Tensor) -> None:
        """Add rows of one output; see `NormalEquations`."""
        columns = jacobian(self._parameters, sweeps, slopes)
        self._matrix.addmm_(columns.T, columns)
        self._gradient.addmv_(columns.T, residual)
        self._squares += float(residual.square().sum())

    def total(self) -> tuple[float, Tensor, Tensor]:
        """Return the sums; see `NormalEquations`."""
        return self._squares, self._gradient, self._matrix


class LocalSums:
    """Sums by the compiled library, which knows where a Jacobian's columns vanish."""

    rows = CHUNK_ROWS

    def __init__(self, parameters: FreeParameters, library: Library, instruction_set: int) -> None:
        self._library = library
        self._instruction_set = instruction_set
        self._parameters = parameters
        # The residual is the last column.
        size = parameters.size + 1
        self._upper = torch.zeros(size, size, dtype=torch.float64)

    def add(self, sweeps: Sequence[LayerSweep], slopes: Sequence[Tensor], residual: Tensor) -> None:
        """Add rows of one output; see `NormalEquations`."""
        layers = [
            SplineColumns(sweep.x, slope, layer.knots, layer.kind, kernels.inside(layer.rule))
            for sweep, slope in zip(sweeps, slopes, strict=True)
            for layer in [sweep.part.layer]
        ]
        plain = [
            columns
            for sweep, slope in zip(sweeps, slopes, strict=True)
            for columns in sweep.plain_columns(slope)
        ]
        self._library.add_normal_equations(
            self._instruction_set,
            layers,
            torch.cat([*plain, residual[:, None]], dim=1),
            self._upper,
            self._parameters.coefficients,
        )

    def total(self) -> tuple[float, Tensor, Tensor]:
        """Return the sums; see `NormalEquations`."""
        whole = self._upper + self._upper.triu(1).T
        place = self._parameters.place_by_kind
        rows = whole[place]
        return float(whole[-1, -1]), rows[:, -1].clone(), rows[:, place]
