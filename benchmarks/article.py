"""The article's script over hidden widths and seeds: how often the formula comes out, how fast.

Every run is a process of its own, so that its time is what a user waits: imports included; the
script's own time, imports apart, is given beside it. The peer, pykan, runs the same script in
turns, at width 5 as in the article.

    python benchmarks/article.py            # 25 runs
    python benchmarks/article.py --short    # one run a width
    python benchmarks/article.py --peer     # beside pykan, if it is installed: 5 runs of each
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

PEER_WIDTH = 5
SCRIPT = """
import sys, time
import torch
from knotwork import KAN, create_dataset
width, seed = int(sys.argv[1]), int(sys.argv[2])
began = time.perf_counter()
dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2), n_var=2
)
model = KAN(width=[2, width, 1], grid=5, k=3, seed=seed)
model.train(dataset, opt="LBFGS", steps=20, lamb=0.01, lamb_entropy=10.0)
model = model.prune()
model.train(dataset, opt="LBFGS", steps=50)
model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
model.train(dataset, opt="LBFGS", steps=50)
formula = model.symbolic_formula()[0][0]
print(time.perf_counter() - began)
print(formula)
"""
PEER_SCRIPT = """
import os, sys, tempfile, time
os.chdir(tempfile.mkdtemp())
import torch
from kan import KAN, create_dataset, ex_round
width, seed = int(sys.argv[1]), int(sys.argv[2])
began = time.perf_counter()
dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2), n_var=2
)
model = KAN(width=[2, width, 1], grid=5, k=3, seed=seed)
model.fit(dataset, opt="LBFGS", steps=20, lamb=0.01, lamb_entropy=10.0)
model.plot()
model = model.prune()
model.fit(dataset, opt="LBFGS", steps=50)
model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
model.fit(dataset, opt="LBFGS", steps=50)
formula = ex_round(model.symbolic_formula()[0][0], 4)
print(time.perf_counter() - began)
print(formula)
"""
# The canonical printing of the right formula, constants exact.
FORMULA = "exp(x_2**2 + sin(pi*x_1))"


def run(width: int, seed: int, script: str = SCRIPT) -> dict[str, object]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, str(width), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    lines = (done.stdout or done.stderr).strip().splitlines()
    formula = lines[-1] if lines else ""
    own = float(lines[-2]) if done.returncode == 0 else seconds
    return {
        "width": width,
        "seed": seed,
        "seconds": round(seconds, 2),
        "without_imports": round(own, 3),
        "formula": formula,
        "found": formula == FORMULA,
    }


def beside_peer() -> None:
    """Run both libraries in turns and print the ratio of their times."""
    runs: dict[str, list[dict[str, object]]] = {"knotwork": [], "pykan": []}
    for seed in SEEDS:
        for name, script in (("knotwork", SCRIPT), ("pykan", PEER_SCRIPT)):
            runs[name].append(run(PEER_WIDTH, seed, script))
            last = runs[name][-1]
            print(f"{name} seed {seed}: {last['without_imports']} s  {last['formula']}", flush=True)
    pairs = zip(runs["pykan"], runs["knotwork"], strict=True)
    ratios = [
        float(str(peer["without_imports"])) / float(str(own["without_imports"]))
        for peer, own in pairs
    ]
    print(f"pykan takes {statistics.median(ratios):.0f} times as long (median), ", end="")
    print(f"{min(ratios):.0f} to {max(ratios):.0f}, imports apart")
    print(record.write("article_peer", {"ratios": ratios, "runs": runs}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--peer", action="store_true")
    given = parser.parse_args()
    if given.peer:
        beside_peer()
        return
    short = given.short
    runs: list[dict[str, object]] = []
    for width in WIDTHS:
        for seed in SEEDS if not short else (0,):
            runs.append(run(width, seed))
            last = runs[-1]
            mark = "found" if last["found"] else "LOST"
            print(f"width {width} seed {seed}: {mark} {last['seconds']} s  {last['formula']}")
    seconds = [float(str(entry["seconds"])) for entry in runs]
    own = [float(str(entry["without_imports"])) for entry in runs]
    found = sum(bool(entry["found"]) for entry in runs)
    print(f"{found} of {len(runs)} found; median {statistics.median(seconds):.1f} s, ", end="")
    print(f"{min(seconds):.1f} to {max(seconds):.1f} s a run, imports included; ", end="")
    print(f"median {statistics.median(own):.2f} s without")
    if not short:
        print(record.write("article", {"found": found, "runs": runs}))


if __name__ == "__main__":
    main()
