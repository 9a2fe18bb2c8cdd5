"""The compiled library: where it is, whether it can be used, and calls into it.

It has plain C entry points and is loaded through ctypes, so it depends neither on torch's nor on
Python's binary interface.  Threads come from torch's own OpenMP, whose entry point it is given.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from ctypes import c_double, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .reference import Rule, SplineLayer

# In the order in which the library numbers them.
INSTRUCTION_SETS = ("plain", "avx2", "avx512")
EXTRAPOLATIONS = ("linear", "constant", "continue", "zero")
RESIDUALS = (None, "silu", "identity", "tanh", "sin")
DTYPES = (torch.float32, torch.float64)
_NO_MEMORY = "the compiled kernel found no memory to work in: use smaller batches."
_NAMES = ("libknotwork.so", "libknotwork.dylib")


class _Call(ctypes.Structure):
    """One call, as `struct Call` in cpu/library.hpp has it."""

    _fields_ = [
        *((name, c_int64) for name in ("rows", "inputs", "outputs", "grid")),
        *((name, c_int32) for name in ("k", "uniform", "extrapolation", "residual")),
        *((name, c_int32) for name in ("threads", "backward")),
        *((name, c_void_p) for name in ("x", "knots", "coefficients", "residual_weight", "bias")),
        *((name, c_void_p) for name in ("kind", "y", "of_x", "of_coefficients", "of_residual")),
        ("of_bias", c_void_p),
    ]


class _NormalLayer(ctypes.Structure):
    """A layer's part in the normal equations, as `struct NormalLayer` has it."""

    _fields_ = [
        *((name, c_int64) for name in ("inputs", "outputs", "grid")),
        *((name, c_int32) for name in ("uniform", "extrapolation", "residual", "weighted")),
        *((name, c_void_p) for name in ("x", "knots", "kind", "slopes")),
    ]


class _Normal(ctypes.Structure):
    """The normal equations of one output, as `struct Normal` has it."""

    _fields_ = [
        *((name, c_int64) for name in ("rows", "layers", "others", "locals", "size")),
        *((name, c_int32) for name in ("order", "threads")),
        *((name, c_void_p) for name in ("layer", "other", "matrix")),
    ]


class _Chain(ctypes.Structure):
    """A chain of layers and its data, as `struct Chain` has it."""

    _fields_ = [
        *((name, c_int64) for name in ("rows", "layers", "locals", "size")),
        *((name, c_void_p) for name in ("layer", "x", "targets", "roots", "matrix")),
        ("squares", c_double),
    ]


class _Moments(ctypes.Structure):
    """How features vary, as `struct Moments` has it."""

    _fields_ = [
        *((name, c_int64) for name in ("rows", "inputs", "grid")),
        *((name, c_int32) for name in ("order", "uniform", "extrapolation", "residual")),
        ("threads", c_int32),
        *((name, c_void_p) for name in ("x", "knots", "count", "mean", "scatter")),
    ]


class SplineColumns(NamedTuple):
    """What the columns of a layer's spline edges in a Jacobian are made from.

    Attributes
    ----------
    x : Tensor of shape (rows, inputs)
    slopes : Tensor of shape (rows, outputs)
        Derivative of the network's output by each of the layer's sums.
    knots, kind, rule
        The layer's.
    """

    x: Tensor
    slopes: Tensor
    knots: Tensor
    kind: Tensor
    rule: Rule


class Library:
    """The loaded library.

    Attributes
    ----------
    path : Path
    best : int
        Number of the best instruction set that this machine has.
    threaded : bool
        Whether torch's OpenMP was found; without it everything runs on one thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = ctypes.CDLL(str(path))
        self._run = self._library.knotwork_run
        self._run.argtypes = [c_void_p, ctypes.c_int, ctypes.c_int]
        self._normal = self._library.knotwork_normal
        self._normal.argtypes = [c_void_p, ctypes.c_int]
        self._chain = self._library.knotwork_chain
        self._chain.argtypes = [c_void_p, ctypes.c_int]
        self._reorder = self._library.knotwork_reorder
        self._reorder.argtypes = [c_void_p, c_int64, c_void_p, c_int64, c_double, c_void_p]
        self._reorder.restype = None
        self._moments = self._library.knotwork_moments
        self._moments.argtypes = [c_void_p, ctypes.c_int]
        self.best: int = self._library.knotwork_best_set()
        self.threaded = self._share_threads()

    def _share_threads(self) -> bool:
        # A second OpenMP library would have a second pool, whose threads fight with torch's.
        try:
            entry = ctypes.CDLL(torch._C.__file__).GOMP_parallel
        except (AttributeError, OSError):
            return False
        self._library.knotwork_use_openmp(ctypes.cast(entry, c_void_p))
        return True

    @property
    def threads(self) -> int:
        """How many threads a call may use."""
        return torch.get_num_threads() if self.threaded else 1

    def _call(
        self,
        layer: SplineLayer,
        rows: int = 0,
        x: Tensor | None = None,
        y: Tensor | None = None,
        gradients: tuple[Tensor | None, ...] | None = None,
    ) -> _Call:
        rule = layer.rule
        return _Call(
            rows,
            layer.coefficients.shape[0],
            layer.coefficients.shape[2],
            layer.coefficients.shape[1] - rule.k,
            rule.k,
            rule.uniform,
            EXTRAPOLATIONS.index(rule.extrapolation),
            RESIDUALS.index(rule.residual),
            self.threads,
            gradients is not None,
            _pointer(x),
            layer.knots.data_ptr(),
            layer.coefficients.data_ptr(),
            _pointer(layer.residual_weight),
            _pointer(layer.bias),
            layer.kind.data_ptr(),
            _pointer(y),
            *map(_pointer, gradients or ()),
        )

    def run(
        self,
        instruction_set: int,
        x: Tensor,
        layer: SplineLayer,
        y: Tensor,
        gradients: tuple[Tensor | None, ...] | None = None,
    ) -> None:
        """Compute `y`, or from its gradient `y` those gradients that are not None; in place.

        All tensors are contiguous, on the CPU, and of one dtype, but for `kind` (uint8).
        """
        call = self._call(layer, x.shape[0], x, y, gradients)
        if self._run(ctypes.addressof(call), instruction_set, x.dtype == torch.float64):
            raise MemoryError(_NO_MEMORY)

    def run_chain(
        self,
        instruction_set: int,
        layers: Sequence[SplineLayer],
        x: Tensor,
        targets: Tensor,
        roots: Tensor | None,
        matrix: Tensor | None = None,
        coefficients: int = 0,
    ) -> float:
        """Return the sum of a chain of layers' squared errors, and add up its normal equations.

        All tensors are on the CPU and of float64, but for `kind` (uint8).

        Parameters
        ----------
        instruction_set : int
        layers : sequence of SplineLayer
            Each feeds the next; of one order k if there is a matrix.
        x : Tensor of shape (rows, inputs)
        targets : Tensor of shape (rows, outputs)
        roots : Tensor of shape (rows,), optional
            Roots of the rows' weights.
        matrix : Tensor of shape (size, size), contiguous, optional
            As in `add_normal_equations`, the other columns being the biases, layer by layer, and
            the residual, summed over outputs.
        coefficients : int
            How many columns are those of coefficients.
        """
        # Named, so that copies made here live until the call is over.
        held = [layer.contiguous() for layer in layers]
        calls = (_Call * len(held))(*map(self._call, held))
        x, targets = x.contiguous(), targets.contiguous()
        roots = None if roots is None else roots.contiguous()
        chain = _Chain(
            x.shape[0],
            len(held),
            coefficients,
            0 if matrix is None else matrix.shape[0],
            ctypes.addressof(calls),
            x.data_ptr(),
            targets.data_ptr(),
            _pointer(roots),
            _pointer(matrix),
        )
        if self._chain(ctypes.addressof(chain), instruction_set):
            raise MemoryError(_NO_MEMORY)
        return float(chain.squares)

    def add_normal_equations(
        self,
        instruction_set: int,
        layers: Sequence[SplineColumns],
        others: Tensor,
        matrix: Tensor,
        coefficients: int,
    ) -> None:
        """Add J'J to the upper triangle of `matrix`; in place.

        The columns of J are the coefficients of all spline edges, layer after layer and in each in
        the order (input, output), the weights of their residuals, and `others`.  All tensors are
        on the CPU and of float64, but for `kind` (uint8).

        Parameters
        ----------
        instruction_set : int
        layers : sequence of SplineColumns
            All of the same order k.
        others : Tensor of shape (rows, columns)
        matrix : Tensor of shape (size, size), contiguous
        coefficients : int
            How many columns are those of coefficients.
        """
        # Named, so that copies made here live until the call is over.
        held = [
            SplineColumns(
                layer.x.contiguous(),
                layer.slopes.contiguous(),
                layer.knots.contiguous(),
                layer.kind.contiguous(),
                layer.rule,
            )
            for layer in layers
        ]
        entries = (_NormalLayer * len(held))(
            *(
                _NormalLayer(
                    layer.x.shape[1],
                    layer.slopes.shape[1],
                    layer.knots.shape[1] - 2 * layer.rule.k - 1,
                    layer.rule.uniform,
                    EXTRAPOLATIONS.index(layer.rule.extrapolation),
                    RESIDUALS.index(layer.rule.residual),
                    layer.rule.residual is not None,
                    layer.x.data_ptr(),
                    layer.knots.data_ptr(),
                    layer.kind.data_ptr(),
                    layer.slopes.data_ptr(),
                )
                for layer in held
            )
        )
        others = others.contiguous()
        call = _Normal(
            len(others),
            len(held),
            others.shape[1],
            coefficients,
            len(matrix),
            held[0].rule.k,
            self.threads,
            ctypes.addressof(entries),
            others.data_ptr(),
            matrix.data_ptr(),
        )
        if self._normal(ctypes.addressof(call), instruction_set):
            raise MemoryError(_NO_MEMORY)

    def reorder(self, upper: Tensor, place: Tensor, scale: float) -> Tensor:
        """Return a symmetric matrix whole, scaled and in another order of its rows and columns.

        Parameters
        ----------
        upper : Tensor of shape (size, size), float64, contiguous
            Its upper triangle.
        place : Tensor of shape (count,), int64, contiguous
            Where each row of the result stands in `upper`.
        scale : float
        """
        count = len(place)
        whole = upper.new_empty(count, count)
        self._reorder(
            upper.data_ptr(), len(upper), place.data_ptr(), count, scale, whole.data_ptr()
        )
        return whole

    def interval_moments(
        self, instruction_set: int, x: Tensor, knots: Tensor, rule: Rule
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Add up, interval by interval, how every input's features vary.

        Parameters
        ----------
        instruction_set : int
        x : Tensor of shape (inputs, rows), float64, contiguous
        knots : Tensor of shape (inputs, grid + 2 k + 1), float64, contiguous
        rule : Rule

        Returns
        -------
        count : Tensor of shape (inputs, grid)
            Rows in every interval; the end intervals have those beyond them too.
        mean : Tensor of shape (inputs, grid, features)
            Of the features over these rows.
        scatter : Tensor of shape (inputs, features, features)
            Sums of products of the features' differences from the mean of their interval.
        """
        inputs, rows = x.shape
        grid = knots.shape[1] - 2 * rule.k - 1
        features = grid + rule.k + (rule.residual is not None)
        count = x.new_empty(inputs, grid)
        mean = x.new_zeros(inputs, grid, features)
        scatter = x.new_zeros(inputs, features, features)
        call = _Moments(
            rows,
            inputs,
            grid,
            rule.k,
            rule.uniform,
            EXTRAPOLATIONS.index(rule.extrapolation),
            RESIDUALS.index(rule.residual),
            self.threads,
            *(tensor.data_ptr() for tensor in (x, knots, count, mean, scatter)),
        )
        if self._moments(ctypes.addressof(call), instruction_set):
            raise MemoryError(_NO_MEMORY)
        return count, mean, scatter


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def load(folders: Iterable[str]) -> tuple[Library | None, str]:
    """Load the library from the first of these folders that has it.

    Returns
    -------
    tuple of Library or None, and str
        The second says why there is none.
    """
    for path in (Path(folder) / name for folder in folders for name in _NAMES):
        if path.exists():
            try:
                return Library(path), ""
            except (OSError, AttributeError) as error:
                return None, f"the compiled library cannot be loaded ({error})"
    return None, "the compiled library was not built when knotwork was installed"
