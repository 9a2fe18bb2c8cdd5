"""Discovery of exp(sin(pi x_1) + x_2^2) over widths and seeds: how often it is lost.

Rows are drawn anew for every seed: 1,000 of them on [-1, 1]^2. Without noise, a formula is exact
if its relative RMSE on 5,000 fresh rows is below 1e-9. With --noise, it is right if its error to
the noise-free truth is below a tenth of the noise.

    python benchmarks/flakiness.py                 # 9 widths, 10 seeds
    python benchmarks/flakiness.py --noise 0.01
    python benchmarks/flakiness.py --widths 2 5 --seeds 0 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cases
from cases import Case, Variable
from knotwork import discover

CASE = Case(
    "flakiness",
    "f",
    "exp(sin(pi*x_1)+x_2^2)",
    (Variable("x_1", -1.0, 1.0), Variable("x_2", -1.0, 1.0)),
)
EXACT = 1e-9


def run(width: int, seed: int, noise: float, budget: float) -> dict[str, Any]:
    """Search with one width and seed."""
    X, y = cases.training_rows(CASE, 1_000, seed, noise)
    began = time.perf_counter()
    found = discover(
        X, y, names=CASE.names, budget=budget, seed=seed, n_jobs=1, progress=False, width=width
    )
    seconds = time.perf_counter() - began
    error = np.inf
    if found.best is not None:
        fresh = CASE.draw(cases.FRESH_ROWS, cases.generator(CASE, seed, "inside"))
        error = cases.relative_error(found.best.predict, CASE, fresh)
    return {
        "width": width,
        "seed": seed,
        "right": error < (cases.NEAR * noise if noise > 0 else EXACT),
        "error": cases.finite(error),
        "seconds": round(seconds, 2),
        "verdict": str(found.verdict),
        "formula": "" if found.best is None else str(found.best.expression),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", nargs="+", type=int, default=list(range(2, 11)))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--noise", type=float, default=0.0, help="as a fraction of the spread")
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--out", type=Path, help="benchmarks/results/flakiness[_NOISE].json")
    given = parser.parse_args()
    name = f"flakiness_{given.noise:g}.json" if given.noise else "flakiness.json"
    out = given.out or cases.record.RESULTS / name
    torch.set_num_threads(1)
    runs: list[dict[str, Any]] = []
    print("width  seed by seed: + right, - lost" + " " * 6 + "median s     max s")
    for width in given.widths:
        print(f"{width:5d}  ", end="", flush=True)
        for seed in given.seeds:
            runs.append(run(width, seed, given.noise, given.budget))
            print("+" if runs[-1]["right"] else "-", end="", flush=True)
            cases.save(out, {"noise": given.noise, "budget": given.budget, "runs": runs})
        seconds = [entry["seconds"] for entry in runs if entry["width"] == width]
        gap = " " * max(1, 34 - len(given.seeds))
        print(f"{gap}{statistics.median(seconds):9.2f} {max(seconds):9.2f}")
    for entry in runs:
        if not entry["right"]:
            print(
                f"lost: width {entry['width']} seed {entry['seed']}: "
                f"{cases.shown(entry['error'])} {entry['verdict']} {entry['formula'][:120]}"
            )
    seconds = [entry["seconds"] for entry in runs]
    print(
        f"{sum(entry['right'] for entry in runs)} of {len(runs)} right; "
        f"median {statistics.median(seconds):.2f} s, most {max(seconds):.2f} s"
    )


if __name__ == "__main__":
    main()
