"""The rows that an explanation is over, and the names of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._checks import near_spellings
from ..data.matrices import Matrix, finite_in, read_matrix
from ..network import KAN


def read_rows(model: KAN, X: Any) -> tuple[Tensor, tuple[str, ...] | None]:
    """Return rows as the network takes them, and the names of their columns if there are any.

    Parameters
    ----------
    model : KAN
    X : tensor, array, data frame or list of rows, or None
        A frame's columns may come in any order if the network knows their names; None stands for
        what the network was last fitted to.

    Returns
    -------
    tuple
        A Tensor of shape (rows, inputs) of the network's dtype, on its device, which shares no
        memory with X; and the names.

    Raises
    ------
    TypeError
        If X is of a kind that cannot be read.
    ValueError
        If it has no rows, other columns than the network has inputs, or numbers that are not
        finite.
    """
    if X is None:
        return model.inputs_or_recent(None).detach().clone(), model.input_names
    matrix = read_matrix(X, "X")
    shape = tuple(matrix.values.shape)
    if len(shape) == 2 and matrix.names is not None and model.input_names is not None:
        matrix = _in_order(matrix, matrix.names, model.input_names)
        shape = tuple(matrix.values.shape)
    if len(shape) != 2:
        raise ValueError(
            f"X must have two dimensions, (rows, {model.input_count}); got shape {shape}. "
            "Make one row with reshape(1, -1)."
        )
    if shape[1] != model.input_count:
        named = f" ({', '.join(matrix.names)})" if matrix.names else ""
        raise ValueError(
            f"X has {shape[1]} columns{named}, but the network takes {model.input_count} inputs."
        )
    if shape[0] == 0:
        raise ValueError("X has no rows, so there is nothing to explain.")
    rows = finite_in(model.dtype, matrix).to(model.device)
    return rows.clone(), model.input_names or matrix.names


def read_row(model: KAN, row: Any, names: Sequence[str]) -> Tensor:
    """Return one row of numbers, shape (1, inputs), as the network takes it.

    Raises
    ------
    TypeError, ValueError
        If it is no row of so many finite numbers.
    """
    matrix = read_matrix(row, "row")
    shape = tuple(matrix.values.shape)
    if shape != (model.input_count,):
        raise ValueError(
            "row must be the index of a row of X, or a row of its own with a number for each of "
            f"{', '.join(names)}; got shape {shape}."
        )
    return finite_in(model.dtype, matrix).to(model.device)[None]


def _in_order(matrix: Matrix, names: tuple[str, ...], wanted: tuple[str, ...]) -> Matrix:
    """Return a frame's columns in the order of the network's inputs."""
    missing = [name for name in wanted if name not in names]
    extra = [name for name in names if name not in wanted]
    if missing or extra:
        parts = [
            f"{what} {', '.join(map(repr, columns))}"
            for what, columns in (("lacks", missing), ("has in excess", extra))
            if columns
        ]
        hint = near_spellings(missing[0], extra) if missing else ""
        raise ValueError(
            f"X {' and '.join(parts)}: give the columns that the network takes, "
            f"{', '.join(wanted)}.{hint}"
        )
    order = torch.tensor([names.index(name) for name in wanted])
    return Matrix(matrix.argument, matrix.values[:, order], wanted, matrix.origin)


def numbers(values: Tensor) -> NDArray[np.float64]:
    """Return a tensor as an array of float64."""
    return values.double().cpu().numpy()
