"""What a search found: a front of formulas, a verdict, and the best network."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._tables import Table, page_part
from ..network import KAN
from .formula import Formula
from .rows import Prepared
from .verdict import Verdict
from .weighted import by_roots, spread_of

__all__ = ["Discovery", "front_table"]

Array = NDArray[np.float64]

# The rows whose share of the squared error is told, and errors that are only rounding.
_LARGEST_ERRORS = 0.02
_ROUNDING_ERROR = 1e-9
_ABOUT_BEYOND = (
    "<em>Beyond</em>: the share of points with finite values, half the data's range further out."
)
_FRONT = ("complexity", "held-out RMSE", "held-out R²", "beyond", "formula")
# Of the picture of what the choice does out of range.
_POINTS = 801
_MOST_CURVES = 4


@dataclass(frozen=True)
class Discovery:
    """What a search found.

    Attributes
    ----------
    best : Formula
        The default choice: least description length. The mean of the target, a constant, if no
        formula is worth its length or there is no signal; never None.
    front : list of Formula
        Simplest first; each is more accurate than all before it.
    rivals : list of Formula
        Formulas of another form than the default choice that describe the rows as well: its odds
        against each are under twenty to one. What they say alike is sure, where they differ more
        rows or rows from elsewhere must decide.
    verdict : Verdict
        "formula", "no formula found" or "no signal"; a string with `reasons`.
    network : KAN
        The best network met on the way, in standardised columns.
    network_scaling : dict
        How it is used: with n its output for the columns ``inputs``, less ``centre`` and divided by
        ``scale``, m = ``offset`` + ``reach`` n is the target where ``kind`` is "plain"; else the
        target is ``unit`` exp(m) ("logarithm") or ``unit`` sinh(m) ("stretched").
    network_error : float
        Its error on held-out rows, relative to the target's standard deviation; both are
        weighted where the search had weights.
    elapsed : float
        Seconds.
    complete : bool
        Whether the search came to its end, by itself rather than by the budget or the user.
    note : str
        How it ended.
    """

    best: Formula
    front: list[Formula]
    rivals: list[Formula]
    verdict: Verdict
    network: KAN
    network_scaling: dict[str, Any]
    network_error: float
    names: tuple[str, ...]
    elapsed: float
    complete: bool
    note: str
    data: Prepared = field(repr=False)

    def table(self) -> Any:
        """Return the front as a pandas DataFrame, a row for each formula.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame(self.records())

    def records(self) -> list[dict[str, Any]]:
        """Return the front as plain records, one for each formula.

        ``beyond`` is the share of points with finite values in a box half as wide again as the
        data, to either side: what a formula does out of range is no more than its form promises.
        """
        return [
            {
                "chosen": formula is self.best,
                "complexity": formula.complexity,
                "rmse": formula.rmse,
                "r2": formula.r2,
                "beyond": self._finite_beyond(formula),
                "formula": str(formula),
                "constants": ", ".join(str(constant) for constant in formula.constants),
            }
            for formula in self.front
        ]

    @cached_property
    def largest_errors(self) -> float:
        """The share of the squared error that the 2 % of rows with the largest errors hold.

        Errors of the default choice, over all rows, each times its weight; 0 for fewer than 50
        rows and for errors of rounding size. Well above a half, single rows may be wrong: see
        `robust` of `discover`.
        """
        scaling, rows = self.data.scaling, self.data.every
        X, y, weights = rows
        with np.errstate(all="ignore"):
            rest = self.best.predict(X * scaling.inputs) / scaling.target - y
        squares = by_roots(rest, weights) ** 2
        squares = np.sort(np.nan_to_num(squares, nan=0.0, posinf=0.0))[::-1]
        few, whole = int(_LARGEST_ERRORS * len(y)), float(squares.sum())
        if few == 0 or whole <= rows.weight * (_ROUNDING_ERROR * spread_of(y, weights)) ** 2:
            return 0.0
        return float(squares[:few].sum()) / whole

    def network_rows(self, most: int = 1_000) -> Array:
        """Return rows as the network takes them, shape (rows, its inputs)."""
        columns = [self.names.index(name) for name in self.network_scaling["inputs"]]
        X = self.data.X[:most, columns] * self.data.scaling.inputs[columns]
        centre = np.array(self.network_scaling["centre"])
        return (X - centre) / np.array(self.network_scaling["scale"])

    def _finite_beyond(self, formula: Formula) -> float:
        X = self.data.X
        low, high = X.min(0), X.max(0)
        rng = np.random.default_rng(0)
        points = rng.uniform(
            low - 0.5 * (high - low), high + 0.5 * (high - low), (1000, X.shape[1])
        )
        return float(np.isfinite(formula.predict(points * self.data.scaling.inputs)).mean())

    def curves(self) -> list[Any]:
        """Return the choice and its rivals along each input that matters, four at the most.

        Each from half the data's range below to half of it above the data, the other inputs at
        their medians; extreme columns divided by their power of ten.
        """
        return list(self._curves)

    @cached_property
    def _curves(self) -> tuple[Any, ...]:
        # The command line draws and describes them several times.
        from ..plotting.curves import Curve

        X, y, _ = self.data.every
        scaling = self.data.scaling
        used = {str(symbol) for symbol in self.best.expression.free_symbols}
        found: list[tuple[float, Curve]] = []
        for k, name in enumerate(self.names):
            if name not in used:
                continue
            low, high = float(X[:, k].min()), float(X[:, k].max())
            reach = 0.5 * (high - low)
            grid = np.linspace(low - reach, high + reach, _POINTS)
            rows = np.tile(np.median(X, axis=0), (_POINTS, 1))
            rows[:, k] = grid
            values, *rivals = (
                formula.predict(rows * scaling.inputs) / scaling.target
                for formula in (self.best, *self.rivals)
            )
            within = values[(grid >= low) & (grid <= high) & np.isfinite(values)]
            matters = float(np.ptp(within)) if len(within) else np.inf
            unit = float(scaling.inputs[k])
            label = name if unit == 1.0 else f"{name} / {unit:g}"
            ends = float(y.min()), float(y.max())
            found.append((matters, Curve(label, grid, values, tuple(rivals), low, high, ends)))
        found.sort(key=lambda pair: -pair[0])
        return tuple(curve for _, curve in found[:_MOST_CURVES])

    def beyond(self) -> str:
        """Say where the choice is undefined or explodes along its inputs; nothing if nowhere."""
        from ..plotting.curves import what_happens

        found = what_happens(self.curves())
        return (
            f"With the other inputs at their medians, the chosen formula is {'; '.join(found)}."
            if found
            else ""
        )

    def plot(self) -> Any:
        """Return a Matplotlib figure of the front, of predictions, and of the choice out of range.

        The choice is drawn along its inputs, within the data's range and half of it beyond.
        """
        from ..plotting.front import plot_front

        scaling = self.data.scaling
        held = self.data.held
        spread = spread_of(held.y, held.weights) * scaling.target or 1.0
        return plot_front(
            [formula.complexity for formula in self.front],
            [formula.rmse / spread for formula in self.front],
            [formula.train_rmse / spread for formula in self.front],
            str(self.best),
            next(k for k, formula in enumerate(self.front) if formula is self.best),
            held.y * scaling.target,
            self.best.predict(held.X * scaling.inputs),
            self.curves(),
        )

    def _repr_html_(self) -> str:
        reasons = escape(" ".join(self.verdict.reasons))
        rivals = ", ".join(f"<code>{escape(str(formula))}</code>" for formula in self.rivals)
        return page_part(
            f"<p><strong>{escape(self.verdict)}</strong>: {reasons}</p>",
            front_table(self).html(),
            f"<p>The rows do not tell the choice from {rivals}.</p>" if rivals else "",
            f"<p>{self.elapsed:.1f} s; {escape(self.note)}. {_ABOUT_BEYOND}</p>",
        )

    def __str__(self) -> str:
        lines = [f"{self.verdict}: {' '.join(self.verdict.reasons)}"]
        for formula in self.front:
            mark = ">" if formula is self.best else " "
            lines.append(f"{mark} {formula.complexity:4d}  {formula.rmse:9.3g}  {formula}")
        if self.rivals:
            lines.append("the rows do not tell the choice from")
            lines += [f"  {f.complexity:4d}  {f.rmse:9.3g}  {f}" for f in self.rivals]
        return "\n".join(lines)


def front_table(found: Discovery) -> Table:
    """Return what the records of a front say of how good each formula is, to be shown."""
    records = found.records()
    rows = [
        (
            str(record["complexity"]),
            f"{record['rmse']:.3g}",
            f"{record['r2']:.6f}",
            f"{record['beyond']:.0%}",
            record["formula"],
        )
        for record in records
    ]
    chosen = next((row for row, record in enumerate(records) if record["chosen"]), None)
    return Table(_FRONT, rows, code=(4,), marked=chosen)
