"""How many threads small work is given."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController, threadpool_limits

# Numbers below which a second thread costs more than it gains.
SMALL_WORK = 500_000


@contextmanager
def one_thread(small: bool = True) -> Generator[None]:
    """Keep torch and SciPy's LAPACK to one thread for small work, and restore the numbers after.

    On small tensors more threads gain little and, on a busy machine, wait for one another.
    """
    if not small:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _linear_algebra().limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _linear_algebra() -> ThreadpoolController:
    """Return a handle on the libraries' pools of threads, which takes long to find."""
    return ThreadpoolController()


@contextmanager
def one_thread_everywhere() -> Generator[None]:
    """Keep torch, NumPy and SciPy to one thread, and restore the numbers afterwards.

    A search solves thousands of small systems, which gain nothing by more threads; and sums that
    are divided among threads can differ in their last digit from those that are not.
    """
    with one_thread(), threadpool_limits(1):
        yield
