"""Accuracy against grid: Levenberg-Marquardt on exp(sin(pi x1) + x2^2), width [2, 1, 1].

Rows inside the range of the training data and just outside it are reported apart; theory predicts
a slope of -4 for cubic splines (arXiv 2404.19756, section 2.3).

    python benchmarks/scaling.py            # grids to 200, three draws of data
    python benchmarks/scaling.py --short    # grids to 50, one draw
"""

from __future__ import annotations

import argparse
import math
import time

import torch

import record
from knotwork import KAN, create_dataset

GRIDS = (5, 10, 20, 50, 100, 200)


def target(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2)


def rmse(errors: torch.Tensor) -> float:
    return float(errors.square().mean().sqrt()) if len(errors) else math.nan


def refined(draw: int, grids: tuple[int, ...]) -> list[dict[str, float]]:
    data = create_dataset(target, n_var=2, train_num=1000, test_num=5000, seed=draw)
    rows, truth = data["test_input"], data["test_label"]
    low, high = data["train_input"].amin(dim=0), data["train_input"].amax(dim=0)
    inside = ((rows >= low) & (rows <= high)).all(dim=1)
    model, results = KAN([2, 1, 1], grid=grids[0], seed=draw), []
    for grid in grids:
        began = time.perf_counter()
        model = model if grid == model.grid else model.refine(grid)
        history = model.fit(data, steps=60)
        with torch.no_grad():
            errors = (model(rows) - truth)[:, 0]
        results.append(
            {
                "grid": grid,
                "parameters": model.parameter_count(),
                "train": history.train_loss[history.steps.index(history.best_step)],
                "inside": rmse(errors[inside]),
                "outside": rmse(errors[~inside]),
                "outside_rows": int((~inside).sum()),
                "seconds": round(time.perf_counter() - began, 2),
            }
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    draws = {}
    for draw in range(1 if short else 3):
        draws[draw] = refined(draw, GRIDS[:4] if short else GRIDS)
        previous = None
        print(f"draw {draw}\n  grid  params     train    inside   outside (rows)   slope  seconds")
        for entry in draws[draw]:
            slope = math.nan
            if previous is not None:
                rise = math.log(entry["inside"] / previous["inside"])
                slope = rise / math.log(entry["grid"] / previous["grid"])
            previous = entry
            print(
                f"  {entry['grid']:4d}  {entry['parameters']:6d}  {entry['train']:8.1e}  "
                f"{entry['inside']:8.1e}  {entry['outside']:8.1e} ({entry['outside_rows']:3d})  "
                f"{slope:6.2f}  {entry['seconds']:7.2f}"
            )
    if not short:
        print(record.write("scaling", {"draws": draws}))


if __name__ == "__main__":
    main()
