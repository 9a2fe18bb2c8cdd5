"""What is shown of a search while it lasts."""

from __future__ import annotations

import time
from types import TracebackType

from .._progress import progress_display
from .problem import Problem

__all__ = ["SearchProgress"]

# Writing the best formula takes time that the search could use.
_SECONDS_BETWEEN = 0.2
_LONGEST = 60


class SearchProgress:
    """Shows seconds spent and the best formula so far while a search lasts.

    Parameters
    ----------
    budget : float
        Seconds that the search may take.
    wanted : bool or None
        See `knotwork._progress.progress_display`.
    """

    def __init__(self, budget: float, wanted: bool | None) -> None:
        self._display = progress_display(wanted, name="searching", total=budget, unit="s")
        self._last = -_SECONDS_BETWEEN
        self._problem: Problem | None = None

    def __enter__(self) -> SearchProgress:
        self._display.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._problem is not None and error is None:
            self._show(self._problem)
        self._display.__exit__(kind, error, traceback)

    def __call__(self, problem: Problem) -> None:
        """Show how far the search has come."""
        self._problem = problem
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN:
            self._last = now
            self._show(problem)

    def _show(self, problem: Problem) -> None:
        if not self._display.shown or not problem.pool:
            return
        best = problem.ranked()[0]
        text = str(best.expression.evalf(4))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST - 1]}…"
        self._display.show(
            problem.clock.elapsed, f"{best.held_out:.2g} of the spread left by {text}"
        )
