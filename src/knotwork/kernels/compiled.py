"""The compiled library: where it is, whether it can be used, and calls into it.

It has plain C entry points and is loaded through ctypes, so it depends neither on torch's nor on
Python's binary interface.  Threads come from torch's own OpenMP, whose entry point it is given.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from ctypes import c_int32, c_int64, c_void_p
from pathlib import Path

import torch
from torch import Tensor

from .reference import Rule

# In the order in which the library numbers them.
INSTRUCTION_SETS = ("plain", "avx2", "avx512")
EXTRAPOLATIONS = ("linear", "constant", "continue", "zero")
RESIDUALS = (None, "silu", "identity", "tanh", "sin")
DTYPES = (torch.float32, torch.float64)
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

    def run(
        self,
        instruction_set: int,
        x: Tensor,
        knots: Tensor,
        coefficients: Tensor,
        residual_weight: Tensor | None,
        bias: Tensor | None,
        kind: Tensor,
        rule: Rule,
        y: Tensor,
        gradients: tuple[Tensor | None, ...] | None = None,
    ) -> None:
        """Compute `y`, or from its gradient `y` those gradients that are not None; in place.

        All tensors are contiguous, on the CPU, and of one dtype, but for `kind` (uint8).
        """
        rows, inputs = x.shape
        call = _Call(
            rows,
            inputs,
            coefficients.shape[2],
            coefficients.shape[1] - rule.k,
            rule.k,
            rule.uniform,
            EXTRAPOLATIONS.index(rule.extrapolation),
            RESIDUALS.index(rule.residual),
            torch.get_num_threads() if self.threaded else 1,
            gradients is not None,
            x.data_ptr(),
            knots.data_ptr(),
            coefficients.data_ptr(),
            _pointer(residual_weight),
            _pointer(bias),
            kind.data_ptr(),
            y.data_ptr(),
            *map(_pointer, gradients or ()),
        )
        if self._run(ctypes.addressof(call), instruction_set, x.dtype == torch.float64):
            raise MemoryError(
                "the compiled kernel found no memory to work in: use smaller batches."
            )


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
