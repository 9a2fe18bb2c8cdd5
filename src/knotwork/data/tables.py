"""Tables in files: which columns to learn from, and which to predict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from knotwork._checks import check_integer, check_number, near_spellings
from knotwork.data.files import open_table
from knotwork.data.matrices import shorten
from knotwork.data.samples import Dataset, Samples


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers with names.

    Attributes
    ----------
    X : ndarray, shape (rows, n), float64
    y : ndarray, shape (rows, m), float64
    input_names, target_names : tuple of str
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.X)

    def dataset(self, test_fraction: float = 0.2, seed: int = 0) -> Dataset:
        """Return the rows as tensors, split at random into training and test rows.

        Parameters
        ----------
        test_fraction : float
            Share of the rows to test on, from 0 (none) to below 1; any share above 0 gives at
            least one row.
        seed : int
            Fixes the split.

        Raises
        ------
        ValueError
            If `test_fraction` is out of range or leaves no row to train on.
        """
        test_fraction = check_number(test_fraction, "test_fraction", low=0.0)
        seed = check_integer(seed, "seed", low=0)
        rows = len(self)
        count = max(round(rows * test_fraction), int(test_fraction > 0))
        if count >= rows:
            raise ValueError(
                f"test_fraction is {test_fraction:g}: of {rows} rows none would be left to train "
                "on. Use a smaller fraction."
            )
        order = np.random.default_rng(seed).permutation(rows)

        def samples(chosen: NDArray[np.int64]) -> Samples:
            return Samples(torch.from_numpy(self.X[chosen]), torch.from_numpy(self.y[chosen]))

        test = samples(np.sort(order[:count])) if count else None
        train = samples(np.sort(order[count:]))
        return Dataset(train, test, self.input_names, self.target_names)


def read_table(
    path: str | PathLike[str],
    *,
    target: str | Sequence[str],
    inputs: Sequence[str] | None = None,
) -> Table:
    r"""Read named columns of numbers from a CSV, TSV or Parquet file.

    Only the columns asked for are read. Blanks around the names in a CSV or TSV header are
    dropped. Nothing in the file is executed, so a stranger's file is safe to read.

    Parameters
    ----------
    path : str or path-like
        A file ending in .csv (commas), .tsv (tabs) or .parquet; text in UTF-8.
    target : str or sequence of str
        The columns to predict.
    inputs : sequence of str, optional
        The columns to learn from; by default all others.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If pyarrow is missing.
    TypeError
        If `target` or `inputs` are no names.
    ValueError
        If a name is unknown, or anything but finite numbers stands in a column; the message has
        one line and names file, column, row (counted from 1) and, for text, the line in the file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "spring.csv"
    ...     _ = path.write_text("length,mass,force\n0.1,2,1.5\n0.2,2,3.0\n")
    ...     table = read_table(path, target="force")
    >>> table.X, table.input_names
    (array([[0.1, 2. ],
           [0.2, 2. ]]), ('length', 'mass'))
    """
    if find_spec("pyarrow") is None:
        raise ImportError(
            'read_table needs pyarrow: install it with pip install "knotwork[tables]".'
        )
    path = _existing(Path(path))
    targets = _listed(target, "target")
    file = open_table(path)
    if inputs is None:
        chosen = [name for name in file.names if name not in targets]
    else:
        chosen = _listed(inputs, "inputs")
    _check_columns(path.name, file.names, targets, chosen)
    places = {name: place for place, name in enumerate(file.names)}
    numbers = file.numbers([places[name] for name in (*chosen, *targets)])
    X, y = np.split(numbers, [len(chosen)], axis=1)
    return Table(np.ascontiguousarray(X), np.ascontiguousarray(y), tuple(chosen), tuple(targets))


def _existing(path: Path) -> Path:
    """Return `path` if a file is there."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the path of a file in it.")
    if not path.exists():
        beside = (other.name for other in path.parent.glob("*"))
        raise FileNotFoundError(f"there is no file {path}.{near_spellings(path.name, beside)}")
    return path


def _listed(names: Any, argument: str) -> list[str]:
    """Return one name or several as a list without repetitions."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, Sequence) or not all(isinstance(name, str) for name in listed):
        raise TypeError(
            f"{argument} must be the name of a column or a list of names; got {names!r}."
        )
    repeated = _repeated(listed)
    if repeated:
        raise ValueError(f"{argument} names the column {repeated!r} twice: name it once.")
    return list(listed)


def _check_columns(
    file: str, names: Sequence[str], targets: Sequence[str], inputs: Sequence[str]
) -> None:
    """Raise ValueError unless the file has these columns, each once, and they make sense."""
    repeated = _repeated(names)
    if repeated is not None:
        raise ValueError(f"{file}: two columns are named {shorten(repeated)}: rename one.")
    known = set(names)
    for argument, wanted in (("target", targets), ("inputs", inputs)):
        for name in wanted:
            if name not in known:
                raise ValueError(_unknown(file, argument, name, names))
    if not targets:
        raise ValueError("target is empty: name at least one column to predict.")
    both = next((name for name in inputs if name in targets), None)
    if both is not None:
        raise ValueError(f"{both!r} is both a target and an input: leave it out of one.")
    if not inputs:
        raise ValueError(f"{file}: no input columns are left beside the target {targets[0]!r}.")
    if "" in (*targets, *inputs):
        raise ValueError(
            f"{file}: column {names.index('') + 1} has no name (the row numbers of a data frame?): "
            "name it, or choose the columns with inputs=[...]."
        )


def _unknown(file: str, argument: str, name: str, names: Sequence[str]) -> str:
    """Return the message for a column that is not there, with the likeliest reason."""
    others = [separator for separator in ";\t|," if len(names) == 1 and separator in names[0]]
    if others:
        return (
            f"{file}: there is no column {name!r}: the values seem to be separated by "
            f"{others[0]!r}. Use commas in a .csv file, tabs in a .tsv file."
        )
    listed = ", ".join(shorten(other) for other in names[:20]) + (
        ", ..." if len(names) > 20 else ""
    )
    hint = near_spellings(name, names)
    if all(_is_number(other) for other in names):
        hint = " The first line must hold the names of the columns."
    return f"{file}: there is no column {name!r} ({argument}); the columns are {listed}.{hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _repeated(names: Sequence[str]) -> str | None:
    """Return the first name that stands there twice; unnamed columns may be many."""
    return next((name for name, count in Counter(names).items() if count > 1 and name), None)
