"""Poisson's equation on a square, after section 3.4 of the KAN paper (arXiv 2404.19756).

The same equations for a KAN and a small perceptron, both by Levenberg-Marquardt, and for the
paper's perceptron of three hidden layers of 100 units by Adam and then L-BFGS, for as many seconds
of CPU as the KAN took, times `--patience`.  Errors are relative L2 errors on a grid of 101 x 101
points, boundary included, that no fit has seen.  One thread; imports and torch.func's first call
are outside the clock.

    python benchmarks/poisson.py                   # five seeds
    python benchmarks/poisson.py --seeds 0 --patience 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import record
from knotwork import KAN, MLP, Equation, derivatives, fit_equations

# Grid, steps, and points inside: finer grids need more of them.
STAGES = ((4, 15, 1000), (8, 20, 1500), (16, 10, 3000))
AXIS = torch.linspace(-1, 1, 101, dtype=torch.float64)
FINE = torch.cartesian_prod(AXIS, AXIS)
# The share of its seconds that the paper's perceptron spends with Adam before L-BFGS.
ADAM_SHARE = 0.3


def solution(x: Tensor) -> Tensor:
    return torch.sin(torch.pi * x).prod(dim=1, keepdim=True)


def poisson(u: nn.Module, x: Tensor) -> Tensor:
    return derivatives(u, x).laplacian + 2 * torch.pi**2 * solution(x)


def equations(seed: int, count: int = 1000) -> list[Equation]:
    random = torch.Generator().manual_seed(seed)
    inside = 2 * torch.rand(count, 2, generator=random, dtype=torch.float64) - 1
    side = torch.linspace(-1, 1, 64, dtype=torch.float64)
    ends = torch.cartesian_prod(side, side[[0, -1]])
    edge = torch.cat([ends, ends.flip(1)])
    return [Equation(poisson, inside, 0.01), Equation(lambda u, x: u(x), edge)]


@torch.no_grad()
def relative_error(u: nn.Module) -> float:
    return float((u(FINE) - solution(FINE)).norm() / solution(FINE).norm())


def kan(seed: int) -> nn.Module:
    model = KAN([2, (0, 6), 1], grid=4, k=5, residual=None, extrapolation="continue", seed=seed)
    for grid, steps, count in STAGES:
        model = model.refine(grid)
        fit_equations(model, equations(seed, count), steps=steps, progress=False)
    return model


def small_perceptron(seed: int) -> nn.Module:
    model = MLP([2, 20, 20, 1], activation="tanh", seed=seed)
    fit_equations(model, equations(seed), steps=100, progress=False)
    return model


def paper_perceptron(seed: int, seconds: float) -> nn.Module:
    """Train by Adam, then by L-BFGS, until the seconds of CPU are over."""
    model = MLP([2, 100, 100, 100, 1], activation="tanh", seed=seed)
    wanted = equations(seed)
    began = time.process_time()

    def left(share: float) -> bool:
        return time.process_time() - began < share * seconds

    def loss() -> Tensor:
        means = [e.weight * e.residual(model, e.points).square().mean() for e in wanted]
        return torch.stack(means).sum()

    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    while left(ADAM_SHARE):
        adam.zero_grad()
        loss().backward()
        adam.step()
    lbfgs = torch.optim.LBFGS(
        model.parameters(), max_iter=5, history_size=50, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        lbfgs.zero_grad()
        value = loss()
        value.backward()
        return value

    while left(1):
        lbfgs.step(closure)
    return model


def measure(name: str, seed: int, train: Callable[[], nn.Module]) -> dict[str, Any]:
    began = time.process_time()
    model = train()
    seconds = time.process_time() - began
    count = sum(p.numel() for p in model.parameters())
    error = relative_error(model)
    print(f"{name:34s} {seed:4d} {count:10d} {error:12.1e} {seconds:10.1f}", flush=True)
    return {
        "model": name,
        "seed": seed,
        "parameters": count,
        "relative_error": error,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--patience", nargs="+", type=float, default=[1.0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    fit_equations(MLP([2, 2, 1]), equations(0), steps=1, progress=False)
    fit_equations(KAN([2, 1], k=5), equations(0), steps=1, progress=False)
    print(f"{'model':34s} seed parameters  relative L2    seconds")
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        rows.append(measure("KAN, LM", seed, partial(kan, seed)))
        seconds = rows[-1]["seconds"]
        rows.append(measure("MLP, LM", seed, partial(small_perceptron, seed)))
        for times in given.patience:
            name = f"MLP of the paper, {times:g} x the time"
            rows.append(measure(name, seed, partial(paper_perceptron, seed, times * seconds)))
        record.write("poisson", {"stages": STAGES, "rows": rows})


if __name__ == "__main__":
    main()
