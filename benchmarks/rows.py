"""Time and peak memory of Levenberg-Marquardt over the number of rows: [4, 5, 1], grid 10.

Every count is a process of its own; seconds are of its CPU, and by the clock beside them. The
fitted exponents are those from 10^4 rows on, of the seconds of the whole fit and of the median
step: choosing how smooth the splines should be costs the same at any number of rows. Peak memory is
the process's, imports included.

    python benchmarks/rows.py            # 10^3 to 10^7 rows
    python benchmarks/rows.py --short    # to 10^5
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

import record

STEPS = 10
SCRIPT = """
import json, resource, statistics, sys, time
import torch
from knotwork import KAN

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

rows, threads, steps = map(int, sys.argv[1:4])
torch.set_num_threads(threads)
KAN([4, 2, 1]).fit((torch.rand(50, 4).double(), torch.rand(50, 1).double()), steps=1)
imported = peak()
source = torch.Generator().manual_seed(0)
x = torch.rand(rows, 4, generator=source, dtype=torch.float64)
y = torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2) * x[:, [2]] + x[:, [3]]
model = KAN([4, 5, 1], grid=10)
began, clock = time.process_time(), time.perf_counter()
history = model.fit((x, y), steps=steps, starts=1, progress=False)
seconds, elapsed = time.process_time() - began, time.perf_counter() - clock
pairs = zip(history.seconds[:-1], history.seconds[1:])
step = statistics.median(after - before for before, after in pairs)
data = (x.numel() + y.numel()) * 8 / 2**20
print(json.dumps({"rows": rows, "seconds": seconds, "elapsed": elapsed, "step": step,
                  "peak_mib": peak(), "imports_mib": imported,
                  "data_mib": data, "loss": history.train_loss[-1]}))
"""


def run(rows: int, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-c", SCRIPT, str(rows), str(threads), str(STEPS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    for power in range(3, 6 if given.short else 8):
        results.append(run(10**power, given.threads))
        last = results[-1]
        print(
            f"{last['rows']:>10} rows: {last['seconds']:8.2f} s for {STEPS} steps, peak "
            f"{last['peak_mib']:6.0f} MiB (imports {last['imports_mib']:.0f}, data "
            f"{last['data_mib']:.0f})",
            flush=True,
        )
    large = [entry for entry in results if entry["rows"] >= 10_000]
    rows = [entry["rows"] for entry in large]
    slope = record.exponent(rows, [entry["seconds"] for entry in large])
    of_step = record.exponent(rows, [entry["step"] for entry in large])
    print(f"seconds grow as rows to the power {slope:.3f}, those of a step {of_step:.3f}")
    if not given.short:
        figures = {"steps": STEPS, "threads": given.threads, "exponent": slope}
        figures |= {"exponent_of_step": of_step, "results": results}
        print(record.write("rows", figures))


if __name__ == "__main__":
    main()
