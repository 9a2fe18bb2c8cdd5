"""What options of ``knotwork discover`` mean, checked before anything is read or printed."""

from __future__ import annotations

from collections.abc import Sequence

import click

from .._checks import check_integer, check_number
from ..functions import resolve
from ..symbolic.units import foreign_units

_NAMED = 8


def listed(text: str | None) -> list[str] | None:
    """Return the parts of ``A,B``, None for nothing."""
    return None if text is None else [part.strip() for part in text.split(",")]


def read_units(entries: Sequence[str]) -> dict[str, str]:
    """Read ``column=unit``; no unit has an equals sign, but a column's name may."""
    found: dict[str, str] = {}
    for entry in entries:
        name, sign, unit = entry.rpartition("=")
        if not sign:
            raise click.UsageError(f"--units must be COLUMN=UNIT, as v=m/s; got {entry!r}.")
        if name.strip() in found:
            raise click.UsageError(f"--units has {name.strip()!r} twice.")
        found[name.strip()] = unit
    return found


def strangers(units: dict[str, str]) -> list[str]:
    """List the names in units that are no units known here; raise ValueError for bad ones."""
    names: list[str] = []
    for column, text in units.items():
        try:
            names += foreign_units(text)
        except ValueError as error:
            raise ValueError(f"--units {column}={text}: {error}") from None
    return list(dict.fromkeys(names))


def check_options(
    budget: float, jobs: int | None, lib: list[str] | None, max_complexity: int | None
) -> None:
    """Raise TypeError or ValueError if one of these cannot be."""
    check_number(budget, "--budget", low=0.0, strict=True)
    if jobs is not None and jobs != -1:
        check_integer(jobs, "--jobs", low=1)
    if max_complexity is not None:
        check_integer(max_complexity, "--max-complexity", low=1)
    resolve(lib)


def counted(count: int, what: str) -> str:
    """Return ``1 row`` or ``2 rows``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def some(names: Sequence[str]) -> str:
    """Return names in a line, the first and the last of many."""
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: _NAMED - 2])}, ..., {names[-1]} ({len(names)} columns)"
