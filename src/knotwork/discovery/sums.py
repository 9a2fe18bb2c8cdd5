"""Sums of products, and quotients of such, behind transforms of a task's target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .complexity import complexity, description_length
from .dictionary import Dictionary
from .problem import Problem
from .refit import relative_error
from .sampling import MEDIAN_TO_DEVIATION, evenly, robust_spread
from .task import Settings, Task
from .terms import Terms, select_terms
from .transforms import Transform, usable_transforms
from .weighted import Rows, by_roots, median_of, root_mean_square, spread_of

__all__ = ["exact_sums", "near_sums", "rich_sums"]

Array = NDArray[np.float64]

_ROWS = 1000
# How rich dictionaries get, by the number of variables; those of quotients less so.
_LEVELS = {1: (0, 1, 2, 3), 2: (0, 1, 2, 3), 3: (0, 1, 2), 4: (0, 1)}
_RICHEST_QUOTIENTS = {1: 2, 2: 2, 3: 1, 4: 1}
_QUOTIENTS = ("y", "y^2", "log")
# What the span of a dictionary leaves of a target that is one of its sums.
_EXACT = 1e-7
# A span this many times worse than a network is not the law. In the others short sums of so many
# terms are sought with a narrower beam, and so many of all offered.
_BEHIND = 2.0
_SHORT = 4
_BEAM = 20
_BEST = 8
_WORTHWHILE = 0.05


@dataclass(frozen=True)
class _Place:
    """A dictionary and a transformed target, their rows times the roots of their weights."""

    dictionary: Dictionary
    transform: Transform
    target: Array
    weights: Array | None

    def predicted(self, target: Array, y: Array) -> Array:
        """Return y for values of the target, rows times roots of weights too."""
        if self.weights is not None:
            target = target / np.sqrt(self.weights)
        return self.transform.numeric(target, y)

    def left(self, y: Array) -> tuple[float, float]:
        """Return what the span leaves of y: root mean square and median, beside y's spread."""
        values = self.predicted(self.dictionary.projected(self.target), y)
        miss = np.nan_to_num(np.abs(values - y), nan=np.inf)
        share = np.sqrt(self.dictionary.freedom)
        spread = spread_of(y, self.weights) or 1.0
        typical = robust_spread(y, self.weights)
        return (
            root_mean_square(miss, self.weights) / spread / share,
            MEDIAN_TO_DEVIATION * median_of(miss, self.weights) / typical / share,
        )


def _rows(task: Task) -> Rows:
    return Rows(task.X, task.y, task.weights).take(evenly(len(task.y), _ROWS))


def _places(task: Task, problem: Problem, settings: Settings, *, telling: bool) -> Iterator[_Place]:
    """List dictionaries from small to large with all targets, those that tell or the others."""
    X, y, weights = _rows(task)
    count = len(task.symbols)
    transforms = [(t, t.apply(y)) for t in usable_transforms(y, settings.names)]

    def place(dictionary: Dictionary, transform: Transform, target: Array) -> _Place:
        return _Place(dictionary, transform, by_roots(target, weights), weights)

    for rich in _LEVELS.get(count, (0,)):
        problem.clock.check()
        plain = Dictionary.of(task.symbols, X, rich=rich, allowed=settings.names).weighed(weights)
        if telling and not plain.telling:
            # Its simplest columns, as many as can be told apart.
            simplest = plain.simplest()
            for transform, target in transforms:
                yield place(simplest, transform, target)
            return
        divided = rich <= _RICHEST_QUOTIENTS.get(count, -1)
        for transform, target in transforms:
            choices = [plain]
            if divided and transform.name in _QUOTIENTS:
                choices.append(plain.with_quotients(target))
            for dictionary in choices:
                if dictionary.telling == telling:
                    yield place(dictionary, transform, target)


def exact_sums(task: Task, problem: Problem, settings: Settings) -> None:
    """Offer the sums that a target is, where it lies in the span of a dictionary."""
    key = f"exact sums {task.name}"
    if key in problem.visited:
        return
    y = _rows(task).y
    for place in _places(task, problem, settings, telling=True):
        limit = max(_EXACT, 2 * problem.floor)
        if place.left(y)[0] < limit:
            _offer(place, task, problem, limit)
    problem.visited.add(key)


def near_sums(task: Task, problem: Problem, settings: Settings) -> None:
    """Offer short sums where the span of a dictionary explains as much as a network does.

    Of all of them those of least description length are offered. A richer dictionary has all
    that a poorer one has, so only the richest that tells is asked for each target.
    """
    key = f"near sums {task.name}"
    if key in problem.visited:
        return
    _, y, weights = _rows(task)
    richest: dict[tuple[str, bool], _Place] = {}
    for place in _places(task, problem, settings, telling=True):
        richest[place.transform.name, bool(place.dictionary.below.any())] = place
    found: list[tuple[float, int, _Place, Terms]] = []
    for place in richest.values():
        left, typical = place.left(y)
        if left > _BEHIND * task.rmse and typical > _BEHIND * task.error:
            continue
        problem.clock.check()
        for terms in select_terms(
            place.dictionary, place.target, most=_SHORT, beam=_BEAM, exhaust=False
        ):
            error = relative_error(place.predicted(terms.values, y), y, weights)
            length = description_length(error, complexity(terms.expression), len(y))
            if np.isfinite(length):
                found.append((length, len(found), place, terms))
    for *_, place, terms in sorted(found, key=lambda entry: entry[:2])[:_BEST]:
        problem.offer(task.lift(place.transform.invert(terms.expression, y)))
    problem.visited.add(key)


def rich_sums(task: Task, problem: Problem, settings: Settings) -> None:
    """Offer short sums from dictionaries with more columns than rows can judge."""
    key = f"rich sums {task.name}"
    if key in problem.visited:
        return
    for place in _places(task, problem, settings, telling=False):
        _offer(place, task, problem, _WORTHWHILE)
    problem.visited.add(key)


def _offer(place: _Place, task: Task, problem: Problem, limit: float) -> None:
    """Offer sums that leave no more than the limit."""
    problem.clock.check()
    y = _rows(task).y
    plain = place.transform.name == "y"
    # A target that is known to so much only needs no better sum.
    floor = max(1e-11, 0.8 * problem.floor) if plain else 1e-11
    found = select_terms(place.dictionary, place.target, floor=floor)
    for terms in _worthwhile(found, len(y)):
        if terms.rmse < limit:
            problem.offer(task.lift(place.transform.invert(terms.expression, y)))


def _worthwhile(found: list[Terms], rows: int) -> list[Terms]:
    """Return the most accurate sum and, with noise, the one of least description length."""
    if not found:
        return []
    accurate = min(found, key=lambda terms: terms.rmse)
    short = min(
        found, key=lambda terms: description_length(terms.rmse, complexity(terms.expression), rows)
    )
    return [accurate] if short is accurate else [short, accurate]
