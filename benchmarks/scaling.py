"""Accuracy for its cost on five toy functions: knotwork, pykan and multilayer perceptrons.

The functions, shapes and the refinement from grid to grid are those of arXiv 2404.19756, section
3.1; theory predicts a slope of -4 for cubic splines (section 2.3). Every library has the same rows
and seeds; rows inside the range of the training data and just outside it are reported apart. pykan
runs as its users run it, 20 L-BFGS steps a grid (each of up to 20 iterations), with and without its
grid update; knotwork with its defaults, up to 50 Levenberg-Marquardt steps a grid; perceptrons
with two hidden layers by the same optimiser as knotwork. Every run is a process of its own with one
thread; seconds are of its CPU. A run ends with the grid at which it passes --limit seconds; what it
reached by then counts, and every row says its limit. Rows are kept in results/scaling.partial.jsonl
until all are there, and a run that was stopped goes on.

    python benchmarks/scaling.py                  # five seeds, both libraries, hours of one core
    python benchmarks/scaling.py --short          # knotwork alone, one seed, grids to 50
    python benchmarks/scaling.py --functions exp product --libraries knotwork mlp
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import record

Row = dict[str, Any]
GRIDS = (3, 5, 10, 20, 50, 100, 200)
HIDDEN = (4, 8, 16, 32)
LIBRARIES = ("knotwork", "pykan, grid update", "pykan, grid fixed", "mlp")
PYKAN_STEPS = 20
TEST_ROWS = 5_000


def bessel(x: Tensor) -> Tensor:
    return torch.special.bessel_j0(20 * x)


def exponential(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)


def product(x: Tensor) -> Tensor:
    return x[:, [0]] * x[:, [1]]


def mean_of_sines(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(torch.pi * x / 2).square().mean(dim=1, keepdim=True))


def nested(x: Tensor) -> Tensor:
    first = torch.sin(torch.pi * (x[:, [0]] ** 2 + x[:, [1]] ** 2))
    second = torch.sin(torch.pi * (x[:, [2]] ** 2 + x[:, [3]] ** 2))
    return torch.exp((first + second) / 2)


@dataclass(frozen=True)
class Toy:
    """A function with the shape that represents it, and how many rows and grids it gets."""

    function: Callable[[Tensor], Tensor]
    width: tuple[int, ...]
    rows: int = 1_000
    grids: tuple[int, ...] = GRIDS


TOYS = {
    "bessel": Toy(bessel, (1, 1)),
    "exp": Toy(exponential, (2, 1, 1)),
    "product": Toy(product, (2, 2, 1)),
    # A hundred inputs have a hundred times the parameters: finer grids would outnumber the rows.
    "100 inputs": Toy(mean_of_sines, (100, 1, 1), 3_000, (3, 5, 10, 20)),
    "nested": Toy(nested, (4, 4, 2, 1), 3_000),
}


def dataset(toy: Toy, seed: int) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(seed)
    shape = (toy.rows + TEST_ROWS, toy.width[0])
    x = torch.rand(shape, generator=source, dtype=torch.float64) * 2 - 1
    y = toy.function(x)
    return {
        "train_input": x[: toy.rows],
        "train_label": y[: toy.rows],
        "test_input": x[toy.rows :],
        "test_label": y[toy.rows :],
    }


def judged(data: dict[str, Tensor], predict: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Return root mean squared errors: on the training rows, and inside and outside their range."""
    rows = data["test_input"]
    low, high = data["train_input"].amin(dim=0), data["train_input"].amax(dim=0)
    inside = ((rows >= low) & (rows <= high)).all(dim=1)
    with torch.no_grad():
        errors = (predict(rows) - data["test_label"])[:, 0]
        train = (predict(data["train_input"]) - data["train_label"])[:, 0]

    def size(values: Tensor) -> float | None:
        value = float(values.square().mean().sqrt()) if len(values) else math.nan
        return value if math.isfinite(value) else None

    return {
        "train": size(train),
        "inside": size(errors[inside]),
        "outside": size(errors[~inside]),
        "outside_rows": int((~inside).sum()),
    }


def by_knotwork(
    toy: Toy, data: dict[str, Tensor], seed: int, grids: Iterable[int], limit: float
) -> list[Row]:
    from knotwork import KAN

    model, found = KAN(toy.width, grid=min(grids), seed=seed), list[Row]()
    began = time.process_time()
    for grid in grids:
        model = model if grid == model.grid else model.refine(grid)
        model.fit(data, progress=False)
        seconds = time.process_time() - began
        found.append(
            {"grid": grid, "parameters": model.parameter_count(), "seconds": round(seconds, 3)}
            | judged(data, model)
        )
        if seconds > limit:
            break
    return found


def by_pykan(
    toy: Toy,
    data: dict[str, Tensor],
    seed: int,
    grids: Iterable[int],
    limit: float,
    update: bool,
) -> list[Row]:
    torch.set_default_dtype(torch.float64)
    found: list[Row] = []
    # It writes checkpoints and prints wherever it stands.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        os.chdir(folder)
        import kan

        model = kan.KAN(
            width=list(toy.width), grid=min(grids), k=3, seed=seed, auto_save=False, device="cpu"
        )
        began = time.process_time()
        for grid in grids:
            if grid != model.grid:
                model = model.refine(grid)
                model.auto_save = False
            with contextlib.redirect_stderr(io.StringIO()):
                model.fit(data, opt="LBFGS", steps=PYKAN_STEPS, update_grid=update, log=PYKAN_STEPS)
            seconds = time.process_time() - began
            splines = sum(layer.in_dim * layer.out_dim * (grid + 4) for layer in model.act_fun)
            found.append(
                {"grid": grid, "parameters": splines, "seconds": round(seconds, 3)}
                | judged(data, model)
            )
            if seconds > limit:
                break
        os.chdir("/")
    return found


def by_perceptron(toy: Toy, data: dict[str, Tensor], seed: int, limit: float) -> list[Row]:
    from knotwork.mlp import MLP

    found: list[Row] = []
    centre, spread = data["train_label"].mean(), data["train_label"].std()
    scaled = {name: (value - centre) / spread for name, value in data.items() if "label" in name}
    for hidden in HIDDEN:
        model = MLP([toy.width[0], hidden, hidden, 1], activation="tanh", seed=seed)
        began = time.process_time()
        model.fit(data | scaled, steps=200, progress=False)
        seconds = time.process_time() - began
        found.append(
            {
                "hidden": hidden,
                "parameters": sum(p.numel() for p in model.parameters()),
                "seconds": round(seconds, 3),
            }
            | judged(data, lambda rows, model=model: model(rows) * spread + centre)
        )
        if seconds > limit:
            break
    return found


def run(name: str, library: str, seed: int, most: int, limit: float) -> list[Row]:
    """Train one library on one draw of one function, from coarse to fine."""
    torch.set_num_threads(1)
    toy = TOYS[name]
    data, grids = dataset(toy, seed), [grid for grid in toy.grids if grid <= most]
    label = {"function": name, "library": library, "seed": seed, "limit": limit}
    try:
        if library == "knotwork":
            found = by_knotwork(toy, data, seed, grids, limit)
        elif library == "mlp":
            found = by_perceptron(toy, data, seed, limit)
        else:
            found = by_pykan(toy, data, seed, grids, limit, library.endswith("update"))
    # A benchmark counts a crash as a loss and goes on; the row says what it was.
    except Exception as error:
        return [label | {"error": repr(error)}]
    return [label | row for row in found]


def median(rows: Iterable[Row], key: str) -> float:
    """Return the median; what was not finite counts as infinite."""
    values = [math.inf if row.get(key) is None else float(row[key]) for row in rows]
    return statistics.median(values) if values else math.inf


def summary(rows: list[Row], name: str, library: str) -> list[Row]:
    """Return medians over seeds for every size of network."""
    mine = [r for r in rows if r["function"] == name and r["library"] == library]
    sizes = sorted({r["parameters"] for r in mine if "parameters" in r})
    found: list[Row] = []
    for size in sizes:
        group = [r for r in mine if r.get("parameters") == size]
        grid = {"grid": group[0]["grid"]} if "grid" in group[0] else {}
        middle = {key: median(group, key) for key in ("train", "inside", "seconds")}
        outside = [r for r in group if r["outside_rows"]]
        found.append(
            {"parameters": size, "seeds": len(group), **grid, **middle}
            | {"outside": median(outside, "outside")}
        )
    return found


def slope(medians: list[Row]) -> float:
    """Return the exponent of the error in the grid, fitted down to the floor that was reached."""
    floor = 5 * min((row["inside"] for row in medians), default=math.nan)
    falling = [row for row in medians if row["inside"] > floor and "grid" in row]
    return record.exponent([row["grid"] for row in falling], [row["inside"] for row in falling])


def show(rows: list[Row]) -> list[Row]:
    """Print the medians and return one line for each function and library."""
    lines: list[Row] = []
    for name in dict.fromkeys(row["function"] for row in rows):
        for library in dict.fromkeys(row["library"] for row in rows):
            medians = summary(rows, name, library)
            if not medians:
                continue
            print(f"\n{name}, {library}: medians over seeds")
            print("   grid  params     train    inside   outside  seconds")
            for row in medians:
                print(
                    f"  {row.get('grid', ''):>5}  {row['parameters']:6d}  {row['train']:8.1e}  "
                    f"{row['inside']:8.1e}  {row['outside']:8.1e}  {row['seconds']:7.2f}"
                )
            best = min(medians, key=lambda row: row["inside"])
            lines.append(
                {
                    "function": name,
                    "library": library,
                    "best": best["inside"],
                    "grid": best.get("grid"),
                    "seconds": best["seconds"],
                    "total_seconds": medians[-1]["seconds"],
                    "slope": slope(medians),
                }
            )
    print("\nfunction     library               best inside  at grid  seconds  all grids   slope")
    for line in lines:
        print(
            f"{line['function']:<12} {line['library']:<20} {line['best']:12.1e}  "
            f"{line['grid'] or '':>7}  {line['seconds']:7.2f}  {line['total_seconds']:9.2f}  "
            f"{line['slope']:6.2f}"
        )
    return lines


def draw(rows: list[Row], path: Path) -> None:
    """Draw the error against parameters and against time, a panel a function."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullFormatter

    names = list(dict.fromkeys(row["function"] for row in rows))
    figure, axes = pyplot.subplots(
        2, len(names), figsize=(3.2 * len(names), 6), squeeze=False, sharey="col"
    )
    for column, name in enumerate(names):
        for library in dict.fromkeys(row["library"] for row in rows):
            medians = [r for r in summary(rows, name, library) if math.isfinite(r["inside"])]
            for axis, key in zip(axes[:, column], ("parameters", "seconds"), strict=True):
                x, y = [r[key] for r in medians], [r["inside"] for r in medians]
                axis.loglog(x, y, marker="o", markersize=3, label=library)
                axis.set_xlabel({"parameters": "parameters", "seconds": "seconds so far"}[key])
                # Within one decade these would lie on one another.
                axis.xaxis.set_minor_formatter(NullFormatter())
        axes[0, column].set_title(name)
        axes[0, column].grid(alpha=0.3)
        axes[1, column].grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("RMSE inside the training range")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--functions", nargs="+", choices=list(TOYS), default=list(TOYS))
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=300.0)
    given = parser.parse_args()
    libraries, seeds, most = given.libraries, given.seeds, max(GRIDS)
    if given.short:
        libraries, seeds, most = ["knotwork"], 1, 50
    tasks = [
        (name, library, seed, most, given.limit)
        for name in given.functions
        for library in libraries
        for seed in range(seeds)
    ]
    kept = record.RESULTS / "scaling.partial.jsonl"
    rows: list[Row] = []
    if kept.exists() and not given.short:
        rows = [json.loads(line) for line in kept.read_text().splitlines()]
    there = {(row["function"], row["library"], row["seed"]) for row in rows}
    missing = [task for task in tasks if task[:3] not in there]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, mp_context=context, max_tasks_per_child=1) as pool:
        waiting = [pool.submit(run, *task) for task in missing]
        for done, future in enumerate(as_completed(waiting), start=1):
            rows += (found := future.result())
            if not given.short:
                with kept.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in found)
            print(f"{done} of {len(missing)}", end="\r", flush=True)
    order = {task[:3]: place for place, task in enumerate(tasks)}
    rows = [row for row in rows if (row["function"], row["library"], row["seed"]) in order]
    rows.sort(key=lambda row: order[row["function"], row["library"], row["seed"]])
    for row in rows:
        if "error" in row:
            print(f"{row['function']}, {row['library']}, seed {row['seed']}: {row['error']}")
    lines = show(rows)
    if not given.short:
        record.RESULTS.mkdir(exist_ok=True)
        draw(rows, record.RESULTS / "scaling.png")
        figures = {
            "pykan_steps": PYKAN_STEPS,
            "jobs": given.jobs,
            "lines": lines,
            "rows": rows,
        }
        print(record.write("scaling", figures))
        kept.unlink()


if __name__ == "__main__":
    main()
