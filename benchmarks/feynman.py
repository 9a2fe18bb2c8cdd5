"""Discovery on tables of known formulas: how many come back, how exactly, how fast.

Every search runs in a process of its own pool with one thread; --jobs says how many run at once,
so give as many as there are idle cores. The results are written after every case, and --resume
goes on where a run was stopped.

    python benchmarks/feynman.py                              # 40 equations, 60 s each
    python benchmarks/feynman.py --data laws --noise 0 0.01   # the development set, with noise
    python benchmarks/feynman.py --cases I.8.14 test_13 --budget 10
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

import cases
from cases import Case
from knotwork import discover

Row = dict[str, Any]
# What two rows of one file must share; a resumed run keeps only those.
SETTINGS = ("data", "budget", "jobs", "workers", "rows", "seed")


def run(case: Case, noise: float, options: dict[str, Any]) -> Row:
    """Search for one case and judge what was found."""
    torch.set_num_threads(1)
    seed = options["seed"]
    X, y = cases.training_rows(case, options["rows"], seed, noise)
    row: Row = {"id": case.id, "noise": noise, "truth": case.formula, "recovered": False}
    began = time.perf_counter()
    try:
        found = discover(
            X,
            y,
            names=case.names,
            budget=options["budget"],
            seed=seed,
            n_jobs=options["workers"],
            progress=False,
        )
    # A benchmark counts a crash as a loss and goes on; the row says what it was.
    except Exception as error:
        seconds = round(time.perf_counter() - began, 2)
        return row | {"seconds": seconds, "verdict": "error", "error": repr(error)}
    row["seconds"] = round(time.perf_counter() - began, 2)
    row["verdict"] = str(found.verdict)
    best = found.best
    if best is None:
        return row
    right, inside, beyond = cases.recovered(best.predict, case, seed)
    row |= {
        "recovered": right,
        "inside": cases.finite(inside),
        "beyond": cases.finite(beyond),
        "complexity": best.complexity,
        "formula": str(best.expression),
    }
    if noise > 0:
        row["near_truth"] = inside < cases.NEAR * noise
    return row


def line(row: Row) -> str:
    """Return a row of the printed table."""
    marks = "yes" if row["recovered"] else "NO"
    if row["noise"] > 0:
        marks = "near" if row.get("near_truth") else "FAR"
    formula = row.get("formula") or row.get("error", "")
    return (
        f"{row['id']:24s} {row['noise']:<6g} {marks:4s} {cases.shown(row.get('inside'))} "
        f"{cases.shown(row.get('beyond'))} {row['seconds']:7.1f} s {row.get('complexity', 0):4d}  "
        f"{row['verdict']:16s} {formula[:120]}"
    )


def summary(rows: list[Row]) -> list[Row]:
    """Return a line of figures for every noise."""
    lines: list[Row] = []
    for noise in sorted({row["noise"] for row in rows}):
        group = [row for row in rows if row["noise"] == noise]
        seconds = [row["seconds"] for row in group]
        entry: Row = {
            "noise": noise,
            "cases": len(group),
            "recovered": sum(row["recovered"] for row in group),
            "verdicts": dict(Counter(row["verdict"] for row in group)),
            # The rule allows no error, so a formula claimed from exact rows is right or wrong.
            "claimed_but_wrong": sum(
                row["verdict"] == "formula"
                and not (row["recovered"] if noise == 0 else row.get("near_truth", False))
                for row in group
            ),
            "median_seconds": statistics.median(seconds),
            "most_seconds": max(seconds),
        }
        if noise > 0:
            entry["near_truth"] = sum(row.get("near_truth", False) for row in group)
        lines.append(entry)
    return lines


def earlier(path: Path, options: dict[str, Any]) -> list[Row]:
    """Return the rows of an interrupted run."""
    if not path.exists():
        return []
    figures = json.loads(path.read_text(encoding="utf-8"))
    for name in SETTINGS:
        if figures["options"][name] != options[name]:
            raise SystemExit(
                f"{path.name} was measured with --{name} {figures['options'][name]}, not "
                f"{options[name]}: give the same option, another --out, or no --resume."
            )
    return figures["rows"]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=[], metavar="ID", help="all by default")
    parser.add_argument("--data", default="feynman", help="feynman, laws or the path of a table")
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0])
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a search")
    parser.add_argument("--jobs", type=int, default=2, help="searches at once")
    parser.add_argument("--workers", type=int, default=1, help="n_jobs of each search")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0, help="of the search and of the rows")
    parser.add_argument("--out", type=Path, default=cases.record.RESULTS / "feynman.json")
    parser.add_argument("--resume", action="store_true", help="keep the rows that --out has")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    options = {name: getattr(given, name) for name in SETTINGS}
    # A path may name a place on this machine; the results only name the table.
    options["data"] = Path(given.data).stem
    rows = earlier(given.out, options) if given.resume else []
    done = {(row["id"], row["noise"]) for row in rows}
    todo = [
        (case, noise)
        for noise in given.noise
        for case in cases.load(given.data, given.cases)
        if (case.id, noise) not in done
    ]
    pool = ProcessPoolExecutor(given.jobs, mp_context=multiprocessing.get_context("spawn"))
    tasks: list[Future[Row]] = [pool.submit(run, case, noise, options) for case, noise in todo]
    try:
        for task in as_completed(tasks):
            rows.append(task.result())
            print(line(rows[-1]), flush=True)
            cases.save(given.out, {"options": options, "summary": summary(rows), "rows": rows})
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    for entry in summary(rows):
        near = f", {entry['near_truth']} near the truth" if "near_truth" in entry else ""
        print(
            f"noise {entry['noise']:g}: {entry['recovered']} of {entry['cases']} recovered{near}; "
            f"{entry['claimed_but_wrong']} claimed but wrong; "
            f"median {entry['median_seconds']:.1f} s, most {entry['most_seconds']:.1f} s"
        )


if __name__ == "__main__":
    main()
