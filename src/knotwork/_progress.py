"""How far long work has come, on standard error or in a notebook, for those who ask.

There is a bar on a terminal, which goes away when the work is done; one in the output of a
notebook's cell, made of plain HTML, so that no widgets have to be installed; and everywhere else,
as in the log of a job, a plain line every few seconds and one at the end.
"""

from __future__ import annotations

import math
import sys
import time
from abc import ABC, abstractmethod
from html import escape
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from ._tables import page_part

__all__ = ["ProgressDisplay", "progress_display"]

# Seconds that unasked work must take before anything is shown of it.
_UNASKED_DELAY = 1.0
# Seconds between what is shown: where it replaces what was there, and where it is added to it.
_BETWEEN_UPDATES = 0.2
_BETWEEN_LINES = 10.0


class ProgressDisplay(ABC):
    """Shows how far work has come; a context that ends with the work.

    Attributes
    ----------
    shown : bool
        Whether anything is shown at all, and so whether remarks are worth making.
    """

    shown = True

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    @abstractmethod
    def show(self, done: float, remark: str) -> None:
        """Say how much is done and how well it goes, as often as one likes."""

    @abstractmethod
    def _close(self) -> None:
        """Show for the last time."""


def progress_display(wanted: bool | None, *, name: str, total: float, unit: str) -> ProgressDisplay:
    """Return what shows the progress of some work where the program runs.

    Parameters
    ----------
    wanted : bool or None
        Whether to show anything; None leaves it to the place: only on a terminal, where nothing
        stays of it, and only of work that takes longer than a second.
    name : str
        What is being done: "fitting".
    total : float
        How much there is to do.
    unit : str
        What it is counted in: "steps"; with "s" no other time is shown.
    """
    stream: TextIO | None = sys.stderr
    # A program without a console has no standard error.
    terminal = stream is not None and stream.isatty()
    if wanted is False or (wanted is None and not terminal):
        return _Nothing()
    if terminal:
        return _Bar(name, total, unit, delay=_UNASKED_DELAY if wanted is None else 0.0)
    if _in_notebook():
        return _CellOutput(name, total, unit)
    return _Nothing() if stream is None else _LogLines(name, total, unit, stream)


def _in_notebook() -> bool:
    # Only a program that has loaded IPython can be running in one of its kernels.
    module = sys.modules.get("IPython")
    shell: Any = None if module is None else module.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Nothing(ProgressDisplay):
    """Shows nothing."""

    shown = False

    def show(self, done: float, remark: str) -> None:
        pass

    def _close(self) -> None:
        pass


class _Bar(ProgressDisplay):
    """A bar on a terminal."""

    def __init__(self, name: str, total: float, unit: str, delay: float) -> None:
        times = "" if unit == "s" else " [{elapsed}<{remaining}]"
        self._bar: tqdm[Any] = tqdm(
            desc=name,
            total=total,
            bar_format=f"{{desc}}|{{bar:20}}| {{n:.0f}} of {{total:.0f}} {unit}{times}{{postfix}}",
            delay=delay,
            # Time alone says when to draw: remarks change where nothing is counted.
            miniters=0,
            leave=False,
            dynamic_ncols=True,
        )

    def show(self, done: float, remark: str) -> None:
        self._bar.set_postfix_str(remark, refresh=False)
        self._bar.update(min(done, self._bar.total) - self._bar.n)

    def _close(self) -> None:
        self._bar.close()


class _Lines(ProgressDisplay):
    """Says in words how far it is, from time to time and at the end."""

    def __init__(self, name: str, total: float, unit: str, between: float) -> None:
        self._name, self._unit, self._total, self._between = name, unit, total, between
        self._began = self._last = time.monotonic()
        self._done, self._remark = 0.0, ""

    def show(self, done: float, remark: str) -> None:
        self._done, self._remark = min(done, self._total), remark
        now = time.monotonic()
        if now - self._last >= self._between:
            self._last = now
            self._write(self._line())

    def _line(self) -> str:
        parts = [f"{self._name}: {self._done:.0f} of {self._total:.0f} {self._unit}"]
        if self._unit != "s":
            parts.append(f"{time.monotonic() - self._began:.1f} s")
        return ", ".join([*parts, self._remark] if self._remark else parts)

    def _close(self) -> None:
        self._write(self._line())

    @abstractmethod
    def _write(self, line: str) -> None:
        """Show a line."""


class _LogLines(_Lines):
    """Adds lines to a file or a pipe."""

    def __init__(self, name: str, total: float, unit: str, stream: TextIO) -> None:
        super().__init__(name, total, unit, _BETWEEN_LINES)
        self._stream = stream

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class _CellOutput(_Lines):
    """Changes one output of a notebook's cell, which keeps the last line."""

    def __init__(self, name: str, total: float, unit: str) -> None:
        super().__init__(name, total, unit, _BETWEEN_UPDATES)
        from IPython.display import display

        self._output: Any = display(self._content(bar=True), raw=True, display_id=True)

    def _write(self, line: str) -> None:
        self._output.update(self._content(bar=True), raw=True)

    def _close(self) -> None:
        self._output.update(self._content(bar=False), raw=True)

    def _content(self, *, bar: bool) -> dict[str, str]:
        line = self._line()
        share = self._done / self._total if self._total > 0 else math.nan
        element = f'<progress max="1" value="{share:.3f}"></progress> ' if bar else ""
        return {"text/plain": line, "text/html": page_part(element + escape(line))}
