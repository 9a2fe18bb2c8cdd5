"""How often is noise taken for a law? Tables in which the target has nothing to do with the inputs.

python benchmarks/false_discovery.py [--tables 60] [--budget 6]
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import binomtest

from knotwork import discover
from record import write

_ROWS = (50, 200, 1000)
_COLUMNS = (1, 3, 8)
_TARGETS = ("normal", "heavy", "skewed")
_INPUTS = ("uniform", "normal", "correlated", "whole")


def table(rng: np.random.Generator, rows: int, columns: int, target: str, inputs: str) -> Any:
    """Draw inputs and a target that know nothing of one another."""
    X = rng.normal(size=(rows, columns))
    if inputs == "uniform":
        X = rng.uniform(1, 5, (rows, columns))
    elif inputs == "correlated":
        X = X @ rng.normal(size=(columns, columns)) + 0.1 * X
    elif inputs == "whole":
        X = np.round(3 * X)
    y = {
        "normal": rng.normal(size=rows),
        "heavy": rng.standard_t(3, size=rows),
        "skewed": rng.exponential(size=rows),
    }[target]
    return X, y


def main() -> None:
    """Search in tables of all kinds and count the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=72)
    parser.add_argument("--budget", type=float, default=6.0)
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    for number in range(options.tables):
        rng = np.random.default_rng([number, 77])
        rows, columns = _ROWS[number % 3], _COLUMNS[number // 3 % 3]
        target, inputs = _TARGETS[number // 2 % 3], _INPUTS[number % 4]
        X, y = table(rng, rows, columns, target, inputs)
        found = discover(X, y, budget=options.budget, seed=number, progress=False)
        result = {"rows": rows, "columns": columns, "target": target, "inputs": inputs}
        results.append(result | {"verdict": str(found.verdict), "formula": str(found.best)})
        if found.verdict != "no signal":
            print(number, results[-1], found.verdict.reasons, flush=True)
    verdicts = Counter(result["verdict"] for result in results)
    for claim in ("formula", "no formula found"):
        interval = binomtest(verdicts[claim], len(results)).proportion_ci()
        print(
            f"{claim}: {verdicts[claim]} of {len(results)} "
            f"(95 % interval {interval.low:.3f} to {interval.high:.3f})"
        )
    print(f"no signal: {verdicts['no signal']} of {len(results)}")
    write("false_discovery", {"options": vars(options), "tables": results})


if __name__ == "__main__":
    main()
