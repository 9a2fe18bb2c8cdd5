"""Searches on disk: nothing found is lost, nothing tried is tried again."""

import json

import numpy as np
import pytest
import sympy

from knotwork import discover
from knotwork._pace import Pace
from knotwork.discovery.clock import Clock
from knotwork.discovery.problem import Problem
from knotwork.discovery.state import SearchState

X = np.random.default_rng(0).uniform(1, 3, (100, 2))
y = X[:, 0] * np.tanh(X[:, 1]) + 0.1 * np.sin(9 * X[:, 1])
a, b = sympy.symbols("a b", positive=True)
ONE = sympy.Float(1.5, 17)
FORMULAS = [ONE * a, ONE * b, ONE * a * b, ONE * a + ONE, a / b]


def problem():
    return Problem(X[:80], y[:80], X[80:], y[80:], (a, b), Clock(60.0))


def test_what_was_tried_is_not_tried_again(tmp_path):
    first = problem()
    state = SearchState.of(tmp_path / "search.json", first, ())
    state.begin(first, resume=False)
    for formula in FORMULAS:
        first.offer(formula)
    first.visited.add("sums")
    state.save(first)
    second = problem()
    SearchState.of(tmp_path / "search.json", second, ()).begin(second, resume=True)
    assert [str(c.expression) for c in second.pool] == [str(c.expression) for c in first.pool]
    np.testing.assert_allclose([c.rmse for c in second.pool], [c.rmse for c in first.pool])
    assert second.visited == {"sums"}
    for formula in FORMULAS[:-1]:
        assert second.offer(formula) == np.inf
    assert len(second.pool) == len(first.pool)
    # The last may have been cut off while it was fitted.
    assert second.offer(FORMULAS[-1]) < np.inf


def test_it_is_saved_on_the_way(tmp_path):
    path = tmp_path / "out" / "search.json"
    first = problem()
    state = SearchState.of(path, first, ())
    state.begin(first, resume=False)
    assert json.loads(path.read_text())["formulas"] == []
    first.offer(FORMULAS[0])
    assert json.loads(path.read_text())["formulas"] == []
    state._pace = Pace()
    first.offer(FORMULAS[2])
    assert len(json.loads(path.read_text())["formulas"]) == 2
    assert list(path.parent.iterdir()) == [path]


def test_only_the_best_of_many_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("knotwork.discovery.state._MOST_FORMULAS", 2)
    first = problem()
    state = SearchState.of(tmp_path / "search.json", first, ())
    state.begin(first, resume=False)
    for formula in FORMULAS:
        first.offer(formula)
    state.save(first)
    assert len(json.loads(state.path.read_text())["formulas"]) == 2
    assert len(json.loads(state.path.read_text())["tried"]) == len(FORMULAS) - 1


def test_a_search_that_was_killed_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("knotwork._pace._EVERY", 0.0)
    monkeypatch.setattr("knotwork._pace._SHARE", 0.0)
    path = tmp_path / "search.json"

    def kill(problem):
        if len(problem.pool) > 5:
            raise SystemExit

    options = {"budget": 20, "state": path}
    with pytest.raises(SystemExit):
        discover(X, y, progress=kill, **options)
    found = json.loads(path.read_text())["formulas"]
    assert len(found) >= 5
    told = []
    again = discover(X, y, progress=told.append, state=path, resume=True, budget=1)
    assert len(again.front) >= 1
    assert not told or len(told[0].pool) > len(found)


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no search to go on with: .*gone\.json"):
        discover(X, y, state=tmp_path / "gone.json", resume=True, progress=False)
