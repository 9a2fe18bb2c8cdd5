"""Discovery beside two other searches: the same rows, the same seconds, the same rule.

Every search gets --budget seconds on --threads threads, operators + - * / and the functions that
the tables use (pyoperon and gplearn are told which; knotwork searches its default library).
pyoperon computes in single precision and gplearn does not fit constants, so their constants are
afterwards fitted once more in double precision, beyond the budget: a formula counts as recovered
if it passes with either set of constants. Needs the extra `benchmarks`.

    python benchmarks/peers.py                                  # 20 cases, 60 s each and search
    python benchmarks/peers.py --cases I.12.1 --budget 5 --searches knotwork gplearn
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read by the numerical libraries when they are imported: no search gets threads on the side.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import torch

import cases
from cases import Array, Case, Predict

Row = dict[str, Any]
# Relative mean squared error at which a search may stop early.
EXACT = 1e-14


@dataclass(frozen=True)
class Found:
    """What a search returned, its constants open to another fit."""

    formula: str
    complexity: int
    predict: Predict
    constants: Array
    with_constants: Callable[[Array, Array], Array] | None = None


Search = Callable[[Case, Array, Array, argparse.Namespace], Found | None]


def knotwork(case: Case, X: Array, y: Array, given: argparse.Namespace) -> Found | None:
    """Search with this library."""
    from knotwork import discover

    found = discover(
        X,
        y,
        names=case.names,
        budget=given.budget,
        seed=given.seed,
        n_jobs=given.threads,
        progress=False,
    )
    if found.best is None:
        return None
    best = found.best
    return Found(str(best.expression), best.complexity, best.predict, np.empty(0))


def pyoperon(case: Case, X: Array, y: Array, given: argparse.Namespace) -> Found | None:
    """Search with Operon: genetic programming that fits constants by Levenberg-Marquardt."""
    from pyoperon.sklearn import SymbolicRegressor

    search = SymbolicRegressor(
        allowed_symbols="add,sub,mul,div,pow,sqrt,exp,log,sin,cos,tanh,asin,acos,constant,variable",
        objectives=["r2", "length"],
        optimizer_iterations=10,
        generations=10**6,
        max_evaluations=10**9,
        epsilon=1e-10,
        max_time=max(1, round(given.budget)),
        # Its default, description length, takes noise of standard deviation 1 for granted.
        model_selection_criterion="bayesian_information_criterion",
        n_threads=given.threads,
        random_state=given.seed,
    ).fit(X, y)
    columns = [f"x{k}" for k in range(X.shape[1])]
    text = search.get_model_string(search.model_, 17, columns)
    tree = ast.parse(text.replace("^", "**"), mode="eval")
    numbers = [node for node in ast.walk(tree) if _is_number(node)]

    def with_constants(constants: Array, rows: Array) -> Array:
        for node, value in zip(numbers, constants.tolist(), strict=True):
            node.value = value
        values = cases.evaluate(ast.unparse(tree), dict(zip(columns, rows.T, strict=True)))
        return np.broadcast_to(values, len(rows)).astype(float)

    start = np.array([float(node.value) for node in numbers])
    size = int(search.stats_["model_length"])
    return Found(text, size, lambda rows: with_constants(start, rows), start, with_constants)


def _is_number(node: Any) -> bool:
    return isinstance(node, ast.Constant)


def gplearn(case: Case, X: Array, y: Array, given: argparse.Namespace) -> Found | None:
    """Search with gplearn: plain genetic programming, a generation at a time until time is up."""
    from gplearn.functions import make_function
    from gplearn.genetic import SymbolicRegressor

    def protected(name: str, function: Callable[[Array], Array]) -> Any:
        def closed(x: Array) -> Array:
            with np.errstate(all="ignore"):
                return np.nan_to_num(function(x), nan=0.0, posinf=1e6, neginf=-1e6)

        return make_function(function=closed, name=name, arity=1, wrap=False)

    more = {"exp": np.exp, "tanh": np.tanh, "asin": np.arcsin, "acos": np.arccos}
    search = SymbolicRegressor(
        population_size=1_000,
        function_set=(
            *("add", "sub", "mul", "div", "neg", "inv", "sqrt", "log", "sin", "cos"),
            *(protected(name, function) for name, function in more.items()),
        ),
        const_range=(-10.0, 10.0),
        metric="mse",
        stopping_criteria=0.0,
        warm_start=True,
        low_memory=True,
        n_jobs=given.threads,
        random_state=given.seed,
        feature_names=case.names,
    )
    began, generation, best = time.perf_counter(), 0, None
    while time.perf_counter() - began < given.budget:
        generation += 1
        with np.errstate(all="ignore"):
            search.set_params(generations=generation).fit(X, y)
        program = search._program
        if best is None or program.raw_fitness_ < best.raw_fitness_:
            best = program
        if best.raw_fitness_ < EXACT * float(np.var(y)):
            break
    if best is None:
        return None
    places = [k for k, node in enumerate(best.program) if isinstance(node, float)]
    start = np.array([best.program[k] for k in places], dtype=float)

    def with_constants(constants: Array, rows: Array) -> Array:
        for place, value in zip(places, constants.tolist(), strict=True):
            best.program[place] = value
        return np.asarray(best.execute(rows), dtype=float)

    return Found(
        str(best),
        len(best.program),
        lambda rows: with_constants(start, rows),
        start,
        with_constants,
    )


SEARCHES: dict[str, Search] = {"knotwork": knotwork, "pyoperon": pyoperon, "gplearn": gplearn}


def refitted(found: Found, X: Array, y: Array) -> Predict | None:
    """Fit a formula's constants in double precision, from where the search left them."""
    from scipy.optimize import least_squares

    function = found.with_constants
    if function is None or not len(found.constants):
        return None

    def residuals(constants: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.nan_to_num(function(constants, X) - y, nan=1e9, posinf=1e9, neginf=-1e9)

    fit = least_squares(residuals, found.constants, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=50)
    return lambda rows: function(fit.x, rows)


def run(name: str, case: Case, given: argparse.Namespace) -> Row:
    """Search for one case with one search, and judge it."""
    X, y = cases.training_rows(case, given.rows, given.seed)
    row: Row = {"search": name, "id": case.id, "truth": case.formula, "recovered": False}
    began = time.perf_counter()
    try:
        found = SEARCHES[name](case, X, y, given)
        row["seconds"] = round(time.perf_counter() - began, 2)
        if found is None:
            return row
        row |= {"complexity": found.complexity, "formula": found.formula}
        right, inside, beyond = cases.recovered(found.predict, case, given.seed)
        row["as_returned"] = right
        if not right and (better := refitted(found, X, y)) is not None:
            second = cases.recovered(better, case, given.seed)
            right, inside, beyond = min(
                (right, inside, beyond), second, key=lambda r: (not r[0], r[1])
            )
    # A crash of one search is a lost case of that search, and the row says what it was.
    except Exception as error:
        row.setdefault("seconds", round(time.perf_counter() - began, 2))
        return row | {"error": repr(error)}
    return row | {
        "recovered": right,
        "inside": cases.finite(inside),
        "beyond": cases.finite(beyond),
    }


def summary(rows: list[Row]) -> list[Row]:
    """Return a line of figures for every search."""
    lines: list[Row] = []
    for name in dict.fromkeys(row["search"] for row in rows):
        group = [row for row in rows if row["search"] == name]
        lines.append(
            {
                "search": name,
                "version": importlib.metadata.version(name),
                "cases": len(group),
                "recovered": sum(row["recovered"] for row in group),
                "as_returned": sum(row.get("as_returned", False) for row in group),
                "errors": sum("error" in row for row in group),
                "median_seconds": statistics.median(row["seconds"] for row in group),
                "most_seconds": max(row["seconds"] for row in group),
            }
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", metavar="ID", help="every second one by default")
    parser.add_argument("--data", default="feynman", help="feynman, laws or the path of a table")
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a search and case")
    parser.add_argument("--threads", type=int, default=1, help="of every search")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=cases.record.RESULTS / "peers.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    chosen = cases.load(given.data, given.cases) if given.cases else cases.load(given.data)[::2]
    options = {name: getattr(given, name) for name in ("budget", "threads", "rows", "seed")}
    options["data"] = Path(given.data).stem
    rows: list[Row] = []
    print(f"{given.budget:g} s a search and case, {given.threads} thread(s), {given.rows} rows")
    for case in chosen:
        for name in given.searches:
            rows.append(run(name, case, given))
            last = rows[-1]
            print(
                f"{case.id:12s} {name:9s} {'yes' if last['recovered'] else 'NO':4s}"
                f"{cases.shown(last.get('inside'))} {cases.shown(last.get('beyond'))} "
                f"{last['seconds']:7.1f} s {last.get('complexity', 0):4d}  "
                f"{(last.get('formula') or last.get('error', ''))[:100]}",
                flush=True,
            )
            cases.save(given.out, {"options": options, "summary": summary(rows), "rows": rows})
    for entry in summary(rows):
        print(
            f"{entry['search']} {entry['version']}: {entry['recovered']} of {entry['cases']} "
            f"recovered ({entry['as_returned']} as returned), {entry['errors']} errors, median "
            f"{entry['median_seconds']:.1f} s, most {entry['most_seconds']:.1f} s"
        )


if __name__ == "__main__":
    main()
