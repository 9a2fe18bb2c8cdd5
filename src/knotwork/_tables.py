"""Tables of results, as text for terminals and as HTML for notebooks and reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Table", "page_part"]


@dataclass(frozen=True)
class Table:
    """Cells that are written already, under a header.

    Attributes
    ----------
    header : sequence of str
    rows : sequence of sequences of str
    words : collection of int
        Columns of words, which stand to the left; numbers stand to the right.
    code : collection of int
        Columns of words that are code or names of the user's, and are shown as they are.
    marked : int or None
        The row that stands out.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Collection[int] = ()
    code: Collection[int] = ()
    marked: int | None = None

    def __str__(self) -> str:
        lines = [self.header, *self.rows]
        sizes = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        return "\n".join(
            "  ".join(
                cell.ljust(size) if self._is_left(column) else cell.rjust(size)
                for column, (cell, size) in enumerate(zip(line, sizes, strict=True))
            ).rstrip()
            for line in lines
        )

    def html(self) -> str:
        """Return the table as an element of a page, with nothing in it that a cell could break."""
        header = "".join(
            f"<th{self._style(column)}>{escape(cell)}</th>"
            for column, cell in enumerate(self.header)
        )
        lines = [f"<thead><tr>{header}</tr></thead>", "<tbody>"]
        for number, row in enumerate(self.rows):
            mark = ' class="chosen" style="font-weight: bold"' if number == self.marked else ""
            cells = "".join(self._cell(column, cell) for column, cell in enumerate(row))
            lines.append(f"<tr{mark}>{cells}</tr>")
        return "\n".join(["<table>", *lines, "</tbody>", "</table>"])

    def _cell(self, column: int, cell: str) -> str:
        text = escape(cell)
        if column in self.code and text:
            text = f"<code>{text}</code>"
        return f"<td{self._style(column)}>{text}</td>"

    def _style(self, column: int) -> str:
        return f' style="text-align: {"left" if self._is_left(column) else "right"}"'

    def _is_left(self, column: int) -> bool:
        return column in self.words or column in self.code


def page_part(*parts: str) -> str:
    """Join elements into what a notebook shows of a result.

    Pages with mathematics leave it alone: a dollar sign in a column's name is a dollar sign.
    """
    body = "\n".join(part for part in parts if part)
    return f'<div class="knotwork tex2jax_ignore mathjax_ignore">\n{body}\n</div>'
