"""Files of every kind that the library reads, each with the judge of what reading it gives.

A judge reads a file and raises AssertionError if what came is not right: a network whose outputs
survive another saving, a table with the numbers that Python's own reader finds, a formula that can
be written and read again.  A refusal is whatever the library raises.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import torch

from knotwork import KAN, MLP, create_dataset, load, read_table
from knotwork.discovery.clock import Clock
from knotwork.discovery.problem import Problem
from knotwork.discovery.state import SearchState
from knotwork.functions import LIBRARY
from knotwork.symbolic.reading import from_data, parse, to_data
from knotwork.training import Progress, fit

FIT_STEPS = 5
_VARIABLES = ("x", "y", "my x")
_TEXT = "1.5*sin(pi*x)^2/3 + exp(-x*y) - log(1 + `my x`**2)*sqrt(abs(y)) + 2.5e-3"


@dataclass(frozen=True)
class Specimen:
    """A kind of file: its ending, how to make a good one, and the judge of reading one."""

    name: str
    ending: str
    make: Callable[[Path], None]
    judge: Callable[[Path], None]


def rows(count: int = 40) -> dict[str, Any]:
    """Return rows of two inputs and a target."""
    return create_dataset(
        lambda x: torch.sin(2 * x[:, 0]) * x[:, 1], 2, train_num=count, test_num=10, seed=1
    )


# -- networks ------------------------------------------------------------------------------------


def _splines() -> KAN:
    return KAN([2, 3, 1], grid=3, seed=3)


def _symbolic() -> KAN:
    model = KAN([2, 2, 1], grid=3, residual=None)
    for place, name in enumerate(("sin", "exp", "x^2")):
        model.layer(0).set_symbolic(place // 2, place % 2, LIBRARY[name], 1.0, 0.1, 0.5, -0.3)
    model.layer(1).remove_edge(0, 0, 0.7)
    return model


def _mixed() -> KAN:
    model = KAN([2, (2, 1), 1], grid=2, k=2, seed=1, extrapolation="constant")
    model.layer(0).set_symbolic(0, 0, LIBRARY["tanh"], 1.0, 0.1, 0.5, -0.3)
    model.input_names, model.output_names = ("Länge", 'w "b"\n'), ("y",)
    return model


def _perceptron() -> MLP:
    return MLP([2, 4, 1], seed=9)


def _judge_network(path: Path) -> None:
    model = load(path)
    x = torch.linspace(-1, 1, 7 * model.input_count, dtype=model.dtype).view(7, -1)
    before = model(x).detach()
    assert before.shape == (7, model.output_count), "the outputs have another shape"
    again = path.with_name("again")
    model.save(again)
    after = load(again)(x).detach()
    assert before.numpy().tobytes() == after.numpy().tobytes(), "the outputs changed by saving"


# -- fits under way ------------------------------------------------------------------------------


class _Stopped(Exception):  # noqa: N818 - it ends a fit, it is not an error
    pass


def _keep_fit(opt: str) -> Callable[[Path], None]:
    """Return what leaves the checkpoint of a fit that was stopped in the middle."""

    def make(path: Path) -> None:
        def stop(progress: Progress) -> None:
            if progress.step == FIT_STEPS - 2:
                # The checkpoint of the step before is there.
                raise _Stopped

        try:
            model = KAN([2, 2, 1], grid=3, seed=3)
            fit(
                model,
                rows(),
                checkpoint=path,
                checkpoint_every=1,
                callbacks=[stop],
                **_OPTIONS[opt],
            )
        except _Stopped:
            return

    return make


_OPTIONS: dict[str, dict[str, Any]] = {
    "LM": {"opt": "LM", "steps": FIT_STEPS, "starts": 1},
    "LBFGS": {"opt": "LBFGS", "steps": FIT_STEPS},
    "Adam": {"opt": "Adam", "steps": FIT_STEPS * 3, "batch_size": 16, "lr": 0.01},
}


def _judge_fit(opt: str) -> Callable[[Path], None]:
    def judge(path: Path) -> None:
        model = KAN([2, 2, 1], grid=3, seed=3)
        options = {"checkpoint_every": 1000, "resume": True, "progress": False}
        history = fit(model, rows(), checkpoint=path, **options, **_OPTIONS[opt])
        assert history.steps[-1] <= _OPTIONS[opt]["steps"], "there are too many steps"
        assert len(history.seconds) == len(history.steps), "the history has gaps"
        other = path.with_name("fitted")
        model.save(other)
        _judge_network(other)

    return judge


# -- formulas ------------------------------------------------------------------------------------


def _make_text(path: Path) -> None:
    path.write_text(_TEXT, encoding="utf-8")


def _judge_formula(formula: sympy.Expr) -> None:
    assert isinstance(formula, sympy.Expr), "what was read is no formula"
    assert not formula.has(sympy.zoo, sympy.nan), "the formula is not defined anywhere"
    # Constants are written as doubles; text gives a few bits more to compute with.
    written = from_data(to_data(formula))
    assert from_data(to_data(written)) == written, "the formula changed by writing"


def _judge_text(path: Path) -> None:
    formula = parse(path.read_text(encoding="utf-8", errors="replace"), _VARIABLES)
    assert {str(symbol) for symbol in formula.free_symbols} <= set(_VARIABLES), "strange variables"
    _judge_formula(formula)


def _make_data(path: Path) -> None:
    path.write_text(json.dumps(to_data(parse(_TEXT, _VARIABLES))), encoding="utf-8")


def _judge_data(path: Path) -> None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("the file is nested too deeply to be a formula.") from None
    _judge_formula(from_data(data))


# -- searches ------------------------------------------------------------------------------------


def _problem() -> Problem:
    X = np.random.default_rng(0).uniform(1, 3, (40, 2))
    y = X[:, 0] * np.tanh(X[:, 1]) + 0.1 * np.sin(9 * X[:, 1])
    symbols = sympy.symbols("a b", positive=True)
    return Problem(X[:30], y[:30], X[30:], y[30:], symbols, Clock(60.0))


def _make_search(path: Path) -> None:
    problem = _problem()
    a, b = problem.symbols
    state = SearchState.of(path, problem, ())
    state.begin(problem, resume=False)
    for formula in (sympy.Float(1.5) * a, a / b + 1, sympy.Float(0.7) * sympy.tanh(b) * a):
        problem.offer(formula)
    problem.visited.add("sums")
    state.save(problem)


def _judge_search(path: Path) -> None:
    problem = _problem()
    SearchState.of(path, problem, ()).begin(problem, resume=True)
    assert all(math.isfinite(c.fit.rmse) for c in problem.pool), "a formula without an error"
    again = _problem()
    SearchState.of(path, again, ()).begin(again, resume=True)
    before, after = ([str(c.expression) for c in p.pool] for p in (problem, again))
    assert before == after, "the search changed by saving"


# -- tables --------------------------------------------------------------------------------------

_NAMES = ["length", "mass", "colour of it", "y"]


def _numbers() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30, 4)).round(6)


def _make_delimited(separator: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        lines = [_NAMES, *_numbers().tolist()]
        text = "\n".join(separator.join(str(cell) for cell in line) for line in lines)
        path.write_text(text + "\n", encoding="utf-8")

    return make


def _judge_table(path: Path) -> Any:
    table = read_table(path, target="y")
    assert table.X.shape == (len(table), len(table.input_names)), "shape and names do not fit"
    assert np.isfinite(table.X).all(), "a number is not finite"
    assert np.isfinite(table.y).all(), "a target is not finite"
    return table


def _judge_delimited(separator: str) -> Callable[[Path], None]:
    def judge(path: Path) -> None:
        table = _judge_table(path)
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            names, *lines = filter(None, csv.reader(file, delimiter=separator))
        names = [name.strip() for name in names]
        places = {name: place for place, name in enumerate(names)}
        columns = [places[name] for name in (*table.input_names, "y")]
        expected = np.array([[float(line[column]) for column in columns] for line in lines])
        assert np.array_equal(np.hstack([table.X, table.y]), expected), "other numbers"

    return judge


def _make_parquet(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = dict(zip(_NAMES, _numbers().T, strict=True))
    parquet.write_table(pyarrow.table(columns), str(path))


def _make_network(build: Callable[[], Any]) -> Callable[[Path], None]:
    return lambda path: build().save(path)


SPECIMENS = {
    specimen.name: specimen
    for specimen in (
        Specimen("splines", ".safetensors", _make_network(_splines), _judge_network),
        Specimen("symbolic", ".safetensors", _make_network(_symbolic), _judge_network),
        Specimen("mixed", ".safetensors", _make_network(_mixed), _judge_network),
        Specimen("perceptron", ".safetensors", _make_network(_perceptron), _judge_network),
        *(
            Specimen(f"fit by {opt}", ".safetensors", _keep_fit(opt), _judge_fit(opt))
            for opt in _OPTIONS
        ),
        Specimen("formula as text", ".txt", _make_text, _judge_text),
        Specimen("formula as JSON", ".json", _make_data, _judge_data),
        Specimen("search", ".json", _make_search, _judge_search),
        Specimen("csv", ".csv", _make_delimited(","), _judge_delimited(",")),
        Specimen("tsv", ".tsv", _make_delimited("\t"), _judge_delimited("\t")),
        Specimen("parquet", ".parquet", _make_parquet, _judge_table),
    )
}
