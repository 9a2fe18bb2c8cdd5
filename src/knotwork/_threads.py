"""How many threads small work is given."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

# Numbers below which a second thread costs more than it gains.
SMALL_WORK = 500_000


@contextmanager
def one_thread(small: bool = True) -> Generator[None]:
    """Keep torch to one thread for small work, and restore the number afterwards.

    On small tensors more threads gain little and, on a busy machine, wait for one another.
    """
    threads = torch.get_num_threads()
    if not small or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread_everywhere() -> Generator[None]:
    """Keep torch, NumPy and SciPy to one thread, and restore the numbers afterwards.

    A search solves thousands of small systems, which gain nothing by more threads; and sums that
    are divided among threads can differ in their last digit from those that are not.
    """
    with one_thread(), threadpool_limits(1):
        yield
