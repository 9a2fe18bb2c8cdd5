"""``knotwork demo``: the introductory example, from random rows to the formula behind them."""

from __future__ import annotations

import time
from pathlib import Path

import click
import sympy
import torch
from matplotlib.figure import Figure
from torch import Tensor

from .. import KAN, History, create_dataset
from ..plotting import plot_basis, plot_edge, plot_history, plot_interpolation
from .console import busy, say
from .files import check_folder, write_picture

FUNCTIONS = ("x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs")
_SPARSITY = 3e-3


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pictures.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--width",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Hidden nodes to start with.",
)
def demo(out: Path | None, seed: int, width: int) -> None:
    """Find exp(sin(pi*x_1) + x_2^2) from 1,000 rows of numbers."""
    if out is not None:
        check_folder(out)
    data = create_dataset(target, n_var=2)
    say("From numbers to a formula: 1000 rows of exp(sin(pi*x_1) + x_2^2).\n", "bold")

    model = KAN([2, width, 1], grid=5, k=3, seed=seed)
    stages = _Stages(data)
    with busy("training"):
        trained = model.fit(data, lamb=_SPARSITY, progress=False)
    stages.tell("train", model, f"{model.width}, {model.edge_count()} splines, sparse")
    before_pruning = model.copy()

    model = model.prune()
    stages.tell("prune", model, f"{model.width}, {model.edge_count()} splines left")
    with busy("training"):
        pruned = model.fit(data, progress=False)
    stages.tell("train", model, "again, without the penalty")
    splines = model.copy()

    with busy("looking for functions"):
        report = model.auto_symbolic(FUNCTIONS)
    stages.tell("snap", model, ", ".join(report.functions.values()))

    formula, symbols = model.symbolic_formula()
    say(f"\n{formula[0]}", "bold green", whole=True)
    if _is_target(formula[0], symbols):
        say("\nThis is exactly the function behind the rows.")
    else:
        say("\nThis is not the function behind the rows: try another --seed or --width.")

    if out is not None:
        say(f"\nPictures in {out}:")
        for name, figure in _pictures(before_pruning, splines, model, [trained, pruned]).items():
            write_picture(figure, out / name)
            say(f"  {name}")


def target(x: Tensor) -> Tensor:
    """Return the introductory example's function of two inputs, shape (rows, 1)."""
    return torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2)


class _Stages:
    """Lines that say what was done, how good the network is now, and how long it took."""

    def __init__(self, data: dict[str, Tensor]) -> None:
        self._inputs, self._labels = data["test_input"], data["test_label"]
        self._start = time.perf_counter()

    def tell(self, stage: str, model: KAN, what: str) -> None:
        """Print a line about the stage that ends now."""
        seconds = time.perf_counter() - self._start
        with torch.no_grad():
            error = float((model(self._inputs) - self._labels).square().mean().sqrt())
        say(f"{stage:<6} {seconds:5.2f} s   test RMSE {error:<8.2g}  {what}")
        self._start = time.perf_counter()


def _is_target(formula: sympy.Expr, symbols: list[sympy.Symbol]) -> bool:
    first, second = symbols
    return sympy.simplify(formula - sympy.exp(sympy.sin(sympy.pi * first) + second**2)) == 0


def _pictures(
    trained: KAN, pruned: KAN, symbolic: KAN, histories: list[History]
) -> dict[str, Figure]:
    strongest = int(pruned.attribute().edges[0][0].argmax())
    return {
        "1-trained.png": trained.plot(),
        "2-pruned.png": pruned.plot(),
        "3-symbolic.png": symbolic.plot(),
        "4-one-edge.png": plot_edge(pruned[0, 0, strongest]),
        "5-training.png": plot_history(histories),
        "6-why-splines.png": plot_interpolation(),
        "7-b-splines.png": plot_basis(),
    }
