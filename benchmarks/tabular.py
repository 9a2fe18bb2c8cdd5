"""Small tables: knotwork's estimators beside what people use for them, with their defaults.

Five folds of scikit-learn's bundled datasets and of Friedman's three problems: the mean R^2 or
accuracy on the rows held out, its standard error over folds, and the seconds of CPU that a fit
takes.  Inputs and targets are standardised for those that need it.  Everything runs on one thread;
a method whose five fits of a table need more CPU than --limit seconds has no score there.  For the
peers: pip install '.[benchmarks]'.

    python benchmarks/tabular.py
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

import interpret
import numpy as np
import sklearn
import torch
from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from comparison import ahead, scored
from knotwork import KANClassifier, KANRegressor
from record import RESULTS, write

FOLDS = 5
ROWS = 500
SEED = 0
# Enough for perceptrons to converge; with the default of 200 they do not.
ITERATIONS = 2000
PENALTIES = np.logspace(-3, 3, 13)


class Task(NamedTuple):
    """A table: whether its target is a class, inputs and target."""

    classes: bool
    X: Any
    y: Any


def tasks() -> dict[str, Task]:
    """Return the tables by name."""
    return {
        "diabetes": Task(False, *datasets.load_diabetes(return_X_y=True)),
        "breast cancer": Task(True, *datasets.load_breast_cancer(return_X_y=True)),
        "wine": Task(True, *datasets.load_wine(return_X_y=True)),
        "iris": Task(True, *datasets.load_iris(return_X_y=True)),
        "Friedman 1": Task(False, *datasets.make_friedman1(ROWS, noise=1.0, random_state=SEED)),
        "Friedman 2": Task(False, *datasets.make_friedman2(ROWS, noise=125.0, random_state=SEED)),
        "Friedman 3": Task(False, *datasets.make_friedman3(ROWS, noise=0.1, random_state=SEED)),
        "digits": Task(True, *datasets.load_digits(return_X_y=True)),
    }


REGRESSORS: dict[str, Callable[[], Any]] = {
    "KAN": lambda: KANRegressor(random_state=SEED),
    "MLP": lambda: TransformedTargetRegressor(
        make_pipeline(StandardScaler(), MLPRegressor(max_iter=ITERATIONS, random_state=SEED)),
        transformer=StandardScaler(),
    ),
    "boosting": lambda: HistGradientBoostingRegressor(random_state=SEED),
    "splines, ridge": lambda: make_pipeline(
        StandardScaler(), SplineTransformer(), RidgeCV(PENALTIES)
    ),
    "EBM": lambda: ExplainableBoostingRegressor(random_state=SEED, n_jobs=1),
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "KAN": lambda: KANClassifier(random_state=SEED),
    "MLP": lambda: make_pipeline(
        StandardScaler(), MLPClassifier(max_iter=ITERATIONS, random_state=SEED)
    ),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=SEED),
    "splines, ridge": lambda: make_pipeline(
        StandardScaler(),
        SplineTransformer(),
        LogisticRegression(max_iter=1000),
    ),
    "EBM": lambda: ExplainableBoostingClassifier(random_state=SEED, n_jobs=1),
}


def within(limit: int, name: str, method: str) -> dict[str, Any]:
    """Return what was measured of a method on a table, or that it takes longer than the limit."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(measured_in_time, limit, name, method).result()
        except BrokenProcessPool:
            return {"over": limit}


def measured_in_time(limit: int, name: str, method: str) -> dict[str, Any]:
    """Measure in a process of its own, which the system ends if it takes too long."""
    began = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (began + limit, began + limit))
    torch.set_num_threads(1)
    task = tasks()[name]
    with threadpool_limits(1):
        return measured(task, (CLASSIFIERS if task.classes else REGRESSORS)[method])


def measured(task: Task, make: Callable[[], Any]) -> dict[str, Any]:
    """Return the scores and the seconds of a fit, a value a fold."""
    folds = (StratifiedKFold if task.classes else KFold)(FOLDS, shuffle=True, random_state=SEED)
    scores: list[float] = []
    seconds: list[float] = []
    cpu: list[float] = []
    for train, test in folds.split(task.X, task.y):
        model = make()
        began, began_cpu = time.perf_counter(), time.process_time()
        model.fit(task.X[train], task.y[train])
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
        scores.append(float(model.score(task.X[test], task.y[test])))
    return {
        "score": float(np.mean(scores)),
        "standard_error": float(np.std(scores, ddof=1) / FOLDS**0.5),
        "seconds": float(np.median(seconds)),
        "cpu_seconds": float(np.median(cpu)),
        "scores": scores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", help="names of tables")
    parser.add_argument("--methods", nargs="+", help="names of methods")
    parser.add_argument("--name", default="tabular", help="of the file of results")
    parser.add_argument("--show", action="store_true", help="print the table of an earlier run")
    parser.add_argument("--limit", type=int, default=600, help="seconds of CPU for five fits")
    options = parser.parse_args()
    if options.show:
        known = json.loads((RESULTS / f"{options.name}.json").read_text(encoding="utf-8"))
        print(table(known["results"]))
        return
    tables = {name: task.classes for name, task in tasks().items()}
    tables = {name: tables[name] for name in options.only or tables}
    results: dict[str, dict[str, Any]] = {name: {} for name in tables}
    versions = {"scikit-learn": sklearn.__version__, "interpret-core": interpret.__version__}
    # The slowest method goes through all tables last; what is known is written after every table.
    for method in options.methods or REGRESSORS:
        for name, classes in tables.items():
            results[name][method] = found = within(options.limit, name, method)
            score = "accuracy" if classes else "R^2"
            print(f"{name:14} {method:15} {score:8} {scored(found, 4)}", flush=True)
            write(options.name, {"versions": versions, "folds": FOLDS, "results": results})
    print(table(results))


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return scores and seconds of CPU in Markdown, and who is best on every table."""
    methods = list(next(iter(results.values())))
    lines = [["", *methods, "best"], ["---"] * (len(methods) + 2)]
    for name, found in results.items():
        cells = [scored(found[method]) if method in found else "" for method in methods]
        lines.append([name, *cells, ahead(found)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
