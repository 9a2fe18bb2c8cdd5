"""Write docs/speed.md from what the benchmarks left in results/.

    python benchmarks/report.py

Every figure on that page comes from a file that a benchmark wrote; this only puts them in tables.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import record

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
Row = dict[str, Any]


def read(name: str) -> Row:
    return json.loads((record.RESULTS / f"{name}.json").read_text())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(value: float | None, form: str = ".2g") -> str:
    return "" if value is None or not math.isfinite(value) else format(value, form)


def layers(what: str) -> str:
    results = [row for row in read("layers")["results"] if row["what"] == what]
    shapes = list(dict.fromkeys((tuple(row["width"]), row["rows"]) for row in results))
    models = list(dict.fromkeys(row["model"] for row in results))

    def cell(shape: tuple[Any, int], model: str) -> str:
        for row in results:
            if (tuple(row["width"]), row["rows"], row["model"]) == (*shape, model):
                took, ratio = row["milliseconds"]["median"], row["over_linear"]["median"]
                return f"{took:.2f} ms ({ratio:.1f})"
        return ""

    head = ["", *(f"{list(width)}, {rows} rows" for width, rows in shapes)]
    return table(head, [[model, *(cell(shape, model) for shape in shapes)] for model in models])


def threads() -> str:
    rows = read("threads")["results"]
    gains = {
        row["model"]: f"{row['one_thread_over']['median']:.2f}"
        for row in rows
        if row["threads"] == 2 and row["what"] == "step"
    }
    linear = gains.pop("Linear and SiLU")
    found = [f"{gain} times at {model.removeprefix('knotwork, ')}" for model, gain in gains.items()]
    return f"{', '.join(found)} as fast as one, and one of `nn.Linear` and SiLU {linear} times"


def growth() -> str:
    grows = read("grid")["growth"]
    return table(
        ["", "grid 100 over grid 5"],
        [[what, f"{ratio:.2f}"] for what, ratio in grows.items() if "inner" not in what],
    )


def memory() -> str:
    found = read("grid")["memory"]
    return f"{found['extra'] / 2**20:.0f} MiB more, {found['ratio']:.2f} times"


def rows_table() -> str:
    return table(
        ["rows", "ten steps", "a step", "peak memory", "of which imports", "and data"],
        [
            [
                f"{row['rows']:,}",
                f"{row['seconds']:.2f} s",
                f"{row['step']:.3g} s",
                f"{row['peak_mib']:.0f} MiB",
                f"{row['imports_mib']:.0f}",
                f"{row['data_mib']:.0f}",
            ]
            for row in read("rows")["results"]
        ],
    )


def steps() -> str:
    return table(
        ["", "median", "quartiles"],
        [
            [name, f"{took['median']:.2f} ms", f"{took['low']:.2f} to {took['high']:.2f}"]
            for name, took in read("steps")["milliseconds"].items()
        ],
    )


def article() -> str:
    runs, ratios = read("article_peer")["runs"], read("article_peer")["ratios"]
    rows: list[list[str]] = []
    for name, entries in runs.items():
        seconds = [float(entry["cpu_without_imports"]) for entry in entries]
        ended = [took for took in seconds if math.isfinite(took)]
        found = sum(entry["found"] for entry in entries)
        middle = statistics.median(ratios[name]) if name in ratios else None
        rows.append(
            [
                name,
                f"{statistics.median(ended):.2f} s",
                f"{min(ended):.2f} to {max(ended):.2f}",
                f"{found} of {len(entries)}",
                str(len(seconds) - len(ended)),
                number(middle, ".0f"),
            ]
        )
    return table(["", "median", "from, to", "formula found", "crashed", "pykan takes, times"], rows)


def scaling() -> str:
    return table(
        ["function", "library", "best median error", "at grid", "seconds so far", "slope"],
        [
            [
                line["function"],
                line["library"],
                number(line["best"], ".1e"),
                str(line["grid"] or ""),
                number(line["seconds"], ".1f"),
                number(line["slope"], ".1f"),
            ]
            for line in read("scaling")["lines"]
        ],
    )


def limits() -> str:
    """Say the limits of all runs, those of one library together."""
    found: dict[str, set[float]] = {}
    for row in read("scaling")["rows"]:
        found.setdefault(row["library"], set()).add(row["limit"])
    return "; ".join(
        f"{library} {', '.join(f'{limit:g}' for limit in sorted(values))}"
        for library, values in found.items()
    )


def machine() -> str:
    found = read("layers")["machine"]
    return (
        f"{found['cores']} cores ({found['architecture']}), no GPU, Python {found['python']}, "
        f"torch {found['torch']}"
    )


def page() -> str:
    rows = read("rows")
    whole, step = rows["exponent"], rows["exponent_of_step"]
    return f"""# Speed, memory and accuracy, measured

<!-- Written by benchmarks/report.py from benchmarks/results/: change those, not this. -->

All figures are from one machine: {machine()};
one thread unless said, medians of repeats in which all contenders took turns. It is a shared
virtual machine, which other work slows down by up to a half: ratios mean more than milliseconds.

## A layer, forward and backward

In brackets: over `nn.Linear` and SiLU of the same shape. `benchmarks/layers.py --peers`, float32
([2, 5, 1]: float64).

{layers("step")}

Forward alone:

{layers("forward")}

A cubic layer has five times the products of `nn.Linear`, four spline weights and a residual weight
an edge, whatever the grid; the rest is the reading and writing of the weights themselves, which
grow with it. At 784 inputs and grid 100 these are 21 MB, and as much for their gradients.

{growth()}

Two threads take a step of [256, 256] {threads()}
(`benchmarks/layers.py --two`).

A train step of [256, 256] with 8,192 rows at grid 100 takes {memory()} the
size of input, output and parameters (`benchmarks/grid.py`).

## Levenberg-Marquardt

A step of [2, 5, 1], 1,000 rows, float64, by the compiled library and in plain torch
(`benchmarks/steps.py`):

{steps()}

[4, 5, 1] at grid 10, ten steps (`benchmarks/rows.py`). From 10,000 rows on the seconds grow as the
rows to the power {whole:.2f}, those of a step to the power {step:.2f}: choosing how smooth the
splines should be costs the same at any number of rows.

{rows_table()}

## The article's example from data to formula

The same script, width 5, five seeds, imports apart (`benchmarks/article.py --peer`): knotwork with
its default, Levenberg-Marquardt, and to the letter with L-BFGS. Seconds of CPU; the last column is
the median over the seeds with which pykan came to an end.

{article()}

## Accuracy for its cost

Five toy functions after arXiv 2404.19756, section 3.1, five seeds of data and start, networks
refined from grid to grid (`benchmarks/scaling.py`). Errors are root mean squares inside the range
of the training rows, at the grid with the best median; the slope is that of the error over the
grid down to the floor that was reached (theory: -4). A run ends with the grid at which it passes
its limit of CPU seconds: {limits()}. What it had reached by then counts. knotwork runs with its
defaults, pykan with 20 steps of L-BFGS a grid, each of up to 20 iterations. Perceptrons have two
hidden layers of 4 to 32 nodes and the same optimiser as knotwork. knotwork and pykan ran in one
run; the rows of perceptrons are of an earlier one, on the same machine.

{scaling()}

![Error over parameters and over seconds](../benchmarks/results/scaling.png)
"""


def main() -> None:
    PAGE.write_text(page())
    print(PAGE)


if __name__ == "__main__":
    main()
