"""Sums over the rows of a network's data: its squared errors, J'J and J'r.

The Jacobian's columns of a spline edge have local support: on a row only k + 1 of its coefficients
matter.  The compiled library adds up just the products of those, so that a row costs the same
whatever the grid; elsewhere the Jacobian is formed whole, a block of rows at a time.  A network
of nothing but spline layers goes through the library as a whole, in one call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from .. import kernels
from ..data import Samples
from ..kernels.compiled import Library, SplineColumns
from .batches import CHUNK_ROWS, block_rows
from .parameters import FreeParameters
from .sensitivities import LayerSweep, backward, forward


class Sums(Protocol):
    """Sums over rows; those of the normal equations grow until they are asked for.

    Rows of weight w count w times.  Rows are given in blocks of at most `rows`.
    """

    rows: int

    def squares(self, block: Samples) -> float:
        """Return the sum of squared errors."""
        ...

    def add(self, block: Samples) -> None:
        """Add the rows to the normal equations."""
        ...

    def total(self, scale: float) -> tuple[float, Tensor, Tensor]:
        """Return the sum of squares, J'r of shape (size,) and J'J of shape (size, size), scaled."""
        ...


def sums_of(parameters: FreeParameters) -> Sums:
    """Return empty sums for these parameters, by the fastest way there is here."""
    layers = [part.layer for part in parameters.parts]
    compiled = kernels.selection.compiled(layers[0].knots)
    if compiled is None or len({layer.k for layer in layers}) > 1:
        return DenseSums(parameters)
    products = any(nodes.products for nodes in parameters.model.nodes)
    symbols = any(layer.functions for layer in layers)
    bounded = any(layer.extrapolation == "error" for layer in layers)
    if products or symbols or bounded:
        return LocalSums(parameters, *compiled)
    return ChainSums(parameters, *compiled)


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


def _root(block: Samples) -> Tensor | None:
    return None if block.weights is None else block.weights.sqrt()


class _SweptSums(ABC):
    """Sums by a sweep forward, and one back for every output.

    Parameters
    ----------
    parameters : FreeParameters
    """

    rows: int

    def __init__(self, parameters: FreeParameters) -> None:
        self._parameters = parameters

    def squares(self, block: Samples) -> float:
        """Return the sum of squared errors; see `Sums`."""
        _, outputs = forward(self._parameters, block.inputs)
        errors = (outputs - block.targets).square().sum(dim=1)
        return float(errors.sum() if block.weights is None else errors @ block.weights)

    def add(self, block: Samples) -> None:
        """Add the rows to the normal equations; see `Sums`."""
        sweeps, outputs = forward(self._parameters, block.inputs)
        residual = outputs - block.targets
        root = _root(block)
        residual = residual if root is None else residual * root[:, None]
        for output in range(residual.shape[1]):
            slopes = backward(self._parameters.model, sweeps, output)
            slopes = slopes if root is None else [slope * root[:, None] for slope in slopes]
            self._add(sweeps, slopes, residual[:, output])

    @abstractmethod
    def _add(
        self, sweeps: Sequence[LayerSweep], slopes: Sequence[Tensor], residual: Tensor
    ) -> None:
        """Add rows of one output.

        Parameters
        ----------
        sweeps : sequence of LayerSweep
        slopes : sequence of Tensors of shape (rows, sums)
            The output's derivatives by every layer's sums, times the root of the row's weight.
        residual : Tensor of shape (rows,)
            Output less target, times the root of the row's weight.
        """


class DenseSums(_SweptSums):
    """Sums of a Jacobian that is formed whole."""

    def __init__(self, parameters: FreeParameters) -> None:
        super().__init__(parameters)
        size, device = parameters.size, parameters.model.device
        self.rows = block_rows(size)
        self._matrix = torch.zeros(size, size, dtype=torch.float64, device=device)
        self._gradient = torch.zeros(size, dtype=torch.float64, device=device)
        self._squares = 0.0

    def _add(
        self, sweeps: Sequence[LayerSweep], slopes: Sequence[Tensor], residual: Tensor
    ) -> None:
        columns = jacobian(self._parameters, sweeps, slopes)
        self._matrix.addmm_(columns.T, columns)
        self._gradient.addmv_(columns.T, residual)
        self._squares += float(residual.square().sum())

    def total(self, scale: float) -> tuple[float, Tensor, Tensor]:
        """Return the sums; see `Sums`."""
        return self._squares * scale, self._gradient * scale, self._matrix * scale


class _UpperTriangle:
    """The normal equations as the library adds them up: coefficients first, the residual last."""

    def __init__(self, parameters: FreeParameters, library: Library) -> None:
        self._library = library
        self._place = parameters.place_by_kind
        size = parameters.size + 1
        self.values = torch.zeros(size, size, dtype=torch.float64)

    def total(self, scale: float) -> tuple[float, Tensor, Tensor]:
        """Return the sums; see `Sums`."""
        matrix = self._library.reorder(self.values, self._place, scale)
        last = self.values[:, -1] * scale
        return float(last[-1]), last[self._place], matrix


class LocalSums(_SweptSums):
    """Sums by the compiled library, which knows where a Jacobian's columns vanish."""

    rows = CHUNK_ROWS

    def __init__(self, parameters: FreeParameters, library: Library, instruction_set: int) -> None:
        super().__init__(parameters)
        self._library = library
        self._instruction_set = instruction_set

    @cached_property
    def _upper(self) -> _UpperTriangle:
        # Made when rows are first added: a sum of squares needs none.
        return _UpperTriangle(self._parameters, self._library)

    def _add(
        self, sweeps: Sequence[LayerSweep], slopes: Sequence[Tensor], residual: Tensor
    ) -> None:
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
            self._upper.values,
            self._parameters.coefficients,
        )

    def total(self, scale: float) -> tuple[float, Tensor, Tensor]:
        """Return the sums; see `Sums`."""
        return self._upper.total(scale)


class ChainSums:
    """Sums of a network of nothing but spline layers, by one call of the compiled library."""

    rows = CHUNK_ROWS

    def __init__(self, parameters: FreeParameters, library: Library, instruction_set: int) -> None:
        self._parameters = parameters
        self._library = library
        self._instruction_set = instruction_set

    @cached_property
    def _upper(self) -> _UpperTriangle:
        # Made when rows are first added: a sum of squares needs none.
        return _UpperTriangle(self._parameters, self._library)

    def _run(self, block: Samples, matrix: Tensor | None) -> float:
        layers = [part.layer.splines for part in self._parameters.parts]
        return self._library.run_chain(
            self._instruction_set,
            layers,
            block.inputs,
            block.targets,
            _root(block),
            matrix,
            self._parameters.coefficients,
        )

    def squares(self, block: Samples) -> float:
        """Return the sum of squared errors; see `Sums`."""
        return self._run(block, None)

    def add(self, block: Samples) -> None:
        """Add the rows to the normal equations; see `Sums`."""
        self._run(block, self._upper.values)

    def total(self, scale: float) -> tuple[float, Tensor, Tensor]:
        """Return the sums; see `Sums`."""
        return self._upper.total(scale)
