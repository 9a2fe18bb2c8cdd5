"""Statistics of all edges of a layer, as pruning and penalties want them: dense and compiled.

The dense way forms rows x inputs x features numbers and multiplies them by themselves; it is what
runs where gradients are wanted.  Both are timed in turn, on one thread by its own time on the
processor.

    python benchmarks/edge_statistics.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import record
from knotwork import KAN
from knotwork.kernels import selection
from knotwork.statistics import network_statistics, traced_statistics

GRIDS = (5, 20, 100)
DTYPES = (torch.float32, torch.float64)
WIDTH, ROWS, REPEATS = (64, 64), 4096, 11


def milliseconds(work: Callable[[], Any]) -> float:
    began = time.thread_time()
    work()
    return 1e3 * (time.thread_time() - began)


@torch.no_grad()
def compare(grid: int, dtype: torch.dtype) -> dict[str, Any]:
    model = KAN(list(WIDTH), grid=grid, dtype=dtype, seed=0)
    source = torch.Generator().manual_seed(0)
    x = torch.rand(ROWS, WIDTH[0], generator=source, dtype=dtype) * 2 - 1
    ways = {"dense": traced_statistics, "compiled": network_statistics}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, way in ways.items():
            took = milliseconds(lambda way=way: way(model, x))
            # The first only warms up.
            if repeat:
                taken[name].append(took)
    result: dict[str, Any] = {"grid": grid, "dtype": str(dtype).removeprefix("torch.")}
    for name, times in taken.items():
        low, middle, high = statistics.quantiles(times, n=4)
        result[name] = {"median": round(middle, 2), "low": round(low, 2), "high": round(high, 2)}
    return result


def main() -> None:
    torch.set_num_threads(1)
    backend, why = selection.explain()
    print(f"backend {backend}: {why}; {WIDTH} x {ROWS} rows; medians and quartiles in ms")
    results = [compare(grid, dtype) for grid in GRIDS for dtype in DTYPES]
    for entry in results:
        figures = ", ".join(
            f"{name} {entry[name]['median']} ({entry[name]['low']} to {entry[name]['high']})"
            for name in ("dense", "compiled")
        )
        print(f"grid {entry['grid']:>3}  {entry['dtype']}  {figures}")
    setting = {"backend": backend, "width": WIDTH, "rows": ROWS, "repeats": REPEATS}
    print(record.write("edge_statistics", {**setting, "results": results}))


if __name__ == "__main__":
    main()
