"""A search on disk: what was found and what was tried, so that a stopped one can go on."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sympy

from .._atomic_write import write_atomically
from .._pace import Pace
from ..symbolic.reading import from_data, to_data
from .problem import Candidate, Problem
from .refit import Fit

__all__ = ["SearchState"]

_FORMAT = "knotwork-search-2"
_LARGEST = 50_000_000
# The best formulas are kept; of the others it is enough to know that they were tried.
_MOST_FORMULAS = 300


class _Tried(set[str]):
    """Names of formulas that were tried: whole ones of this run, digests of earlier runs'."""

    def __init__(self, earlier: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._earlier = earlier
        self._fresh: list[str] = []
        self._digests: set[str] = set(earlier)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (
            bool(self._earlier) and _digest(str(name)) in self._earlier
        )

    def add(self, element: str) -> None:
        super().add(element)
        self._fresh.append(element)

    def digests(self) -> list[str]:
        """Return digests of all but the last, which may not have been fitted to its end."""
        done, self._fresh = self._fresh[:-1], self._fresh[-1:]
        self._digests.update(map(_digest, done))
        return sorted(self._digests)


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


@dataclass
class SearchState:
    """Where a search is kept, and for which data and options it was made.

    Attributes
    ----------
    path : Path
    fingerprint : str
    """

    path: Path
    fingerprint: str
    _written: dict[Candidate, Any] = field(default_factory=dict)
    _size: int = 0
    _pace: Pace = field(default_factory=Pace)

    @classmethod
    def of(cls, path: str | os.PathLike[str], problem: Problem, options: Any) -> SearchState:
        """Return the state's place for a problem with its options."""
        digest = hashlib.sha256()
        for array in (*problem.rows, *problem.held):
            digest.update(b"" if array is None else array.tobytes())
        digest.update(repr([[s.name for s in problem.symbols], options]).encode())
        return cls(Path(path), digest.hexdigest())

    def begin(self, problem: Problem, *, resume: bool) -> None:
        """Take up what an earlier run found and tried, and from now on save what this one does.

        Raises
        ------
        FileNotFoundError
            If there is no such file to resume from.
        ValueError
            If the file is not a search's, or is of other data or options.
        OSError
            If the file cannot be written.
        """
        told = problem.watch
        problem.watch = lambda problem: None
        if resume:
            self._load(problem)
        else:
            problem.seen = _Tried()
        self.save(problem)

        def watch(problem: Problem) -> None:
            told(problem)
            self.save_sometimes(problem)

        problem.watch = watch

    def save_sometimes(self, problem: Problem) -> None:
        """Save if something new was found and the last time is long enough ago."""
        if self._pace.due() and len(problem.pool) > self._size:
            self.save(problem)

    def save(self, problem: Problem) -> None:
        """Write candidates and what was tried; what was there before stays until all is written."""
        start = time.monotonic()
        tried = problem.seen.digests() if isinstance(problem.seen, _Tried) else []
        content = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "formulas": [data for c in _best(problem) if (data := self._data(c)) is not None],
            "visited": sorted(problem.visited),
            "tried": tried,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps(content).encode())
        self._pace.saved(start)
        self._size = len(problem.pool)

    def _data(self, candidate: Candidate) -> Any:
        """Return a formula's written form, made once; None for a function of the user's own."""
        if candidate not in self._written:
            try:
                self._written[candidate] = to_data(candidate.expression)
            except ValueError:
                self._written[candidate] = None
        return self._written[candidate]

    def _load(self, problem: Problem) -> None:
        if not self.path.exists():
            raise FileNotFoundError(
                f"there is no search to go on with: {self.path} does not exist. Leave out resume "
                "to start one."
            )
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
        lists: list[list[Any]] = []
        for key in ("formulas", "visited", "tried"):
            entries = content.get(key)
            if not isinstance(entries, list):
                raise ValueError(f"{self.path.name} is damaged: start afresh.")
            lists.append(entries)
        formulas, visited, tried = lists
        problem.visited.update(str(key) for key in visited)
        problem.seen = _Tried(frozenset(str(key) for key in tried))
        symbols: dict[Any, Any] = {sympy.Symbol(s.name): s for s in problem.symbols}
        for data in formulas:
            expression: Any = from_data(data).xreplace(symbols)
            if expression.free_symbols <= set(problem.symbols):
                fit = Fit.of(expression, problem.symbols)
                problem.keep(replace(fit, rmse=fit.error(*problem.rows)))

    @staticmethod
    def exact(problem: Problem) -> bool:
        """Tell whether a formula that was taken up leaves nothing to search for."""
        return any(candidate.fit.is_exact for candidate in problem.pool)


def _best(problem: Problem) -> list[Candidate]:
    """List the candidates worth keeping in the order in which they were found."""
    if len(problem.pool) <= _MOST_FORMULAS:
        return problem.pool
    worth = [problem.length(candidate) for candidate in problem.pool]
    places = sorted(range(len(worth)), key=worth.__getitem__)[:_MOST_FORMULAS]
    return [problem.pool[k] for k in sorted(places)]
