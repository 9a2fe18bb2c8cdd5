"""Discovery on noise alone: the rate of claims where there is nothing to find.

The targets of every table are drawn independently of its inputs, so that "no signal" is the only
right verdict. Tables differ in rows, columns and in the distributions of inputs and targets. The
interval is Clopper and Pearson's (Biometrika 26, 1934).

    python benchmarks/false_discovery.py             # 108 tables, 5 s each at most
    python benchmarks/false_discovery.py --tables 6 --budget 2
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import torch

import cases
from cases import Array
from knotwork import discover

ROWS = (50, 200, 1_000)
COLUMNS = (1, 3, 8)
INPUTS = ("uniform", "normal", "correlated", "integer")
TARGETS = ("normal", "heavy-tailed", "skewed")


def inputs(kind: str, rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Draw a table's inputs."""
    if kind == "uniform":
        return rng.uniform(0, 1, (rows, columns))
    if kind == "normal":
        return rng.standard_normal((rows, columns))
    if kind == "correlated":
        # Any two columns have correlation 0.9.
        common = rng.standard_normal((rows, 1))
        return np.sqrt(0.9) * common + np.sqrt(0.1) * rng.standard_normal((rows, columns))
    return rng.integers(0, 10, (rows, columns)).astype(float)


def targets(kind: str, rows: int, rng: np.random.Generator) -> Array:
    """Draw targets that know nothing of the inputs."""
    if kind == "normal":
        return rng.standard_normal(rows)
    if kind == "heavy-tailed":
        return rng.standard_t(3, rows)
    return rng.lognormal(0.0, 1.0, rows)


def interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact binomial confidence interval of a share, by bisection."""
    tail = (1 - level) / 2

    def at_least(share: float, k: int) -> float:
        return float(mpmath.betainc(k, total - k + 1, 0, share, regularized=True))

    def solved(k: int, wanted: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if at_least(middle, k) < wanted else (low, middle)
        return (low + high) / 2

    low = 0.0 if count == 0 else solved(count, tail)
    high = 1.0 if count == total else solved(count + 1, 1 - tail)
    return low, high


def run(number: int, setting: tuple[int, int, str, str], given: Any) -> dict[str, Any]:
    """Search in one table."""
    rows, columns, of_inputs, of_targets = setting
    rng = np.random.default_rng([given.seed, number])
    X, y = inputs(of_inputs, rows, columns, rng), targets(of_targets, rows, rng)
    began = time.perf_counter()
    found = discover(X, y, budget=given.budget, seed=given.seed, n_jobs=1, progress=False)
    return {
        "rows": rows,
        "columns": columns,
        "inputs": of_inputs,
        "targets": of_targets,
        "verdict": str(found.verdict),
        "r2": None if found.best is None else cases.finite(found.best.r2),
        "formula": "" if found.best is None else str(found.best.expression),
        "seconds": round(time.perf_counter() - began, 2),
    }


def summary(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """Return counts of verdicts and the rate of false discovery."""
    total = len(tables)
    counts = Counter(str(table["verdict"]) for table in tables)
    # The stricter count also holds a claim of signal without a formula against the search.
    claimed, signal = counts["formula"], total - counts["no signal"]
    return {
        "tables": total,
        "verdicts": dict(counts),
        "formula_rate": claimed / total,
        "formula_interval": interval(claimed, total),
        "signal_rate": signal / total,
        "signal_interval": interval(signal, total),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=108, help="108 hold each setting once")
    parser.add_argument("--budget", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=cases.record.RESULTS / "false_discovery.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = list(itertools.product(ROWS, COLUMNS, INPUTS, TARGETS))
    # In a shuffled order, a short run meets all kinds of tables.
    order = np.random.default_rng(0).permutation(len(settings))
    tables: list[dict[str, Any]] = []
    for number in range(given.tables):
        tables.append(run(number, settings[order[number % len(settings)]], given))
        last = tables[-1]
        print(
            f"{last['rows']:5d} x {last['columns']}  X {last['inputs']:10s} "
            f"y {last['targets']:12s} {last['seconds']:6.1f} s  {last['verdict']:16s}"
            + (f" {last['formula'][:100]}" if last["verdict"] == "formula" else ""),
            flush=True,
        )
        figures = {"budget": given.budget, "seed": given.seed}
        cases.save(given.out, {**figures, "summary": summary(tables), "tables": tables})
    whole = summary(tables)
    for kind in ("formula", "signal"):
        low, high = whole[f"{kind}_interval"]
        print(f"{kind} claimed: {whole[f'{kind}_rate']:.1%} of {whole['tables']} tables, ", end="")
        print(f"95% interval {low:.1%} to {high:.1%}")
    print(", ".join(f"{count} x {verdict}" for verdict, count in whole["verdicts"].items()))


if __name__ == "__main__":
    main()
