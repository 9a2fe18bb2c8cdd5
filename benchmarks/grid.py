"""What the grid costs: train steps from grid 5 to 200, and the memory of one.

Time as in layers.py; memory is how far a process rises above what it holds in one forward and
backward pass of a layer of 256 inputs and outputs with 8,192 rows at grid 100, beside the size of
its input, output and parameters.

    python benchmarks/grid.py            # grids 5 to 200, one thread
    python benchmarks/grid.py --short    # fewer repeats
    python benchmarks/grid.py --peers    # with other libraries, if they are installed
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

import layers
import record
from knotwork.kernels import selection

GRIDS = (5, 10, 20, 50, 100, 200)
MEMORY = """
import json, pathlib
import torch
from knotwork import KANLayer

def memory(what):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) * 2**10

torch.set_num_threads(1)
small = KANLayer(8, 8, grid=5)
small(torch.rand(10, 8, requires_grad=True)).sum().backward()
layer = KANLayer(256, 256, grid=100)
x = torch.rand(8192, 256, requires_grad=True)
grad = torch.rand(8192, 256)
size = sum(p.numel() for p in layer.parameters()) + x.numel() + grad.numel()
# The peak so far is that of drawing the start; from here on it is counted anew (Linux).
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
layer(x).backward(grad)
print(json.dumps({"extra": memory("VmHWM") - before, "input_output_parameters": 4 * size}))
"""


def memory() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    return found | {"ratio": round(found["extra"] / found["input_output_parameters"], 2)}


def growth(results: list[dict[str, Any]]) -> dict[str, float]:
    """Return how much longer a step of knotwork takes at grid 100 than at grid 5."""
    took = {
        (tuple(entry["width"]), entry["what"], entry["model"]): entry["milliseconds"]["median"]
        for entry in results
    }
    return {
        f"{list(width)}, {what}": round(took[width, what, "knotwork, grid 100"] / value, 3)
        for (width, what, model), value in took.items()
        if model == "knotwork, grid 5"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--peers", action="store_true")
    given = parser.parse_args()
    backend, _ = selection.explain()
    results: list[dict[str, Any]] = []
    for width, rows, dtype in layers.CASES:
        repeats = 9 if given.short else given.repeats
        found = layers.compare(width, rows, dtype, [1], repeats, given.peers, GRIDS)
        layers.show(found)
        results += found
    grows, extra = growth(results), memory()
    for what, ratio in grows.items():
        print(f"{what}: grid 100 takes {ratio:.2f} times grid 5")
    print(
        f"[256, 256], 8192 rows, grid 100: a step takes {extra['extra'] / 2**20:.0f} MiB more, "
        f"{extra['ratio']:.2f} times input, output and parameters"
    )
    if not given.short:
        figures = {"backend": backend, "repeats": given.repeats, "growth": grows}
        print(record.write("grid", figures | {"memory": extra, "results": results}))


if __name__ == "__main__":
    main()
