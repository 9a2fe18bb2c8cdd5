"""Columns of numbers from CSV, TSV and Parquet files. Nothing in a file is ever executed."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from knotwork.data.matrices import REMEDIES, Stranger, column_numbers, shorten

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A")
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}|\d{1,2}:\d\d")
_COMMA = re.compile(r"[-+]?[\d.]+,[\d.,]+$")


class TableFile(Protocol):
    """A file with named columns."""

    @property
    def names(self) -> Sequence[str]:
        """Names of all columns, in their order."""
        ...

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        """Return some columns, by position, as float64 of shape (rows, columns).

        Raises
        ------
        ValueError
            If a value is missing, infinite or no number; the message says where.
        """
        ...


def open_table(path: Path) -> TableFile:
    """Return the file behind `path`, its header read.

    Raises
    ------
    ValueError
        If the ending is unknown or the file is empty or broken.
    """
    ending = path.suffix.lower()
    if ending in _SEPARATORS:
        return _Delimited(path, _SEPARATORS[ending], *_header(path, _SEPARATORS[ending]))
    if ending == ".parquet":
        return _Parquet(path)
    raise ValueError(
        f"{path.name}: the ending must be .csv, .tsv or .parquet; got {ending!r}. "
        "Save the table as one of these."
    )


class _Delimited(NamedTuple):
    """Lines of values between separators, below one line of names."""

    path: Path
    separator: str
    names: Sequence[str]
    header_lines: int

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        """Return some columns; see `TableFile`."""
        import pyarrow
        from pyarrow import csv as arrow

        # Positions stand in for names, which need not be unique.
        wanted = [str(index) for index in columns]
        try:
            table = arrow.read_csv(
                str(self.path),
                arrow.ReadOptions(
                    column_names=[str(index) for index in range(len(self.names))],
                    skip_rows=self.header_lines,
                    block_size=1 << 24,
                ),
                arrow.ParseOptions(delimiter=self.separator, newlines_in_values=True),
                arrow.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pyarrow.float64()),
                    include_columns=wanted,
                    null_values=_MISSING,
                ),
            )
        except pyarrow.ArrowException as error:
            raise self._problem(columns, error) from None
        numbers = _stack([column.to_numpy() for column in table.columns])
        if len(numbers) == 0 or not np.isfinite(numbers).all():
            raise self._problem(columns)
        return numbers

    def _problem(self, columns: Sequence[int], error: Exception | None = None) -> ValueError:
        """Return what is wrong in the file, found by reading it again line by line."""
        file = self.path.name
        missing: dict[int, tuple[int, str]] = {}  # how many, and where first
        row = 0
        try:
            for row, (line, cells) in enumerate(self._lines(), start=1):
                if len(cells) != len(self.names):
                    return ValueError(
                        f"{file}: {_place(row, line)} and the header differ in length, "
                        f"{len(cells)} and {len(self.names)}. Mend that line; put a value with "
                        f"{self.separator!r} in it between quotes."
                    )
                for index in columns:
                    text = cells[index].strip()
                    if text in _MISSING:
                        count, first = missing.get(index) or (0, _place(row, line))
                        missing[index] = (count + 1, first)
                        continue
                    problem = _not_a_number(text)
                    if problem:
                        name = shorten(self.names[index])
                        return ValueError(
                            f"{file}: column {name} holds {problem[0]}, first {shorten(text)} in "
                            f"{_place(row, line)}: {problem[1]}."
                        )
        except csv.Error as broken:
            return ValueError(f"{file} cannot be read: {broken}.")
        if row == 0:
            return ValueError(f"{file} has a header, but no rows below it.")
        for index, (count, first) in missing.items():
            return _missing_error(file, self.names[index], count, first)
        return ValueError(f"{file} cannot be read: {_first_line(error)}")

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the line number and the values of every row below the header."""
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, delimiter=self.separator)
            filled = ((reader.line_num, cells) for cells in reader if cells)
            next(filled)
            yield from filled


def _place(row: int, line: int) -> str:
    return f"row {row} (line {line} of the file)"


def _header(path: Path, separator: str) -> tuple[Sequence[str], int]:
    """Return the names in the first line that is not blank, and the number of lines up to it."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        try:
            cells = next(filter(None, reader), None)
        except csv.Error as error:
            raise ValueError(f"{path.name} cannot be read: {error}.") from None
    if cells is None:
        raise ValueError(f"{path.name} is empty.")
    if any("\N{REPLACEMENT CHARACTER}" in cell for cell in cells):
        raise ValueError(f"{path.name} does not begin as UTF-8 text: save it as CSV in UTF-8.")
    return [cell.strip() for cell in cells], reader.line_num


def _not_a_number(text: str) -> tuple[str, str] | None:
    """Return what `text` is instead of a finite number, with a remedy; None if it is one."""
    try:
        number = float(text.replace("_", "?"))  # 1_000 is a number in Python alone
    except ValueError:
        if text.lower() in {"true", "false", "yes", "no"}:
            kind = "booleans"
        elif _COMMA.match(text):
            return "numbers with a comma", "write them with a decimal point and no other separator"
        else:
            kind = "dates or times" if _DATE.match(text) else "text"
        return kind, f"{REMEDIES[kind]} (inputs=[...] names the columns to use)"
    if math.isfinite(number):
        return None
    return "an infinite number", "drop that row, or rescale the column"


class _Parquet:
    """A Parquet file: its columns have types."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as file:
            self.names: Sequence[str] = file.schema_arrow.names

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        """Return some columns; see `TableFile`."""
        names = [self.names[index] for index in columns]
        with self._opened() as file:
            frame: Any = nw.from_native(file.read(columns=names), eager_only=True)
        if len(frame) == 0:
            raise ValueError(f"{self.path.name} has no rows.")
        return _stack([self._finite(frame[name]) for name in names])

    def _finite(self, series: nw.Series[Any]) -> NDArray[np.float64]:
        """Return a column if it holds nothing but finite numbers."""
        file, name = self.path.name, series.name
        numbers = column_numbers(series)
        if isinstance(numbers, Stranger):
            raise ValueError(
                f"{file}: column {shorten(name)} holds {numbers.kind}, first {numbers.shown} in "
                f"row {numbers.row + 1}: {REMEDIES[numbers.kind]} (inputs=[...] names the columns "
                "to use)."
            )
        missing, infinite = np.isnan(numbers), np.isinf(numbers)
        if missing.any():
            where = f"row {missing.argmax() + 1}"
            raise _missing_error(file, name, int(missing.sum()), where)
        if infinite.any():
            raise ValueError(
                f"{file}: column {shorten(name)} holds an infinite number, first in row "
                f"{infinite.argmax() + 1}: drop that row, or rescale the column."
            )
        return numbers

    @contextmanager
    def _opened(self) -> Generator[Any, None, None]:
        """Open the file; whatever pyarrow says of its contents becomes a ValueError."""
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(str(self.path)) as file:
                yield file
        except PermissionError:
            raise
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(
                f"{self.path.name} is no Parquet file, or a broken one: {_first_line(error)}"
            ) from None


def _missing_error(file: str, name: str, count: int, where: str) -> ValueError:
    values = "1 missing value" if count == 1 else f"{count} missing values"
    return ValueError(
        f"{file}: column {shorten(name)} has {values}, first in {where}: fill them in, drop their "
        "rows, or leave the column out (inputs=[...] names the columns to use)."
    )


def _stack(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    numbers = np.empty((len(columns[0]), len(columns)))
    for index, column in enumerate(columns):
        numbers[:, index] = column
    return numbers


def _first_line(error: Exception | None) -> str:
    return str(error).partition("\n")[0]
