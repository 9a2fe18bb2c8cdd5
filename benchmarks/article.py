"""The article's script over hidden widths and seeds: how often the formula comes out, how fast.

Every run is a process of its own, so that its time is what a user waits: imports included.

    python benchmarks/article.py            # 25 runs
    python benchmarks/article.py --short    # one run a width
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import record

WIDTHS = (2, 3, 5, 6, 8)
SEEDS = range(5)

SCRIPT = """
import sys
import torch
from knotwork import KAN, create_dataset
width, seed = int(sys.argv[1]), int(sys.argv[2])
dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2), n_var=2
)
model = KAN(width=[2, width, 1], grid=5, k=3, seed=seed)
model.train(dataset, opt="LBFGS", steps=20, lamb=0.01, lamb_entropy=10.0)
model = model.prune()
model.train(dataset, opt="LBFGS", steps=50)
model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
model.train(dataset, opt="LBFGS", steps=50)
print(model.symbolic_formula()[0][0])
"""
# The canonical printing of the right formula, constants exact.
FORMULA = "exp(x_2**2 + sin(pi*x_1))"


def run(width: int, seed: int) -> dict[str, object]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(width), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    lines = (done.stdout or done.stderr).strip().splitlines()
    formula = lines[-1] if lines else ""
    return {
        "width": width,
        "seed": seed,
        "seconds": round(seconds, 2),
        "formula": formula,
        "found": formula == FORMULA,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    runs: list[dict[str, object]] = []
    for width in WIDTHS:
        for seed in SEEDS if not short else (0,):
            runs.append(run(width, seed))
            last = runs[-1]
            mark = "found" if last["found"] else "LOST"
            print(f"width {width} seed {seed}: {mark} {last['seconds']} s  {last['formula']}")
    seconds = [float(str(entry["seconds"])) for entry in runs]
    found = sum(bool(entry["found"]) for entry in runs)
    print(f"{found} of {len(runs)} found; median {statistics.median(seconds):.1f} s, ", end="")
    print(f"{min(seconds):.1f} to {max(seconds):.1f} s a run, imports included")
    if not short:
        print(record.write("article", {"found": found, "runs": runs}))


if __name__ == "__main__":
    main()
