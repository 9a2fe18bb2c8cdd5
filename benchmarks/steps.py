"""One step of Levenberg-Marquardt, and one forward and backward pass, of a small network.

The network is a scientist's, [2, 5, 1] at grid 5 with 1,000 rows in float64, on one thread. Steps
are taken from where eight of them have led, each from there anew, with the compiled library and in
plain torch in turns: every repeat times fifty in a row of each, as a fit takes them. Times are
medians of the thread's own time on the processor.

    python benchmarks/steps.py            # 12 repeats
    python benchmarks/steps.py --short    # 2
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import record
from knotwork import KAN, kernels
from knotwork.data import Samples
from knotwork.training.batches import TensorBatches
from knotwork.training.least_squares import NetworkLeastSquares
from knotwork.training.levenberg_marquardt import LevenbergMarquardt

ROWS = 1_000
START_STEPS = 8
IN_A_ROW = 50


def taken(work: Callable[[], object], before: Callable[[], object]) -> list[float]:
    times: list[float] = []
    for _ in range(IN_A_ROW):
        before()
        began = time.thread_time()
        work()
        times.append(1e3 * (time.thread_time() - began))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    source = torch.Generator().manual_seed(0)
    x = torch.rand(ROWS, 2, generator=source, dtype=torch.float64) * 2 - 1
    y = torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)
    model = KAN([2, 5, 1], grid=5, seed=0)
    model.fit((x, y), steps=START_STEPS, starts=1, progress=False)
    problem = NetworkLeastSquares(model, TensorBatches(Samples(x, y)), float(y.var()))
    solver = LevenbergMarquardt(problem, problem.data_diagonal)
    start, damping = problem.read(), solver.damping

    def passes() -> None:
        model(x).backward(y)

    def back() -> None:
        problem.write(start)
        solver.damping = damping

    times: dict[str, list[float]] = {}
    for repeat in range(3 if given.short else 13):
        for backend in ("auto", "reference"):
            with kernels.use(backend):
                found = {
                    "step": taken(solver.step, back),
                    "forward and backward": taken(passes, model.zero_grad),
                }
            # The first only warms up.
            for what, values in found.items() if repeat else ():
                times.setdefault(f"{what}, {backend}", []).extend(values)
    results: dict[str, dict[str, float]] = {}
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{name:<32} {middle:7.3f} ms ({low:.3f} to {high:.3f})")
        results[name] = {"median": round(middle, 4), "low": round(low, 4), "high": round(high, 4)}
    if not given.short:
        print(record.write("steps", {"milliseconds": results}))


if __name__ == "__main__":
    main()
