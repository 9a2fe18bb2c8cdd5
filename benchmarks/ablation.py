"""What each part of the search is worth: the same cases with one part left out at a time.

The last line is no part of the search but another one: a ladder of Kolmogorov-Arnold networks,
trained with a sparsity penalty, pruned and snapped in context (`KAN.auto_symbolic`), from small to
large until one is exact.

    python benchmarks/ablation.py                      # every third case of both tables, 20 s each
    python benchmarks/ablation.py --parts "varying coefficients" --every 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import cases
from cases import Case, Predict
from knotwork import KAN, discover
from knotwork.discovery import search

Row = dict[str, Any]
WHOLE, LADDER = "nothing", "all: a ladder of networks instead"


def nothing(*_: Any, **__: Any) -> None:
    return None


def none_found(*_: Any, **__: Any) -> tuple[Any, ...]:
    return ()


# What takes the place of functions that `knotwork.discovery.search` calls.
PARTS: dict[str, dict[str, Callable[..., Any]]] = {
    WHOLE: {},
    "additive models": {"additive_candidates": none_found},
    "sums of products": {"exact_sums": nothing, "near_sums": nothing, "rich_sums": nothing},
    "the test of spans": {"exact_sums": nothing},
    "scaling laws": {"scalings": nothing},
    "translations": {"translations": nothing},
    "sums of powers": {"pair_sums": nothing},
    "splits": {"splits": none_found},
    "varying coefficients": {"varying_candidates": none_found},
    "what a formula leaves": {"_explain_rest": nothing},
}


@contextmanager
def without(part: str) -> Iterator[None]:
    """Leave a part of the search out."""
    with patch.multiple(search, **PARTS[part]) if PARTS[part] else patch.dict({}):
        yield


def discovered(case: Case, part: str, budget: float, seed: int) -> Predict | None:
    X, y = cases.training_rows(case, 1_000, seed, 0.0)
    with without(part):
        found = discover(X, y, names=case.names, budget=budget, seed=seed, n_jobs=1, progress=False)
    return None if found.best is None else found.best.predict


def by_ladder(case: Case, budget: float, seed: int) -> Predict | None:
    """Train, prune and snap networks from small to large; return the best so far at the end."""
    X, y = cases.training_rows(case, 1_000, seed, 0.0)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)[:, None]
    count, spread = X.shape[1], float(y.std())
    hidden: list[list[Any]] = [[], [1], [2], [(1, 1)], [(2, 1)], [5], [2, 1], [(3, 2), 1]]
    best: tuple[float, KAN] | None = None
    began = time.perf_counter()
    for layers in hidden:
        if time.perf_counter() - began > budget:
            break
        model = KAN([count, *layers, 1], grid=5, seed=seed)
        model.fit((inputs, targets), lamb=3e-3, progress=False)
        model = model.prune()
        model.fit((inputs, targets), progress=False)
        model.auto_symbolic()
        with torch.no_grad():
            error = float((model(inputs) - targets).square().mean().sqrt()) / spread
        if best is None or error < best[0]:
            best = error, model
        if error < cases.INSIDE:
            break
    if best is None:
        return None
    chosen = best[1]

    def predict(rows: cases.Array) -> cases.Array:
        with torch.no_grad():
            return chosen(torch.from_numpy(rows))[:, 0].numpy()

    return predict


def run(case: Case, part: str, budget: float, seed: int) -> Row:
    """Try one case without one part."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    row: Row = {"id": case.id, "part": part, "recovered": False}
    try:
        if part == LADDER:
            predict = by_ladder(case, budget, seed)
        else:
            predict = discovered(case, part, budget, seed)
    # A benchmark counts a crash as a loss and goes on; the row says what it was.
    except Exception as error:
        return row | {"seconds": time.perf_counter() - began, "error": repr(error)}
    row["seconds"] = round(time.perf_counter() - began, 2)
    if predict is not None:
        row["recovered"] = cases.recovered(predict, case, seed)[0]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=[*PARTS, LADDER])
    parser.add_argument("--every", type=int, default=3, help="take every so many cases")
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=cases.record.RESULTS / "ablation.json")
    given = parser.parse_args()
    chosen = [*cases.load("feynman", [])[:: given.every], *cases.load("laws", [])[:: given.every]]
    options = {"every": given.every, "budget": given.budget, "jobs": given.jobs, "seed": given.seed}
    rows: list[Row] = []
    print(f"{'left out':36s} recovered of {len(chosen)}   median s   lost beside the whole")
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        for part in given.parts:
            tasks = [pool.submit(run, case, part, given.budget, given.seed) for case in chosen]
            group = [task.result() for task in tasks]
            rows += group
            whole = {row["id"] for row in rows if row["part"] == WHOLE and row["recovered"]}
            lost = [row["id"] for row in group if row["id"] in whole and not row["recovered"]]
            print(
                f"{part:36s} {sum(row['recovered'] for row in group):15d} "
                f"{statistics.median(row['seconds'] for row in group):10.1f}   {' '.join(lost)}",
                flush=True,
            )
            cases.save(given.out, {"options": options, "rows": rows})


if __name__ == "__main__":
    main()
