"""A search on disk: what was found and what was tried, so that a stopped one can go on."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sympy

from ..symbolic.reading import from_data, to_data
from .problem import Problem

__all__ = ["SearchState"]

_FORMAT = "knotwork-search-1"
_LARGEST = 50_000_000


@dataclass(frozen=True)
class SearchState:
    """Where a search is kept, and for which data and options it was made.

    Attributes
    ----------
    path : Path
    fingerprint : str
    """

    path: Path
    fingerprint: str

    @classmethod
    def of(cls, path: str | os.PathLike[str], problem: Problem, options: Any) -> SearchState:
        """Return the state's place for a problem with its options."""
        digest = hashlib.sha256()
        for array in (problem.X, problem.y, problem.X_held, problem.y_held):
            digest.update(array.tobytes())
        digest.update(repr([[s.name for s in problem.symbols], options]).encode())
        return cls(Path(path), digest.hexdigest())

    def save(self, problem: Problem) -> None:
        """Write candidates and what was tried; what was there before stays until all is written."""
        formulas: list[Any] = []
        for candidate in problem.pool:
            try:
                formulas.append(to_data(candidate.expression))
            except ValueError:  # a function of the user's own has no written form
                continue
        content = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "formulas": formulas,
            "visited": sorted(problem.visited),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            unfinished.write_text(json.dumps(content), encoding="utf-8")
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)

    def load(self, problem: Problem) -> list[sympy.Expr]:
        """Mark what was tried in the problem and return the formulas that were found.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not a search's, or is of other data or options.
        """
        if self.path.stat().st_size > _LARGEST:
            raise ValueError(f"{self.path.name} is too large to be a search's state.")
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            raise ValueError(f"{self.path.name} is not a search's state: no JSON.") from None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(f"{self.path.name} is not a search's state.")
        if content.get("fingerprint") != self.fingerprint:
            raise ValueError(
                f"{self.path.name} is from other data or options: repeat those, or start afresh."
            )
        formulas, visited = content.get("formulas"), content.get("visited")
        if not isinstance(formulas, list) or not isinstance(visited, list):
            raise ValueError(f"{self.path.name} is damaged: start afresh.")
        symbols: dict[Any, Any] = {sympy.Symbol(s.name): s for s in problem.symbols}
        problem.visited.update(str(key) for key in visited)
        expressions: list[Any] = [from_data(data).xreplace(symbols) for data in formulas]
        return [e for e in expressions if e.free_symbols <= set(problem.symbols)]
