"""What commands print: results to standard output, remarks to standard error.

Nothing is cut or wrapped in a pipe, where there are no colours either.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

# Wide enough that no table is cut where there is no terminal to be narrow.
_PIPE_WIDTH = 10_000


def say(text: str = "", style: str = "", *, whole: bool = False) -> None:
    """Print a line of results; a `whole` one has no line breaks, to be copied from a terminal."""
    _console().print(Text(text, style), soft_wrap=whole)


def note(text: str) -> None:
    """Print a remark to standard error."""
    _console(stderr=True).print(Text(f"note: {text}", "yellow"))


def complain(text: str) -> None:
    """Print what went wrong to standard error, in one line."""
    line = Text("error: ", "bold red") + Text(" ".join(text.split()), "default")
    _console(stderr=True).print(line)


def tell_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column to the left and the others to the right."""
    _console().print(_table(header, rows))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, caption=caption or None)
    for column, name in enumerate(header):
        # Formulas are read from the left, numbers compared at the right.
        right = column > 0 and name != "formula"
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def busy(text: str) -> AbstractContextManager[Any]:
    """Show on a terminal that something goes on for as long as the context lasts."""
    return _console(stderr=True).status(text)


Watched = Callable[[Any], None]
"""Something that is told how far a search has come."""


@contextmanager
def watched() -> Generator[Callable[[Sequence[str], Sequence[Sequence[str]], str], None]]:
    """Show a table that changes, on a terminal's standard error, for as long as this lasts.

    What the context gives is called with header, rows and caption.
    """
    console = _console(stderr=True)
    with Live(console=console, transient=True, auto_refresh=False) as live:

        def update(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> None:
            if console.is_terminal:
                live.update(_table(header, rows, caption), refresh=True)

        yield update


@contextmanager
def warnings_as_notes() -> Generator[None, None, None]:
    """Print the library's warnings as remarks, and leave out those of other packages."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        note(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield


def _console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console
