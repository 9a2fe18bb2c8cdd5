"""``knotwork discover``: from a table to a front of formulas, a verdict and a report."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import sympy

from .. import discover as search
from .. import read_table
from .._interrupts import interruptible_once
from ..discovery import Discovery
from ..discovery.front import pareto
from ..discovery.problem import Candidate, Problem
from ..discovery.tape import with_constants
from ..discovery.verdict import FORMULA, NO_FORMULA
from ..symbolic.export import code, quoted
from .console import Watched, note, say, tell_table, watched
from .files import check_folder, write_picture, write_text
from .options import check_options, counted, listed, read_units, some, strangers
from .report import HALF, html_report, outlier_hint

_STATE = "search.json"
_SECONDS_BETWEEN = 0.3
_SHOWN = 8
_ENDINGS = {
    "numpy": ".py",
    "torch": "_torch.py",
    "c": ".c",
    "julia": ".jl",
    "json": ".json",
    "latex": ".tex",
}
_NETWORK, _SCALING = "model.safetensors", "model.json"


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Column to explain.")
@click.option("--inputs", help="Columns that may explain it, as A,B; by default all others.")
@click.option(
    "--weights", metavar="COLUMN", help="How much each row counts, as 1/sigma^2 of its target."
)
@click.option("--budget", type=float, default=60.0, show_default=True, help="Seconds to search.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--jobs", type=int, help="Worker processes; by default one.")
@click.option("--lib", help="Functions that formulas may contain, as sin,exp,log.")
@click.option("--max-complexity", type=int, help="The most complex formula to consider.")
@click.option("--robust", is_flag=True, help="Let single outliers count less.")
@click.option("--integers", is_flag=True, help="Round constants to whole numbers only.")
@click.option(
    "--units",
    multiple=True,
    metavar="COLUMN=UNIT",
    help="Unit of an input or of the target, as v=m/s; once for each column.",
)
@click.option("--require", help="Inputs that must matter in every formula, as A,B.")
@click.option("--forbid", help="Inputs that must not occur, as A,B.")
@click.option(
    "--symmetry",
    multiple=True,
    help="What formulas must obey: 'even in A', 'odd in A' or 'symmetric in A, B'; repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the report, formulas as code and JSON, and the state of the search.",
)
@click.option("--resume", is_flag=True, help="Go on with the search in the folder of --out.")
def discover(
    data: Path,
    target: str,
    inputs: str | None,
    weights: str | None,
    budget: float,
    seed: int,
    jobs: int | None,
    lib: str | None,
    max_complexity: int | None,
    robust: bool,
    integers: bool,
    units: tuple[str, ...],
    require: str | None,
    forbid: str | None,
    symmetry: tuple[str, ...],
    out: Path | None,
    resume: bool,
) -> None:
    """Search for the formula behind a table: DATA is a .csv, .tsv or .parquet file.

    Ctrl-C ends the search with the best formulas so far.

    Example: knotwork discover rows.csv --target y --out result
    """
    if resume and out is None:
        raise click.UsageError("--resume needs --out, the folder of the search to go on with.")
    if resume and out is not None and not (out / _STATE).is_file():
        raise ValueError(
            f"there is no search to go on with in {out} (no {_STATE}): leave out --resume to "
            "start one."
        )
    if weights == target:
        raise click.UsageError(f"--weights and --target are the same column, {target!r}.")
    if weights in (listed(inputs) or ()):
        raise click.UsageError(f"--weights and --inputs both name the column {weights!r}.")
    check_options(budget, jobs, listed(lib), max_complexity)
    dimensions = read_units(units)
    foreign = strangers(dimensions)
    target_units = dimensions.pop(target, None)
    if out is not None:
        check_folder(out)
    columns = [target] if weights is None else [target, weights]
    table = read_table(data, target=columns, inputs=listed(inputs))
    if len(table) > 1 and np.ptp(table.y[:, 0]) == 0:
        raise ValueError(f"{data.name}: column {target!r} is constant: nothing is to be explained.")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    rows = counted(len(table), "row")
    weighted = "" if weights is None else f", weighted by {weights}"
    say(f"{data.name}: {rows}, {target} from {some(table.input_names)}{weighted}\n")
    if foreign:
        note(
            f"{', '.join(map(repr, foreign))}: no unit that is known here, so taken for a base "
            "unit of its own."
        )
    with interruptible_once() as interrupts:
        with _shown(target) as watch:
            found = search(
                table.X,
                table.y[:, 0],
                weights=None if weights is None else table.y[:, 1],
                names=table.input_names,
                budget=budget,
                seed=seed,
                n_jobs=jobs,
                library=listed(lib),
                max_complexity=max_complexity,
                robust=robust,
                integers=integers,
                units=dimensions,
                target_units=target_units,
                required=listed(require),
                forbidden=listed(forbid),
                symmetries=symmetry,
                progress=watch,
                state=None if out is None else out / _STATE,
                resume=resume,
            )
        # The result is not to be lost by one Ctrl-C more.
        interrupts.deaf = True
        _tell(found, target, robust)
        if out is not None:
            _save(out, found, target, data.name, robust)


@contextmanager
def _shown(target: str) -> Generator[Watched, None, None]:
    """Show the front on a terminal while it grows."""
    last = [0.0]
    with watched() as update:

        def watch(problem: Problem) -> None:
            now = time.monotonic()
            if now - last[0] >= _SECONDS_BETWEEN:
                last[0] = now
                rows = [_live(candidate, target) for candidate in pareto(problem.pool)[-_SHOWN:]]
                update(["complexity", "error", "formula"], rows, f"{problem.clock.elapsed:.0f} s")

        yield watch


def _live(candidate: Candidate, target: str) -> list[str]:
    """Return a row of the table that is shown while a search lasts, numbers to six digits."""
    fit = candidate.fit
    names = [symbol.name for symbol in fit.variables]
    written: Any = with_constants(
        fit.expression, [sympy.Float(f"{value:.6g}") for value in fit.constants.tolist()]
    )
    plain = written.xreplace({symbol: sympy.Symbol(symbol.name) for symbol in fit.variables})
    text = f"{quoted(target)} = {code(plain, names, 'text')}"
    return [f"{candidate.complexity}", f"{candidate.held_out:.3g}", _cut(text)]


def _cut(text: str, longest: int = 100) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _tell(found: Discovery, target: str, robust: bool) -> None:
    rows: list[Sequence[str]] = [
        [
            "*" if record["chosen"] else "",
            f"{record['complexity']}",
            f"{record['rmse']:.3g}",
            f"{record['r2']:.6f}",
            f"{record['beyond']:.0%}",
            _cut(record["formula"]),
        ]
        for record in found.records()
    ]
    tell_table(["", "complexity", "held-out RMSE", "held-out R^2", "beyond", "formula"], rows)
    say(f"\n{found.verdict}: {' '.join(found.verdict.reasons)}", "bold")
    if found.verdict == FORMULA:
        say(f"{quoted(target)} = {found.best}", "bold green", whole=True)
        for constant in found.best.constants:
            say(f"  {constant}")
    elif found.verdict == NO_FORMULA:
        say(f"the best approximation: {found.best}", whole=True)
    if found.verdict != FORMULA:
        say(f"the best network's held-out error: {found.network_error:.3g} of the spread")
    if found.rivals and found.verdict == FORMULA:
        say("\nthe rows do not tell it from")
        for rival in found.rivals:
            say(f"  {quoted(target)} = {rival}", whole=True)
    say(f"{found.elapsed:.1f} s; {found.note}.")
    if not robust and found.largest_errors > HALF:
        note(outlier_hint(found))
    if not found.complete:
        note("the search had not come to its end; more time may find more (--budget, --resume).")


def _save(out: Path, found: Discovery, target: str, source: str, robust: bool) -> None:
    names = ["report.html", _STATE]
    out.mkdir(parents=True, exist_ok=True)
    write_text(html_report(found, target, source, robust=robust), out / "report.html")
    # What describes the data and no more must not be taken for the law.
    stem = "formula" if found.verdict == FORMULA else "approximation"
    other = "approximation" if stem == "formula" else "formula"
    for language, ending in _ENDINGS.items():
        (out / f"{other}{ending}").unlink(missing_ok=True)
        write_text(found.best.code(language).rstrip("\n"), out / f"{stem}{ending}")
        names.append(f"{stem}{ending}")
    write_picture(found.plot(), out / "front.png")
    names.append("front.png")
    if found.verdict != FORMULA:
        found.network.save(out / _NETWORK)
        write_text(json.dumps(found.network_scaling, indent=1), out / _SCALING)
        names += [_NETWORK, _SCALING]
    else:
        for name in (_NETWORK, _SCALING):
            (out / name).unlink(missing_ok=True)
    say(f"\n{out}: {', '.join(names)}")
