"""A line of progress on a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

from .problem import Problem

__all__ = ["ProgressLine"]

_SECONDS_BETWEEN = 0.2
_LONGEST = 60


class ProgressLine:
    """Shows seconds spent and the best formula so far while a search lasts, then goes away.

    Nothing is shown where standard error is neither a terminal nor a notebook.

    Parameters
    ----------
    budget : float
        Seconds that the search may take.
    wanted : bool
        Whether to show anything at all.
    """

    def __init__(self, budget: float, wanted: bool = True) -> None:
        self._bar: Any = tqdm(
            total=budget,
            bar_format="{desc}|{bar:20}| {n:.0f} of {total:.0f} s{postfix}",
            desc="searching",
            disable=not wanted or not (sys.stderr.isatty() or _in_notebook()),
            leave=False,
            dynamic_ncols=True,
        )
        self._last = -_SECONDS_BETWEEN

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def __call__(self, problem: Problem) -> None:
        """Show how far the search has come."""
        now = time.monotonic()
        if self._bar.disable or now - self._last < _SECONDS_BETWEEN or not problem.pool:
            return
        self._last = now
        best = problem.ranked()[0]
        text = str(best.expression.evalf(4))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST - 1]}…"
        self._bar.n = min(problem.clock.elapsed, self._bar.total)
        self._bar.set_postfix_str(f"{best.held_out:.2g} of the spread left by {text}")


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
