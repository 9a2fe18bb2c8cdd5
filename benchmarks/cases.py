"""Cases with a known law: read, drawn, and judged."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sympy
from numpy.typing import NDArray

from knotwork.discovery.tape import Tape
from knotwork.symbolic.reading import parse

Array = NDArray[np.float64]

DATA = Path(__file__).parent / "data"
INSIDE, BEYOND = 1e-6, 1e-4
_FRESH = 5_000


@dataclass(frozen=True)
class Case:
    """One law with the ranges of its inputs."""

    id: str
    target: str
    formula: str
    names: tuple[str, ...]
    low: Array
    high: Array

    def truth(self, X: Array) -> Array:
        """Return the law's values."""
        symbols = [sympy.Symbol(name) for name in self.names]
        return Tape(parse(self.formula, self.names), symbols).values(X)

    def draw(self, rows: int, repeat: int = 0, *, beyond: bool = False) -> tuple[Array, Array]:
        """Draw rows whose true value is finite; `repeat` names the draw."""
        rng = np.random.default_rng([repeat, zlib.crc32(self.id.encode())])
        high = self.high + 0.5 * (self.high - self.low) if beyond else self.high
        X = rng.uniform(self.low, high, (rows, len(self.names)))
        y = self.truth(X)
        finite = np.isfinite(y)
        return X[finite], y[finite]

    def noisy(self, rows: int, repeat: int, noise: float) -> tuple[Array, Array]:
        """Draw rows with normal noise, a share of the target's standard deviation."""
        X, y = self.draw(rows, repeat)
        rng = np.random.default_rng([repeat, 1, zlib.crc32(self.id.encode())])
        return X, y + noise * float(np.std(y)) * rng.normal(size=len(y))


def read_cases(name: str = "feynman") -> dict[str, Case]:
    """Read a file of benchmarks/data, or any file of its form, by id."""
    path = DATA / f"{name}.csv" if not name.endswith(".csv") else Path(name)
    cases: dict[str, Case] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            ranges = [part.split(":") for part in row["variables"].split(";")]
            cases[row["id"]] = Case(
                row["id"],
                row["target"],
                row["formula"],
                tuple(part[0] for part in ranges),
                np.array([float(part[1]) for part in ranges]),
                np.array([float(part[2]) for part in ranges]),
            )
    return cases


def error(predict: Callable[[Array], Array], X: Array, y: Array) -> float:
    """Return the relative root mean squared error, infinite where a prediction is not finite."""
    with np.errstate(all="ignore"):
        values = np.asarray(predict(X), dtype=float).reshape(len(y))
        result = float(np.sqrt(np.mean((values - y) ** 2)) / np.std(y))
    return result if np.isfinite(result) else float("inf")


def recovered(predict: Callable[[Array], Array], case: Case) -> tuple[bool, float, float]:
    """Judge by the rule of data/README.md; return the two errors too."""
    inside = error(predict, *case.draw(_FRESH, 1_000_003))
    beyond = error(predict, *case.draw(_FRESH, 1_000_004, beyond=True))
    return inside < INSIDE and beyond < BEYOND, inside, beyond
