"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Return rows of cells as lines with columns two spaces apart.

    Parameters
    ----------
    rows : sequence of sequences of str
        The header first; all of the same length.
    left : collection of int
        Columns that start at the same place; the others end there.

    Examples
    --------
    >>> print(aligned([("name", "size"), ("a", "10")]))
    name  size
    a       10
    """
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(size) if column in left else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ).rstrip()
        for row in rows
    )
