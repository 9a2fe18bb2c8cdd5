"""Does the answer depend on luck? One law, nine starting widths, ten seeds.

    python benchmarks/flakiness.py [--noise 0.01]

f = exp(sin(pi x1) + x2^2) on [-1, 1]^2, 1,000 rows drawn anew for every seed. Without noise a
run is right if its formula is exact: an error below 1e-9 of the spread on fresh rows, inside the
range and up to half a range beyond. With noise it is right if its error against the noise-free
law is below a tenth of the noise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

from cases import error
from knotwork import discover
from record import write


def law(X: np.ndarray) -> np.ndarray:
    """Return the introductory function's values."""
    return np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)


def run(width: int, seed: int, noise: float, rows: int) -> dict[str, Any]:
    """Search once."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, 2))
    y = law(X)
    y = y + noise * y.std() * rng.normal(size=rows)
    start = time.perf_counter()
    found = discover(X, y, names=["x1", "x2"], width=width, seed=seed, progress=False)
    seconds = time.perf_counter() - start
    fresh = np.random.default_rng(10_000 + seed)
    inside, beyond = fresh.uniform(-1, 1, (5_000, 2)), fresh.uniform(-1, 2, (5_000, 2))
    assert found.best is not None
    errors = [error(found.best.predict, points, law(points)) for points in (inside, beyond)]
    right = max(errors) < 1e-9 if noise == 0 else errors[0] < noise / 10
    return {
        "width": width,
        "seed": seed,
        "right": right,
        "seconds": round(seconds, 3),
        "errors": errors,
        "verdict": str(found.verdict),
        "formula": str(found.best),
    }


def main() -> None:
    """Run all widths and seeds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--widths", type=int, nargs="*", default=list(range(2, 11)))
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    for width in options.widths:
        row = [run(width, seed, options.noise, options.rows) for seed in options.seeds]
        runs += row
        marks = " ".join(f"{one['seconds']:5.1f}{'' if one['right'] else '!'}" for one in row)
        print(
            f"width {width:2d}: {sum(one['right'] for one in row)}/{len(row)}  {marks}", flush=True
        )
    seconds = [one["seconds"] for one in runs]
    print(
        f"{sum(one['right'] for one in runs)} of {len(runs)} right; "
        f"median {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s"
    )
    name = "flakiness" if options.noise == 0 else f"flakiness-{options.noise:g}"
    write(name, {"options": vars(options), "runs": runs})


if __name__ == "__main__":
    main()
