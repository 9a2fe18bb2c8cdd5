"""Cholesky factors of symmetric positive definite matrices, by LAPACK.

On the CPU through SciPy: for the few hundred unknowns of a small network its calls take half the
time of torch's.  Elsewhere, or on another dtype than float64, torch does the same.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

_factorise, _solve, _invert = get_lapack_funcs(("potrf", "potrs", "potri"), dtype="float64")


class Cholesky:
    """The factor of a matrix, which solves systems with it.

    Parameters
    ----------
    matrix : Tensor of shape (size, size)
        Symmetric; it is overwritten.

    Attributes
    ----------
    succeeded : bool
        False where the matrix is not positive definite: then nothing can be solved.
    """

    def __init__(self, matrix: Tensor) -> None:
        self._native = matrix.device.type == "cpu" and matrix.dtype == torch.float64
        if self._native:
            # Read column by column a symmetric matrix is the same, and LAPACK needs no copy.
            self._factor: Any
            self._factor, failed = _factorise(
                matrix.contiguous().numpy().T, lower=True, clean=False, overwrite_a=True
            )
        else:
            self._factor, failed = torch.linalg.cholesky_ex(matrix)
        self.succeeded = int(failed) == 0

    def solve(self, right: Tensor) -> Tensor:
        """Solve for one right side, shape (size,)."""
        if not self._native:
            return torch.cholesky_solve(right[:, None], self._factor)[:, 0]
        solution, _ = _solve(self._factor, right.numpy(), lower=True)
        return torch.from_numpy(solution)

    def inverse(self) -> Tensor:
        """Return the inverse of the matrix, shape (size, size); the factor is used up."""
        if not self._native:
            return torch.cholesky_inverse(self._factor)
        lower, _ = _invert(self._factor, lower=True, overwrite_c=True)
        # In torch's order of rows what LAPACK calls the lower triangle is the upper one.
        upper = torch.from_numpy(lower.T).triu()
        return upper + upper.triu(1).T
