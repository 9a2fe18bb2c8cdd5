"""What every estimator checks of its arguments, with messages that say what to do."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight, validate_data

from .._checks import MOST_SEED
from ..data.matrices import MISSING, read_matrix

Array = NDArray[np.float64]

# How NumPy puts it.
_STRINGS, _NO_NUMBER = "could not convert string", "float() argument must be"
_LISTED = 3


def checked(estimator: Any, X: Any, y: Any = "no_validation", **options: Any) -> Any:
    """Return X, or X and y, as scikit-learn's `validate_data` does; numbers in float64.

    Raises
    ------
    ValueError
        As `validate_data`; where strings stand for numbers, it says how to encode them, and dates
        are refused, whose numbers would depend on the unit in which they happen to be kept.
    TypeError
        If there are objects that are no numbers.
    """
    if _holds_times(X):
        read_matrix(X, "X")
    try:
        found = validate_data(estimator, X, y, dtype=np.float64, **options)
        if options.get("y_numeric"):
            return found[0], np.asarray(found[1], dtype=np.float64)
        return found
    except TypeError as error:
        if _NO_NUMBER not in str(error):
            raise
        # Objects that are no numbers: reading the columns one by one says which it is. NumPy's
        # own words, which scikit-learn's checks ask for, come after it.
        try:
            read_matrix(X, "X")
        except ValueError as found:
            raise TypeError(f"{found} ({error})") from error
        raise
    except ValueError as error:
        if _STRINGS not in str(error):
            raise
        raise ValueError(_about_strings(estimator, X, y)) from error


def _holds_times(X: Any) -> bool:
    """Tell whether an array or a column of a frame is of dates or times."""
    frame: Any = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return any(dtype.is_temporal() for dtype in frame.schema.values())
    return isinstance(X, np.ndarray) and X.dtype.kind in "mM"


def check_labels(y: Any) -> None:
    """Raise ValueError if labels are missing, or some are text and others are not.

    scikit-learn would say that their type is unknown, or make text of numbers.
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype.kind != "O":
        return
    for row, label in enumerate(labels.tolist()):
        if type(label).__name__ in MISSING or label != label:
            raise ValueError(
                f"y has no label in row {row} (counted from 0): it is {label!r}. Drop such rows, "
                "or give them a label of their own."
            )
    kinds = {isinstance(label, str): label for label in labels.tolist()}
    if len(kinds) > 1:
        raise ValueError(
            f"y holds text and other labels, as {kinds[True]!r} and {kinds[False]!r}: make all "
            "of them text, say by astype(str)."
        )


def _about_strings(estimator: Any, X: Any, y: Any) -> str:
    name = type(estimator).__name__
    table = np.asarray(X, dtype=object)
    names = [str(column) for column in getattr(X, "columns", range(table.shape[1]))]
    found = [(names[k], _first_string(table[:, k])) for k in range(table.shape[1])]
    found = [(column, value) for column, value in found if value is not None]
    if not found:
        value = _first_string(np.asarray(y, dtype=object).ravel())
        return (
            f"y holds strings ({value!r}) where {name} needs numbers: for classes use "
            "KANClassifier, which takes any labels."
        )
    shown = ", ".join(f"{column} ({value!r})" for column, value in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    columns = [column for column, _ in found]
    plain = columns if hasattr(X, "columns") else [int(column) for column in columns]
    return (
        f"X holds strings in {'column' if len(found) == 1 else 'columns'} {shown}{more} where "
        f"{name} needs numbers. Encode them: make_pipeline(make_column_transformer("
        f"(OneHotEncoder(sparse_output=False), {plain}), remainder='passthrough'), {name}())."
    )


def _first_string(column: NDArray[Any]) -> Any:
    """Return the first string of a column that is no number, or None."""
    for value in column:
        if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                return value
    return None


def checked_weights(sample_weight: Any, X: Array) -> Array | None:
    """Return weights of rows in float64, or None.

    Raises
    ------
    ValueError
        If they do not fit the rows, one is negative or not finite, or all are 0.
    """
    if sample_weight is None:
        return None
    weights: Array = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not weights.any():
        raise ValueError(
            "sample_weight must contain at least one non-zero number: all weights are 0, so no "
            "row counts."
        )
    return weights


def seed_of(random_state: Any) -> int:
    """Return the seed that an int, a RandomState or None (0) stands for."""
    if random_state is None:
        return 0
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, int | np.integer):
        if not 0 <= random_state <= MOST_SEED:
            raise ValueError(f"random_state must be from 0 to {MOST_SEED}; got {random_state}.")
        return int(random_state)
    raise TypeError(
        "random_state must be a whole number, a numpy.random.RandomState or None; got "
        f"{type(random_state).__name__}."
    )
