"""Worker processes that leave Ctrl-C to the process that started them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from joblib import Parallel, delayed

from .._interrupts import no_interrupts

__all__ = ["in_workers"]

_started: set[int] = set()


def in_workers(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], n_jobs: int) -> Any:
    """Call a function with each of some arguments, in worker processes, through joblib."""
    if n_jobs not in _started:
        # Who is started while Ctrl-C is ignored ignores it for good.
        with no_interrupts():
            Parallel(n_jobs=n_jobs)(delayed(abs)(-k) for k in range(2 * max(2, n_jobs)))
        _started.add(n_jobs)
    return Parallel(n_jobs=n_jobs)(delayed(function)(*call) for call in calls)
