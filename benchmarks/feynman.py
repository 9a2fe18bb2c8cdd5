"""Recover known laws from 1,000 rows, without and with noise.

    python benchmarks/feynman.py [--noise 0 0.001 0.01 0.1] [--cases I.8.14 ...] [--resume]

Prints a row for every case and writes results/feynman.json after each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from cases import Case, error, read_cases, recovered
from knotwork import discover
from record import RESULTS, write

_REPEAT = 0


def run(case: Case, noise: float, options: argparse.Namespace) -> dict[str, Any]:
    """Search for one law and judge what was found."""
    X, y = case.noisy(options.rows, _REPEAT, noise)
    start = time.perf_counter()
    found = discover(
        X,
        y,
        names=case.names,
        budget=options.budget,
        seed=options.seed,
        n_jobs=options.jobs,
        progress=False,
    )
    seconds = time.perf_counter() - start
    best = found.best
    result: dict[str, Any] = {"case": case.id, "noise": noise, "seconds": round(seconds, 2)}
    result |= {"law": case.formula, "verdict": str(found.verdict)}
    if best is None:
        return result | {"recovered": False, "formula": None}
    exact, inside, beyond = recovered(best.predict, case)
    truth = error(best.predict, *case.draw(5_000, 1_000_003))
    return result | {
        "recovered": exact,
        "near_truth": truth < noise / 10 if noise else exact,
        "inside": inside,
        "beyond": beyond,
        "complexity": best.complexity,
        "formula": str(best),
    }


def main() -> None:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="feynman")
    parser.add_argument("--cases", nargs="*")
    parser.add_argument("--noise", type=float, nargs="*", default=[0.0])
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="feynman", help="of the result's file")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    cases = read_cases(options.data)
    path = RESULTS / f"{options.name}.json"
    results: list[dict[str, Any]] = []
    if options.resume and path.exists():
        results = json.loads(path.read_text())["cases"]
    done = {(result["case"], result["noise"]) for result in results}
    for noise in options.noise:
        for name in options.cases or cases:
            if (name, noise) in done:
                continue
            result = run(cases[name], noise, options)
            results.append(result)
            print(
                f"{noise:<6g} {name:10s} {'yes' if result['recovered'] else 'no':4s}"
                f"{'near' if result.get('near_truth') else '':5s}{result['seconds']:6.1f} s "
                f"{result.get('inside', float('nan')):8.1e} {result.get('beyond', 0):8.1e} "
                f"{result.get('complexity', 0):4d}  {result['verdict']:16s} "
                f"{str(result['formula'])[:90]}",
                flush=True,
            )
            write(options.name, {"options": vars(options), "cases": results})
    for noise in options.noise:
        part = [result for result in results if result["noise"] == noise]
        count = sum(result["recovered"] for result in part)
        near = sum(bool(result.get("near_truth")) for result in part)
        median = statistics.median(result["seconds"] for result in part)
        print(
            f"noise {noise:g}: {count} of {len(part)} recovered, {near} near the truth, "
            f"median {median:.1f} s"
        )


if __name__ == "__main__":
    main()
