"""The article's script over hidden widths and seeds: how often the formula comes out, how fast.

Every run is a process of its own, so that its time is what a user waits: imports included; the
script's own time, imports apart, is given beside it.

The peer, pykan, runs the same script in turns, at width 5 as in the article; knotwork runs it
twice, with opt="LBFGS" to the letter and with its default, Levenberg-Marquardt. All have one thread
there, and what is compared are seconds of its CPU, imports apart.

    python benchmarks/article.py            # 25 runs
    python benchmarks/article.py --short    # one run a width
    python benchmarks/article.py --peer     # beside pykan, if it is installed: 5 runs of each
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import sympy

import record
from knotwork.symbolic.reading import parse

WIDTHS = (2, 3, 5, 6, 8)
SEEDS = range(5)

PEER_WIDTH = 5
SCRIPT = """
import sys, time
import torch
from knotwork import KAN, create_dataset
width, seed, opt = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
began = time.perf_counter(), time.process_time()
dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2), n_var=2
)
model = KAN(width=[2, width, 1], grid=5, k=3, seed=seed)
model.train(dataset, opt=opt, steps=20, lamb=0.01, lamb_entropy=10.0)
model = model.prune()
model.train(dataset, opt=opt, steps=50)
model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
model.train(dataset, opt=opt, steps=50)
formula = model.symbolic_formula()[0][0]
print(time.perf_counter() - began[0], time.process_time() - began[1])
print(formula)
"""
PEER_SCRIPT = """
import os, sys, tempfile, time
os.chdir(tempfile.mkdtemp())
import torch
from kan import KAN, create_dataset, ex_round
width, seed = int(sys.argv[1]), int(sys.argv[2])
began = time.perf_counter(), time.process_time()
dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2), n_var=2
)
model = KAN(width=[2, width, 1], grid=5, k=3, seed=seed)
model.fit(dataset, opt="LBFGS", steps=20, lamb=0.01, lamb_entropy=10.0)
model = model.prune()
model.fit(dataset, opt="LBFGS", steps=50)
model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
model.fit(dataset, opt="LBFGS", steps=50)
formula = ex_round(model.symbolic_formula()[0][0], 4)
print(time.perf_counter() - began[0], time.process_time() - began[1])
print(formula)
"""
# The canonical printing of the right formula, constants exact.
FORMULA = "exp(x_2**2 + sin(pi*x_1))"


def run(
    width: int, seed: int, opt: str = "LBFGS", script: str = SCRIPT, threads: int | None = None
) -> dict[str, object]:
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, str(width), str(seed), opt],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    seconds = time.perf_counter() - began
    lines = (done.stdout or done.stderr).strip().splitlines()
    formula = lines[-1] if lines else ""
    own, cpu = map(float, lines[-2].split()) if done.returncode == 0 else (seconds, math.inf)
    return {
        "width": width,
        "seed": seed,
        "seconds": round(seconds, 2),
        "without_imports": round(own, 3),
        "cpu_without_imports": round(cpu, 3),
        "formula": formula,
        "found": formula == FORMULA,
    }


def is_right(formula: str) -> bool:
    """Tell whether a formula with rounded constants is the right one, to a hundredth."""
    names = ["x_1", "x_2"]
    points = np.random.default_rng(0).uniform(-1, 1, (2, 200))
    try:
        values = sympy.lambdify(names, parse(formula, names))(*points)
        expected = np.exp(np.sin(np.pi * points[0]) + points[1] ** 2)
        return bool(np.abs(values - expected).max() < 0.01)
    except ValueError:
        return False


def beside_peer(short: bool) -> None:
    """Run both libraries in turns and print the ratios of their times.

    A run that crashed has none, and counts as one that lost the formula.
    """
    contenders = {
        "knotwork": (SCRIPT, "LM"),
        "knotwork, L-BFGS": (SCRIPT, "LBFGS"),
        "pykan": (PEER_SCRIPT, "LBFGS"),
    }
    runs: dict[str, list[dict[str, object]]] = {name: [] for name in contenders}
    for seed in SEEDS if not short else (1,):
        for name, (script, opt) in contenders.items():
            runs[name].append(run(PEER_WIDTH, seed, opt, script, threads=1))
            last = runs[name][-1]
            last["found"] = last["found"] or is_right(str(last["formula"]))
            cpu = last["cpu_without_imports"]
            print(f"{name}, seed {seed}: {cpu} s  {last['formula']}", flush=True)

    def cpu(name: str) -> list[float]:
        return [float(str(entry["cpu_without_imports"])) for entry in runs[name]]

    ratios: dict[str, list[float]] = {}
    for name in ("knotwork", "knotwork, L-BFGS"):
        pairs = zip(cpu("pykan"), cpu(name), strict=True)
        ratios[name] = [peer / own for peer, own in pairs if math.isfinite(peer)]
        print(
            f"pykan takes {statistics.median(ratios[name]):.0f} times as long as {name} (median), "
            f"{min(ratios[name]):.0f} to {max(ratios[name]):.0f}"
        )
    if not short:
        print(record.write("article_peer", {"ratios": ratios, "runs": runs}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--peer", action="store_true")
    given = parser.parse_args()
    if given.peer:
        beside_peer(given.short)
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
