"""Forward and train steps of KAN layers over nn.Linear and SiLU of the same shape, in one run.

Every repeat times each network once, one after the other, so that whatever else the machine does
falls on all alike; a ratio is that of two times of the same repeat.  One thread is timed by its
own time on the processor, which leaves out when others had it.  With --two every repeat times each
network with one thread and with two, both by the clock.  A train step is forward and backward;
"inner step" also finds the gradient of the inputs, as layers inside a network do.

    python benchmarks/layers.py            # grids 5, 20 and 100, one thread
    python benchmarks/layers.py --short    # fewer repeats
    python benchmarks/layers.py --two      # [256, 256] alone, one thread and two (threads.json)
    python benchmarks/layers.py --peers    # with inkan, flashkan and pykan (pip install --no-deps)

TorchKAN 0.1.1 cannot be compared: what PyPI has of it holds no module.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

import record
from knotwork import KANLayer
from knotwork.kernels import selection

GRIDS = (5, 20, 100)
LINEAR = "Linear and SiLU"
CASES = (
    ((64, 64), 1024, torch.float32),
    ((256, 256), 1024, torch.float32),
    ((784, 64, 10), 256, torch.float32),
    ((2, 5, 1), 1000, torch.float64),
)
# pykan keeps a number for every row, edge and knot; more of them do not fit into memory.
PYKAN_LARGEST = 1024 * 64 * 64 * 20
Step = Callable[[], Any]


def linear(width: tuple[int, ...], dtype: torch.dtype) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(width):
        layers += [nn.Linear(inputs, outputs, dtype=dtype), nn.SiLU()]
    return nn.Sequential(*layers)


def kan(width: tuple[int, ...], dtype: torch.dtype, grid: int) -> nn.Module:
    layers = (KANLayer(*pair, grid=grid, dtype=dtype) for pair in itertools.pairwise(width))
    return nn.Sequential(*layers)


def steps(model: nn.Module, x: Tensor, grad: Tensor) -> dict[str, Step]:
    inner = x.clone().requires_grad_()

    def forward() -> None:
        with torch.no_grad():
            model(x)

    def train(rows: Tensor) -> None:
        model.zero_grad()
        rows.grad = None
        model(rows).backward(grad)

    return {"forward": forward, "step": lambda: train(x), "inner step": lambda: train(inner)}


def timed(step: Step, threads: int, clock: Callable[[], float]) -> float:
    torch.set_num_threads(threads)
    began = clock()
    step()
    return 1e3 * (clock() - began)


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 4), "low": round(low, 4), "high": round(high, 4)}


def peers(width: tuple[int, ...], rows: int, dtype: torch.dtype, grid: int) -> dict[str, nn.Module]:
    """Return the same network from every peer that is installed."""
    found: dict[str, nn.Module] = {}
    largest = max(inputs * outputs for inputs, outputs in itertools.pairwise(width))
    if find_spec("kan") is not None and rows * largest * grid <= PYKAN_LARGEST:
        options = {"grid": grid, "k": 3, "auto_save": False, "save_act": False}
        network = import_module("kan").KAN(width=list(width), symbolic_enabled=False, **options)
        found[f"pykan, grid {grid}"] = network.to(dtype)
    for name in ("inkan", "flashkan"):
        if find_spec(name) is not None:
            network = import_module(name).KANNetwork(list(width), grid_size=grid)
            found[f"{name}, grid {grid}"] = network.to(dtype)
    return found


def compare(
    width: tuple[int, ...],
    rows: int,
    dtype: torch.dtype,
    threads: Sequence[int],
    repeats: int,
    with_peers: bool,
    grids: Sequence[int] = GRIDS,
) -> list[dict[str, Any]]:
    clock = time.thread_time if max(threads) == 1 else time.perf_counter
    source = torch.Generator().manual_seed(0)
    x = torch.rand(rows, width[0], generator=source, dtype=dtype) * 2 - 1
    grad = torch.randn(rows, width[-1], generator=source, dtype=dtype)
    models = {LINEAR: linear(width, dtype)}
    for grid in grids:
        models[f"knotwork, grid {grid}"] = kan(width, dtype, grid)
        models |= peers(width, rows, dtype, grid) if with_peers else {}
    work = {name: steps(model, x, grad) for name, model in models.items()}
    results: list[dict[str, Any]] = []
    for kind in ("forward", "step", "inner step"):
        runs = list(itertools.product(models, threads))
        times: dict[tuple[str, int], list[float]] = {run: [] for run in runs}
        for repeat in range(repeats + 2):
            for name, count in runs:
                taken = timed(work[name][kind], count, clock)
                # The first two only warm up.
                if repeat > 1:
                    times[name, count].append(taken)
        for name, count in runs:
            found = {
                "width": list(width),
                "rows": rows,
                "dtype": str(dtype).removeprefix("torch."),
                "threads": count,
                "what": kind,
                "model": name,
                "milliseconds": spread(times[name, count]),
                "over_linear": spread(ratios(times[name, count], times[LINEAR, count])),
            }
            if count > 1:
                found["one_thread_over"] = spread(ratios(times[name, 1], times[name, count]))
            results.append(found)
    return results


def ratios(times: list[float], others: list[float]) -> list[float]:
    return [a / b for a, b in zip(times, others, strict=True)]


def show(results: list[dict[str, Any]]) -> None:
    for entry in results:
        took, ratio = entry["milliseconds"], entry["over_linear"]
        gain = entry.get("one_thread_over")
        print(
            f"{entry['width']!s:>14} x {entry['rows']:<5} {entry['dtype']}  {entry['threads']} "
            f"thread{'s' if entry['threads'] > 1 else ' '}  {entry['what']:<10}  "
            f"{entry['model']:<18}  {took['median']:8.3f} ms ({took['low']:.3f} to "
            f"{took['high']:.3f})  {ratio['median']:5.2f} ({ratio['low']:.2f} to "
            f"{ratio['high']:.2f})" + (f"  {gain['median']:.2f} times one" if gain else "")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--two", action="store_true")
    options = parser.parse_args()
    backend, why = selection.explain()
    print(f"backend {backend}: {why}; medians and quartiles; the last column is over Linear")
    results: list[dict[str, Any]] = []
    for width, rows, dtype in CASES[1:2] if options.two else CASES:
        repeats = 9 if options.short else options.repeats
        threads = [1, 2] if options.two else [1]
        found = compare(width, rows, dtype, threads, repeats, options.peers)
        show(found)
        results += found
    if not options.short:
        print(
            record.write(
                "threads" if options.two else "layers",
                {"backend": backend, "repeats": options.repeats, "results": results},
            )
        )


if __name__ == "__main__":
    main()
