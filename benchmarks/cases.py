"""Cases of known formulas: read a table of them, draw rows, add noise, judge what was found.

A table has the columns id, target, formula, variables; benchmarks/data/README.md describes them.
Formulas are read by a small grammar and never executed as Python.
"""

from __future__ import annotations

import ast
import csv
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import record

Array = NDArray[np.float64]
Predict = Callable[[Array], Any]

DATA = Path(__file__).parent / "data"
FRESH_ROWS = 5_000
INSIDE, BEYOND = 1e-6, 1e-4
# A formula from noisy rows is near the truth if its own error is a tenth of the noise.
NEAR = 0.1

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "asin": np.arcsin,
    "acos": np.arccos,
}
_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


@dataclass(frozen=True)
class Variable:
    """An input and the range that it is drawn from."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Case:
    """A known formula with its inputs."""

    id: str
    target: str
    formula: str
    variables: tuple[Variable, ...]

    @property
    def names(self) -> list[str]:
        """Names of the inputs, in the order of the columns."""
        return [variable.name for variable in self.variables]

    def truth(self, X: Array) -> Array:
        """Return the formula's values; nan or inf where it is not defined."""
        columns = dict(zip(self.names, X.T, strict=True))
        with np.errstate(all="ignore"):
            return np.broadcast_to(evaluate(self.formula, columns), len(X)).astype(float)

    def draw(self, rows: int, rng: np.random.Generator, beyond: bool = False) -> Array:
        """Draw inputs; with `beyond`, upper ends are moved out by half the range."""
        low = np.array([variable.low for variable in self.variables])
        high = np.array([variable.high for variable in self.variables])
        if beyond:
            high = high + (high - low) / 2
        return rng.uniform(low, high, (rows, len(low)))


def evaluate(formula: str, values: Mapping[str, Array]) -> Any:
    """Evaluate a formula in plain notation, where ^ is power.

    Raises
    ------
    ValueError
        If it holds anything but numbers, `pi`, the given names, + - * / ^ and the known functions.
    """
    return _value(ast.parse(formula.replace("^", "**"), mode="eval").body, values)


def _value(node: ast.expr, values: Mapping[str, Array]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return np.float64(number)
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Name(id="pi"):
            return np.float64(np.pi)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, values)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            return _OPERATIONS[type(operation)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_value(argument, values))
        case _:
            raise ValueError(
                f"a formula may hold numbers, pi, the names {', '.join(values)}, + - * / ^ and "
                f"{', '.join(_FUNCTIONS)} of one argument; got {ast.unparse(node)!r}."
            )


def load(data: str | Path, wanted: Sequence[str] = ()) -> list[Case]:
    """Read the cases of "feynman", "laws" or another table; those `wanted` if any are named."""
    path = DATA / f"{data}.csv" if (DATA / f"{data}.csv").exists() else Path(data)
    with path.open(newline="", encoding="utf-8") as file:
        cases = [_case(row) for row in csv.DictReader(file)]
    unknown = set(wanted) - {case.id for case in cases}
    if unknown:
        raise ValueError(f"{path.name} has no case {', '.join(sorted(unknown))}.")
    return [case for case in cases if not wanted or case.id in wanted]


def _case(row: Mapping[str, str]) -> Case:
    variables: list[Variable] = []
    for text in row["variables"].split(";"):
        name, low, high = text.split(":")
        variables.append(Variable(name, float(low), float(high)))
    return Case(row["id"], row["target"], row["formula"], tuple(variables))


def generator(case: Case, repeat: int, purpose: str = "train") -> np.random.Generator:
    """Return a generator that depends on the case, the repeat and what it is for."""
    return np.random.default_rng([zlib.crc32(f"{case.id} {purpose}".encode()), repeat])


def training_rows(
    case: Case, rows: int = 1_000, repeat: int = 0, noise: float = 0.0
) -> tuple[Array, Array]:
    """Draw inputs and targets; rows whose true value is not finite are drawn again.

    `noise` is the standard deviation of normal noise, as a fraction of the targets' own. The
    inputs are the same for every noise.
    """
    rng = generator(case, repeat)
    drawn, y = np.empty((0, len(case.variables))), np.empty(0)
    for _ in range(100):
        more = case.draw(rows, rng)
        truth = case.truth(more)
        keep = np.isfinite(truth)
        drawn, y = np.vstack([drawn, more[keep]])[:rows], np.append(y, truth[keep])[:rows]
        if len(y) == rows:
            break
    else:
        raise ValueError(f"{case.id}: fewer than one row in a hundred has a finite value.")
    if noise:
        y = y + noise * y.std() * generator(case, repeat, "noise").standard_normal(rows)
    return drawn, y


def relative_error(predict: Predict, case: Case, X: Array) -> float:
    """Return the RMSE against the truth by the truth's standard deviation, over rows X.

    Rows whose true value is not finite are left out; infinite if a prediction is not finite.
    """
    truth = case.truth(X)
    keep = np.isfinite(truth)
    truth = truth[keep]
    with np.errstate(all="ignore"):
        predicted = np.asarray(predict(X[keep]), dtype=float).reshape(-1)
        if predicted.shape != truth.shape or not np.all(np.isfinite(predicted)):
            return np.inf
        error = float(np.sqrt(np.mean((predicted - truth) ** 2)) / np.std(truth))
    return error if np.isfinite(error) else np.inf


def recovered(predict: Predict, case: Case, repeat: int = 0) -> tuple[bool, float, float]:
    """Judge a formula by the rule of benchmarks/data/README.md.

    Returns
    -------
    bool
        Whether both errors are small enough.
    inside, beyond : float
        Relative errors on fresh rows of the same ranges and of ranges moved out.
    """
    inside = relative_error(predict, case, case.draw(FRESH_ROWS, generator(case, repeat, "inside")))
    beyond = relative_error(
        predict, case, case.draw(FRESH_ROWS, generator(case, repeat, "beyond"), beyond=True)
    )
    return inside < INSIDE and beyond < BEYOND, inside, beyond


def finite(value: float) -> float | None:
    """Return a number as JSON can hold it: None unless finite."""
    return float(value) if np.isfinite(value) else None


def shown(value: float | None) -> str:
    """Return an error as a table shows it."""
    return "   inf" if value is None else f"{value:6.0e}"


def save(path: Path, figures: dict[str, Any]) -> None:
    """Write figures and the machine's description to a file, which is never half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_text(
        json.dumps({"machine": record.machine(), **figures}, indent=1, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    draft.replace(path)
