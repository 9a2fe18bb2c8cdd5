"""``knotwork fit``: from a table to a network and, if asked for, a formula."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import sympy
import torch

from .. import KAN, Dataset, History, Samples, read_table
from ..functions import resolve
from ..plotting import plot_history
from ..symbolic.export import quoted
from .console import busy, note, say, tell_table
from .files import check_folder, write_picture, write_text
from .options import counted

# Before pruning and snapping; smoothness keeps splines tame where a column has no values.
_SPARSE = {"lamb": 1e-2, "smoothness": 1e-6}
# Where width or grid are not given: training rows to have for every parameter.
_ROWS_PER_PARAMETER = 5
_FINEST_GRID = 10
# A formula whose R^2 is lower by more than this deserves a remark.
_CLEARLY_LESS = 0.01
_DIGITS = 6


class Width(click.ParamType[list[int]]):
    """Hidden nodes of each layer, as 5 or 4,2; 0 for no hidden layer."""

    name = "nodes"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[int]:
        """Read the numbers."""
        try:
            nodes = [int(part) for part in value.split(",")]
        except ValueError:
            nodes = [-1]
        if nodes == [0]:
            return []
        if min(nodes) < 1:
            self.fail(f"{value!r} must be numbers of nodes such as 5 or 4,2, or 0 for none.")
        return nodes


@dataclass(frozen=True)
class Stage:
    """A network as it was at some point, with how good it was."""

    name: str
    edges: int
    grid: int
    train: tuple[float, float]
    test: tuple[float, float] | None
    seconds: float


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Column to predict.")
@click.option("--inputs", help="Columns to learn from, as A,B; by default all others.")
@click.option(
    "--width",
    type=Width(),
    help="Hidden nodes, as 5 or 4,2; 0 for a plain sum of functions.  By default up to 5, as "
    "many as there are rows for.",
)
@click.option(
    "--grid",
    type=int,
    help="Intervals of the splines; by default up to 5, and up to 10 once pruned.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--test-fraction",
    type=float,
    default=0.2,
    show_default=True,
    help="Share of the rows kept aside to test on.",
)
@click.option(
    "--symbolic", is_flag=True, help="Prune, put a function on every edge, and print the formula."
)
@click.option("--lib", help="Functions to choose from, as x,x^2,exp.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for model.safetensors, pictures and formula; files of the same name are replaced.",
)
def fit(
    data: Path,
    target: str,
    inputs: str | None,
    width: list[int] | None,
    grid: int | None,
    seed: int,
    test_fraction: float,
    symbolic: bool,
    lib: str | None,
    out: Path | None,
) -> None:
    """Fit a network to a table: DATA is a .csv, .tsv or .parquet file.

    Example: knotwork fit rows.csv --target y --symbolic --out result
    """
    if lib is not None and not symbolic:
        raise click.UsageError("--lib names functions for --symbolic: add that, or leave it out.")
    functions = resolve(_listed(lib))
    if out is not None:
        check_folder(out)
    table = read_table(data, target=target, inputs=_listed(inputs))
    dataset = table.dataset(test_fraction, seed)
    model = _network(len(table.input_names), len(dataset.train), width, grid, seed)
    _introduce(data, dataset, model)

    clock = _Clock(dataset)
    with busy("training"):
        histories = [model.fit(dataset, progress=False, **_SPARSE if symbolic else {})]
    stages = [clock.stage("splines", model)]
    if symbolic:
        model = model.prune()
        if grid is None:
            model = _refined(model, len(dataset.train))
        with busy("training the pruned network"):
            histories.append(model.fit(dataset, progress=False))
        stages.append(clock.stage("pruned", model))
        with busy("looking for functions"):
            model.auto_symbolic(functions)
        stages.append(clock.stage("functions", model))
    _tell_stages(stages)
    _tell_importance(model)
    formula = None
    if symbolic:
        formula = model.symbolic_formula()[0][0]
        say(f"\n{_equation(target, _short(formula))}", "bold green", whole=True)
        _doubt(stages)
    if out is not None:
        _save(out, model, histories, target, formula)


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",")]


def _network(inputs: int, rows: int, width: list[int] | None, grid: int | None, seed: int) -> KAN:
    """Return a network; what is not given is as large as the number of rows allows."""
    hidden = [[5], [4], [3], [2], [1], []] if width is None else [width]
    grids, coarse = ([5, 4, 3], [2, 1]) if grid is None else ([grid], [])
    sizes = [(nodes, intervals) for nodes in hidden for intervals in grids]
    smallest = [(hidden[-1], intervals) for intervals in (*grids, *coarse)]
    for candidates, share in ((sizes + smallest, _ROWS_PER_PARAMETER), (smallest, 1)):
        for nodes, intervals in candidates:
            model = KAN([inputs, *nodes, 1], grid=intervals, seed=seed)
            if model.parameter_count() * share <= rows:
                return model
    return KAN([inputs, *smallest[-1][0], 1], grid=smallest[-1][1], seed=seed)


def _refined(model: KAN, rows: int) -> KAN:
    """Return a pruned network on as fine a grid as the rows allow."""
    for grid in range(_FINEST_GRID, model.grid, -1):
        finer = model.refine(grid)
        if finer.parameter_count() * _ROWS_PER_PARAMETER <= rows:
            return finer
    return model


def _introduce(data: Path, dataset: Dataset, model: KAN) -> None:
    tested = f", {len(dataset.test)} to test on" if dataset.test else ""
    names = dataset.input_names or ()
    rows = counted(len(dataset.train), "row")
    say(f"{data.name}: {rows} to fit{tested}, inputs {', '.join(names)}")
    say(f"network {model.width}, grid {model.grid}: {model.parameter_count()} parameters\n")


class _Clock:
    """Judges a network on the rows, and tells how long it took since the last time."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._start = time.perf_counter()

    def stage(self, name: str, model: KAN) -> Stage:
        """Return how good the network is now."""
        seconds = time.perf_counter() - self._start
        test = None if self._dataset.test is None else scores(model, self._dataset.test)
        train = scores(model, self._dataset.train)
        self._start = time.perf_counter()
        return Stage(name, model.edge_count(), model.grid, train, test, seconds)


@torch.no_grad()
def scores(model: KAN, samples: Samples) -> tuple[float, float]:
    """Return RMSE and R^2 over rows; R^2 is nan where all targets are the same."""
    squares = (model(samples.inputs) - samples.targets).square().mean()
    spread = samples.targets.var(correction=0)
    return float(squares.sqrt()), float(1 - squares / spread) if spread > 0 else float("nan")


def _tell_stages(stages: Sequence[Stage]) -> None:
    """Print a column for every stage, which leaves the table narrow."""
    rows = [[name, *(f"{getattr(stage, name)}" for stage in stages)] for name in ("edges", "grid")]
    for part in ("train", "test"):
        judged = [score for stage in stages if (score := getattr(stage, part))]
        if judged:
            rows.append([f"{part} RMSE", *(f"{rmse:.4g}" for rmse, _ in judged)])
            rows.append([f"{part} R^2", *(f"{r2:.5f}" for _, r2 in judged)])
    rows.append(["seconds", *(f"{stage.seconds:.1f}" for stage in stages)])
    tell_table(["", *(stage.name for stage in stages)], rows)


def _tell_importance(model: KAN) -> None:
    """Print what the inputs matter, the most important one first."""
    names = model.input_names or [f"x_{index + 1}" for index in range(model.input_count)]
    scores = model.attribute().inputs
    ranked = scores.argsort(descending=True, stable=True).tolist()
    say()
    tell_table(["input", "importance"], [[names[i], f"{float(scores[i]):.3f}"] for i in ranked])


def _short(formula: sympy.Expr) -> sympy.Basic:
    """Return the formula with constants of a few digits, to be read."""
    return formula.xreplace({number: number.n(_DIGITS) for number in formula.atoms(sympy.Float)})


def _equation(target: str, formula: sympy.Basic) -> str:
    names = {symbol: sympy.Symbol(quoted(str(symbol))) for symbol in formula.free_symbols}
    return f"{quoted(target)} = {formula.xreplace(names)}"


def _doubt(stages: Sequence[Stage]) -> None:
    """Remark on a formula that explains clearly less than the splines did."""
    before, after = ((stage.test or stage.train)[1] for stage in stages[-2:])
    if after < before - _CLEARLY_LESS:
        note(
            f"the formula explains less than the splines, R^2 {after:.3f} instead of {before:.3f}: "
            "try other functions (--lib), another --width or --seed."
        )


def _save(
    out: Path, model: KAN, histories: list[History], target: str, formula: sympy.Expr | None
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "model.safetensors")
    network = model.plot()
    write_picture(network, out / "network.png")
    write_picture(network, out / "network.svg")
    write_picture(plot_history(histories), out / "history.png")
    names = ["model.safetensors", "network.png", "network.svg", "history.png"]
    if formula is not None:
        write_text(_equation(target, formula), out / "formula.txt")
        latex = sympy.latex(sympy.Eq(sympy.Symbol(target), formula, evaluate=False))
        write_text(latex, out / "formula.tex")
        names += ["formula.txt", "formula.tex"]
    elif (out / "formula.txt").exists():
        note(f"{out / 'formula.txt'} is from an earlier run.")
    say(f"\n{out}: {', '.join(names)}")
