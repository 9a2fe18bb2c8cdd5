"""Small tables: knotwork's estimators beside what people use for them, all with their defaults.

Five folds of scikit-learn's bundled datasets and of Friedman's three problems; the mean R^2 or
accuracy on the rows held out, its standard error over folds, and the seconds of a fit.  Inputs are
standardised for those that need it.  Peers: pip install '.[benchmarks]'.

    python benchmarks/tabular.py
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import interpret
import numpy as np
import sklearn
import torch
from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from knotwork import KANClassifier, KANRegressor
from record import write

FOLDS = 5
ROWS = 500
SEED = 0
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
        "digits": Task(True, *datasets.load_digits(return_X_y=True)),
        "Friedman 1": Task(False, *datasets.make_friedman1(ROWS, noise=1.0, random_state=SEED)),
        "Friedman 2": Task(False, *datasets.make_friedman2(ROWS, noise=125.0, random_state=SEED)),
        "Friedman 3": Task(False, *datasets.make_friedman3(ROWS, noise=0.1, random_state=SEED)),
    }


REGRESSORS: dict[str, Callable[[], Any]] = {
    "KAN": lambda: KANRegressor(random_state=SEED),
    "MLP": lambda: make_pipeline(StandardScaler(), MLPRegressor(random_state=SEED)),
    "boosting": lambda: HistGradientBoostingRegressor(random_state=SEED),
    "splines, ridge": lambda: make_pipeline(
        StandardScaler(), SplineTransformer(), RidgeCV(PENALTIES)
    ),
    "EBM": lambda: ExplainableBoostingRegressor(random_state=SEED, n_jobs=1),
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "KAN": lambda: KANClassifier(random_state=SEED),
    "MLP": lambda: make_pipeline(StandardScaler(), MLPClassifier(random_state=SEED)),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=SEED),
    "splines, ridge": lambda: make_pipeline(
        StandardScaler(),
        SplineTransformer(),
        LogisticRegressionCV(
            Cs=7, l1_ratios=(0.0,), scoring="neg_log_loss", use_legacy_attributes=False
        ),
    ),
    "EBM": lambda: ExplainableBoostingClassifier(random_state=SEED, n_jobs=1),
}


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
    options = parser.parse_args()
    # A perceptron's default number of iterations is part of its defaults.
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    results: dict[str, dict[str, Any]] = {}
    with threadpool_limits(1):
        for name, task in tasks().items():
            if options.only and name not in options.only:
                continue
            methods = CLASSIFIERS if task.classes else REGRESSORS
            results[name] = {}
            for method, make in methods.items():
                if options.methods and method not in options.methods:
                    continue
                results[name][method] = found = measured(task, make)
                print(
                    f"{name:14} {method:15} {'accuracy' if task.classes else 'R^2':8} "
                    f"{found['score']:7.4f} +- {found['standard_error']:.4f} "
                    f"{found['cpu_seconds']:8.2f} s",
                    flush=True,
                )
            best = max(results[name], key=lambda method: results[name][method]["score"])
            print(f"{name:14} best: {best}", flush=True)
    versions = {"scikit-learn": sklearn.__version__, "interpret-core": interpret.__version__}
    print(write(options.name, {"versions": versions, "folds": FOLDS, "results": results}))


if __name__ == "__main__":
    main()
