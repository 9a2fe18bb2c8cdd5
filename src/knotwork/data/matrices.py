"""Numbers from anywhere: tensors, arrays, data frames and lists, read into one checked form."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# What may stand in place of numbers, and the way out of it.
REMEDIES = {
    "text": "encode it as numbers (a column of 0 and 1 for each category; class labels as 0, 1, 2, "
    "and so on), or leave it out",
    "booleans": "turn them into 0 and 1 if they are meant as numbers, or leave them out",
    "complex numbers": "give real and imaginary parts as columns of their own",
    "dates or times": "turn them into numbers (say, days since the first one), or leave them out",
    "objects that are no numbers": "turn them into numbers, or leave them out",
}

# Names of the types of missing values.
MISSING = {"NoneType", "NAType", "NaTType"}

_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str, bytes),
    "booleans": (bool, np.bool_),
    "complex numbers": (complex, np.complexfloating),
    "dates or times": (
        datetime.date,
        datetime.time,
        datetime.timedelta,
        np.datetime64,
        np.timedelta64,
    ),
}
# What Python and NumPy count among the whole numbers all the same.
_NO_NUMBERS = (bool, np.timedelta64)


@dataclass(frozen=True, eq=False)
class Matrix:
    """Real numbers as they came, under the name that messages use for them.

    Attributes
    ----------
    argument : str
        As the caller knows it: "X", "data['train_label']".
    values : Tensor
        Dense, detached, floating or integer, of any shape.
    names : tuple of str or None
        Names of the columns, if they came with any.
    origin : {"tensor", "array", "other"}
        Tensors and arrays have a dtype that was chosen; lists and frames need not be exact in it.
    """

    argument: str
    values: Tensor
    names: tuple[str, ...] | None = None
    origin: Literal["tensor", "array", "other"] = "other"

    def column(self, index: int) -> str:
        """Return the words for a column."""
        return f"column {self.names[index]!r}" if self.names else f"column {index}"

    def place(self, row: int, column: int = 0) -> str:
        """Return the words for one value."""
        if self.values.ndim < 2 and not self.names:
            return f"row {row} (counted from 0)"
        return f"row {row}, {self.column(column)} (counted from 0)"


class Stranger(NamedTuple):
    """The first thing in a column that is no real number."""

    row: int
    kind: str
    shown: str


def read_matrix(value: Any, argument: str) -> Matrix:
    """Return the numbers in a tensor, array, data frame, series or list.

    Raises
    ------
    TypeError
        If `value` is none of these.
    ValueError
        If it holds something other than real numbers; the message says where.
    """
    if isinstance(value, Tensor):
        if value.is_meta:
            raise ValueError(f"{argument} is on the meta device and holds no numbers: give data.")
        return Matrix(argument, _from_tensor(value, argument), origin="tensor")
    if isinstance(value, np.ndarray):
        return Matrix(argument, _from_array(value, argument), origin="array")
    try:
        frame: Any = nw.from_native(value, allow_series=True, pass_through=True)
    except nw.exceptions.DuplicateError:
        raise ValueError(f"{argument} has two columns of the same name: rename one.") from None
    if isinstance(frame, nw.LazyFrame):
        raise TypeError(f"{argument} is a lazy frame: call its collect() first.")
    if isinstance(frame, nw.DataFrame):
        table = np.empty((len(frame), len(frame.columns)))
        for index, series in enumerate(frame.iter_columns()):
            table[:, index] = _from_series(series, argument)
        return Matrix(argument, torch.from_numpy(table), _names(frame.columns))
    if isinstance(frame, nw.Series):
        column = torch.from_numpy(_from_series(frame, argument))
        return Matrix(argument, column, _names([frame.name]))
    return Matrix(argument, _from_array(_listed(value, argument), argument))


def column_numbers(series: nw.Series[Any]) -> NDArray[np.float64] | Stranger:
    """Return a frame's column as float64, nan where it misses a value, or what is in the way."""
    values = series.to_numpy()
    return values.astype(np.float64) if values.dtype.kind in "fiu" else _from_items(values)


def finite_in(dtype: torch.dtype, values: Tensor | Matrix, argument: str = "") -> Tensor:
    """Return `values` in a floating dtype; raise ValueError at nan, infinity or overflow."""
    matrix = values if isinstance(values, Matrix) else Matrix(argument, values)
    converted = matrix.values.to(dtype)
    bad = ~converted.isfinite()
    if not bad.any():
        return converted
    position = [int(index) for index in bad.nonzero()[0]]
    found = matrix.values[tuple(position)].item()
    count = int(bad.sum())
    where = matrix.place(*position[:2]) + (f" and {count - 1} more" if count > 1 else "")
    if math.isfinite(found):
        raise ValueError(
            f"{matrix.argument} has {found:g} in {where}: too large for {short(dtype)}. "
            "Rescale that column or use dtype=torch.float64."
        )
    raise ValueError(
        f"{matrix.argument} has {found} in {where}: every number must be finite. "
        "Drop such rows or fill in the values."
    )


def short(dtype: torch.dtype) -> str:
    """Return the name of a dtype without its module."""
    return str(dtype).removeprefix("torch.")


def _from_tensor(tensor: Tensor, argument: str) -> Tensor:
    if tensor.layout != torch.strided:
        raise ValueError(f"{argument} is a sparse tensor: call its to_dense() first.")
    if tensor.is_complex() or tensor.dtype == torch.bool:
        kind = "complex numbers" if tensor.is_complex() else "booleans"
        raise ValueError(f"{argument} holds {kind}: {REMEDIES[kind]}.")
    return tensor.detach()


def _from_series(series: nw.Series[Any], argument: str) -> NDArray[np.float64]:
    found = column_numbers(series)
    if isinstance(found, Stranger):
        raise ValueError(
            f"{argument}: column {series.name!r} holds {found.kind} (first {found.shown} in row "
            f"{found.row}, counted from 0): {REMEDIES[found.kind]}."
        )
    return found


def _from_array(array: NDArray[Any], argument: str) -> Tensor:
    """Return an array of real numbers as a tensor; memory is shared where torch can."""
    if isinstance(array, np.ma.MaskedArray):
        array = np.where(np.ma.getmaskarray(array), np.nan, array.data)
    if array.dtype.kind not in "fiu":
        found = _from_items(array.flat)
        if isinstance(found, Stranger):
            row, *column = np.unravel_index(found.row, array.shape)
            where = f"row {row}, column {column[0]}" if column else f"row {row}"
            raise ValueError(
                f"{argument} holds {found.kind} (first {found.shown} in {where}, counted from 0): "
                f"{REMEDIES[found.kind]}."
            )
        array = found.reshape(array.shape)
    # torch knows neither long doubles nor foreign byte orders, and few unsigned integers.
    if array.dtype.kind == "f":
        dtype = f"f{min(array.dtype.itemsize, 8)}"
    else:
        dtype = "f8" if array.dtype == np.uint64 else "i8"
    return torch.from_numpy(np.require(array, dtype, ["C", "A", "W"]))


def _from_items(items: Iterable[Any]) -> NDArray[np.float64] | Stranger:
    """Return objects as float64, nan for missing ones, or the first that is no real number."""
    numbers: list[float] = []
    for row, item in enumerate(items):
        if type(item).__name__ in MISSING:
            numbers.append(math.nan)
        elif isinstance(item, int | Real | Decimal) and not isinstance(item, _NO_NUMBERS):
            try:
                numbers.append(float(item))
            except OverflowError:
                numbers.append(math.inf)
        else:
            kinds = (kind for kind, types in _KINDS.items() if isinstance(item, types))
            shown = shorten(str(item))
            return Stranger(row, next(kinds, "objects that are no numbers"), shown)
    return np.array(numbers, dtype=np.float64)


def shorten(text: str) -> str:
    """Return a text in quotes, its end left out if it is long."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _listed(value: Any, argument: str) -> NDArray[Any]:
    """Return a list of rows, or whatever else NumPy takes for an array."""
    rows: list[Any] = list(value) if isinstance(value, list | tuple) else []
    if any(isinstance(row, Tensor) for row in rows):
        raise TypeError(f"{argument} is a list of tensors: join them with torch.stack.")
    try:
        array = np.asarray(value)
        # NumPy turns every number beside a text into text.
        array = np.asarray(value, dtype=object) if array.dtype.kind in "US" else array
    except (TypeError, ValueError):
        lengths = [len(row) if hasattr(row, "__len__") else 1 for row in rows] or [0]
        odd = next((row for row, length in enumerate(lengths) if length != lengths[0]), 0)
        raise ValueError(
            f"{argument} is no table: row 0 has length {lengths[0]}, row {odd} length "
            f"{lengths[odd]} (counted from 0). Give every row the same number of values."
        ) from None
    if array.ndim == 0:
        dense = " Make it dense with toarray()." if hasattr(value, "toarray") else ""
        raise TypeError(
            f"{argument} must be a tensor, an array, a data frame or a list of rows; "
            f"got {type(value).__name__}.{dense}"
        )
    return array


def _names(names: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names of columns, or None if they are only numbers or empty."""
    return tuple(names) if all(isinstance(name, str) and name for name in names) else None
