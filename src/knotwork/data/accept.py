"""Everything that can be wrong with data, found before any training."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from knotwork._checks import check_device, check_dtype, near_spellings
from knotwork.data.matrices import (
    Matrix,
    finite_in,
    read_matrix,
    short,
)
from knotwork.data.samples import Dataset, Samples

_KEYS = ("train_input", "train_label", "test_input", "test_label")


class _Rows(NamedTuple):
    """Rows as they came."""

    inputs: Matrix
    targets: Matrix
    weights: Matrix | None = None


def as_dataset(
    data: Any,
    *,
    inputs: int,
    outputs: int,
    dtype: torch.dtype,
    device: torch.device | str | None = None,
    weights: Any = None,
    classes: bool = False,
    whole: bool = True,
) -> Dataset:
    """Return `data` as checked tensors that fit a network.

    Parameters
    ----------
    data : dict, pair or Dataset
        The dict of `knotwork.create_dataset` (its two test keys may be left out), a pair (X, y),
        or a Dataset. X is of shape (rows, inputs) and y of shape (rows,) or (rows, outputs); each
        is a tensor, an array, a pandas or polars frame or series, or a list.
    inputs, outputs : int
        The network's numbers of inputs and outputs.
    dtype : torch.dtype
        The network's floating dtype.
    device : torch.device or str, optional
        Where the network is; the CPU by default.
    weights : array_like, shape (rows,), optional
        How much each training row counts: at least 0.
    classes : bool
        Whether the targets are class labels, whole numbers from 0 to ``outputs - 1``.
    whole : bool
        Whether these are all rows rather than a batch of them, which may well be constant and of
        whose conversion every batch need not warn.

    Returns
    -------
    Dataset
        Inputs and targets in `dtype` on `device`; class labels as int64 of shape (rows,).

    Raises
    ------
    TypeError
        If `data` or a part of it is of a kind that cannot be read.
    ValueError
        If anything in it cannot be learned from; the message names the argument, the place of the
        first bad value, and a remedy.

    Warns
    -----
    UserWarning
        If tensors or arrays had to be converted or moved, or an input is constant.

    Examples
    --------
    >>> data = as_dataset(([[0.0], [1.0]], [1.0, 3.0]), inputs=1, outputs=1, dtype=torch.float32)
    >>> data.train.targets
    tensor([[1.],
            [3.]])
    """
    dtype, device = check_dtype(dtype), check_device(device)
    train, test = _read(data)
    if weights is not None:
        if train.weights is not None:
            raise ValueError("weights are given twice: by the Dataset and by the argument weights.")
        train = train._replace(weights=read_matrix(weights, "weights"))
    every = [train] if test is None else [train, test]
    parts = [_samples(rows, inputs, outputs, dtype, classes, whole) for rows in every]
    for rows in every[1:]:
        for first, second in zip(train[:2], rows[:2], strict=True):
            _check_same_names(first, second)
    if whole:
        _check_spread(train.targets, parts[0].targets)
        _warn_of_conversions(every, dtype, device, classes)
        _warn_of_constant_inputs(train.inputs, parts[0].inputs)
    parts = [part.to(device=device) for part in parts]
    return Dataset(
        parts[0],
        parts[1] if len(parts) > 1 else None,
        train.inputs.names,
        train.targets.names,
    )


def _read(data: Any) -> tuple[_Rows, _Rows | None]:
    """Return the training rows and, if there are any, the test rows."""
    if isinstance(data, Dataset):
        return _from_dataset(data)
    if isinstance(data, dict):
        return _from_dict(data)
    if isinstance(data, tuple | list):
        if len(data) != 2:
            raise ValueError(f"data must be a pair (X, y); got {len(data)} items.")
        return _Rows(read_matrix(data[0], "X"), read_matrix(data[1], "y")), None
    raise TypeError(
        "data must be a dict with the keys of create_dataset, a pair (X, y) or a Dataset; "
        f"got {type(data).__name__}."
    )


def _from_dict(data: dict[Any, Any]) -> tuple[_Rows, _Rows | None]:
    listed = ", ".join(repr(key) for key in _KEYS)
    for key in data:
        if key not in _KEYS:
            raise ValueError(
                f"data has the unknown key {key!r}; the keys are {listed}."
                f"{near_spellings(key, _KEYS)}"
            )
    needed = _KEYS if "test_input" in data or "test_label" in data else _KEYS[:2]
    missing = [repr(key) for key in needed if key not in data]
    if missing:
        raise ValueError(f"data lacks the key {' and '.join(missing)}; the keys are {listed}.")
    read = [read_matrix(data[key], f"data[{key!r}]") for key in needed]
    return _Rows(*read[:2]), _Rows(*read[2:]) if len(read) > 2 else None


def _from_dataset(data: Dataset) -> tuple[_Rows, _Rows | None]:
    def rows(samples: Samples, part: str) -> _Rows:
        def named(field: str, names: tuple[str, ...] | None = None) -> Matrix:
            matrix = read_matrix(getattr(samples, field), f"data.{part}.{field}")
            columns = matrix.values.shape[1] if matrix.values.ndim > 1 else 1
            if names is not None and len(names) != columns:
                raise ValueError(
                    f"data has {_plural(len(names), 'name')} for the "
                    f"{_plural(columns, 'column')} of {matrix.argument}: give each column a name."
                )
            return dataclasses.replace(matrix, names=names)

        weights = None if samples.weights is None else named("weights")
        return _Rows(
            named("inputs", data.input_names), named("targets", data.target_names), weights
        )

    return rows(data.train, "train"), None if data.test is None else rows(data.test, "test")


def _samples(
    rows: _Rows, inputs: int, outputs: int, dtype: torch.dtype, classes: bool, whole: bool
) -> Samples:
    """Return checked rows in the network's dtype, still on the device they came on."""
    _check_shape(rows.inputs, inputs, "input", "KAN(width=[{}, ...])")
    numbers = finite_in(dtype, rows.inputs)
    targets = _labels(rows.targets, outputs) if classes else _targets(rows.targets, outputs, dtype)
    _check_length(rows.targets, rows.inputs)
    if rows.weights is None:
        return Samples(numbers, targets)
    return Samples(numbers, targets, row_weights(rows.weights, rows.inputs, dtype, whole=whole))


def _check_shape(matrix: Matrix, columns: int, what: str, remedy: str) -> None:
    """Raise ValueError unless `matrix` has rows, and as many columns as the network asks for."""
    argument, shape = matrix.argument, tuple(matrix.values.shape)
    if shape[:1] == (0,):
        raise ValueError(f"{argument} has no rows: there is nothing to learn from.")
    if len(shape) != 2:
        raise ValueError(
            f"{argument} must have two dimensions, (rows, columns); got shape {shape}. "
            "Make one column with reshape(-1, 1), one row with reshape(1, -1)."
        )
    if shape[1] != columns:
        hint = " Or is it transposed?" if shape[0] == columns else ""
        raise ValueError(
            f"{argument} has {_plural(shape[1], 'column')}, but the network has "
            f"{_plural(columns, what)}: give it {_plural(columns, 'column')} or make the network "
            f"{remedy.format(shape[1])}.{hint}"
        )


def _check_length(matrix: Matrix, inputs: Matrix) -> None:
    length, rows = matrix.values.shape[0], inputs.values.shape[0]
    if length != rows:
        raise ValueError(
            f"{inputs.argument} has {_plural(rows, 'row')}, but {matrix.argument} has {length}: "
            "they must be the same rows in the same order."
        )


def _check_same_names(train: Matrix, test: Matrix) -> None:
    if train.names and test.names and train.names != test.names:
        raise ValueError(
            f"{test.argument} has the columns {list(test.names)}, but {train.argument} has "
            f"{list(train.names)}: give both the same columns in the same order."
        )


def _column(matrix: Matrix) -> Matrix:
    """Return a vector as one column."""
    if matrix.values.ndim != 1:
        return matrix
    return dataclasses.replace(matrix, values=matrix.values[:, None])


def _targets(matrix: Matrix, outputs: int, dtype: torch.dtype) -> Tensor:
    """Return the numbers to predict, of shape (rows, outputs)."""
    _check_shape(_column(matrix), outputs, "output", "KAN(width=[..., {}])")
    return finite_in(dtype, _column(matrix))


def _labels(matrix: Matrix, outputs: int) -> Tensor:
    """Return class labels as int64 of shape (rows,)."""
    argument, values = matrix.argument, matrix.values
    shape = tuple(values.shape)
    if values.ndim not in (1, 2) or shape[1:] not in ((), (1,)):
        hint = " Labels that are one-hot become numbers with argmax(1)." if values.ndim == 2 else ""
        raise ValueError(
            f"{argument} must hold one class label a row, shape (rows,); got {shape}.{hint}"
        )
    if shape[0] == 0:
        raise ValueError(f"{argument} has no rows: there is nothing to learn from.")
    numbers = finite_in(torch.float64, matrix).reshape(-1)
    bad = (numbers != numbers.round()) | (numbers < 0) | (numbers >= outputs)
    if bad.any():
        row = int(bad.int().argmax())
        raise ValueError(
            f"{argument} has the class label {numbers[row].item():g} in row {row} (counted from "
            f"0), but the network has {_plural(outputs, 'output')}: labels must be whole numbers "
            f"from 0 to {outputs - 1}."
        )
    return numbers.long()


def row_weights(
    matrix: Matrix, inputs: Matrix, dtype: torch.dtype = torch.float64, *, whole: bool = True
) -> Tensor:
    """Return the weights of the rows of some inputs, of shape (rows,).

    Raises
    ------
    ValueError
        If there is not one number a row, one is not finite or negative, or, where the rows are
        the whole data, all are 0.
    """
    argument, shape = matrix.argument, tuple(matrix.values.shape)
    if len(shape) == 0 or shape[1:] not in ((), (1,)):
        raise ValueError(f"{argument} must hold one weight a row, shape (rows,); got {shape}.")
    weights = finite_in(dtype, matrix).reshape(-1)
    if (weights < 0).any():
        row = int((weights < 0).int().argmax())
        raise ValueError(
            f"{argument} has {weights[row].item():g} in row {row} (counted from 0): weights must "
            "be at least 0. Give a row that should not count the weight 0."
        )
    if whole and not weights.any():
        raise ValueError(f"{argument} are all 0: give some rows a weight above 0.")
    _check_length(matrix, inputs)
    return weights


def _check_spread(matrix: Matrix, targets: Tensor) -> None:
    """Raise ValueError if a target is the same in all rows."""
    columns = targets.reshape(len(targets), -1)
    same = (columns == columns[0]).all(dim=0)
    if same.any():
        index = int(same.int().argmax())
        what = f"output {index}" if targets.is_floating_point() else "the class label"
        name = f" ({matrix.names[index]!r})" if matrix.names else ""
        raise ValueError(
            f"{matrix.argument}: {what}{name} is the same in every row, "
            f"{columns[0, index].item():g}: there is nothing to learn. Check that it is the right "
            "column, or leave it out."
        )


def _warn_of_constant_inputs(matrix: Matrix, inputs: Tensor) -> None:
    same = (inputs == inputs[0]).all(dim=0).nonzero()[:, 0].tolist()
    for index in same:
        _warn(
            f"{matrix.argument}: {matrix.column(index)} is {inputs[0, index].item():g} in all "
            "rows and cannot influence the fit. Leave it out, or give rows in which it varies."
        )


def _warn_of_conversions(
    every: Iterable[_Rows], dtype: torch.dtype, device: torch.device, classes: bool
) -> None:
    """Warn once for each kind of conversion, naming all that needed it."""
    matrices = [matrix for rows in every for matrix in (rows.inputs, rows.targets)]
    numbers = matrices[::2] if classes else matrices
    exact = [matrix for matrix in numbers if matrix.origin != "other"]
    integers = [matrix for matrix in exact if not matrix.values.is_floating_point()]
    floats = [matrix for matrix in exact if matrix.values.is_floating_point()]
    others = [matrix for matrix in floats if matrix.values.dtype != dtype]
    elsewhere = [
        matrix
        for matrix in matrices
        if matrix.origin == "tensor" and matrix.values.device != device
    ]
    name = short(dtype)
    if integers:
        _warn(
            f"{_join(integers)} held integers, now converted to {name}. Give floating numbers to "
            "avoid this warning."
        )
    if others:
        found = " and ".join(sorted({short(matrix.values.dtype) for matrix in others}))
        _warn(
            f"{_join(others)} held {found}, now converted to the network's {name}. Give {name}, "
            "or make the network with the dtype of the data, KAN(..., dtype=...)."
        )
    if elsewhere:
        _warn(
            f"{_join(elsewhere)} lay on {elsewhere[0].values.device}, now moved to the network's "
            f"{device}. Call .to({str(device)!r}) on the data to avoid moving it each time."
        )


def _join(matrices: Iterable[Matrix]) -> str:
    return ", ".join(matrix.argument for matrix in matrices)


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
