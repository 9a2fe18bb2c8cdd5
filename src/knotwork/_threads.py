"""How many threads small work is given."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import threadpool_limits

# Numbers below which a second thread costs more than it gains.
SMALL_WORK = 500_000
# Where the library was loaded.
_PROCESS = os.getpid()


@contextmanager
def one_thread(small: bool = True) -> Generator[None]:
    """Keep torch to one thread for small work, and restore the number afterwards.

    On small tensors more threads gain little and, on a busy machine, wait for one another.  Where
    torch's libraries allow it only the calling thread is kept: what others compute meanwhile keeps
    its number of threads, and so its last digits.

    In a process that was forked all work counts as small: GNU's OpenMP waits forever there for
    the threads of the process before.
    """
    # A thread that is new to torch gets its number here, before it is changed.
    threads = torch.get_num_threads()
    forked = os.getpid() != _PROCESS
    if threads == 1 or not (small or forked):
        yield
        return
    limits = _limits_of_this_thread()
    if limits is None:
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
        return
    set_openmp, set_mkl = limits
    set_openmp(1)
    before = set_mkl(1)
    try:
        yield
    finally:
        set_openmp(threads)
        set_mkl(before)


@cache
def _limits_of_this_thread() -> tuple[Callable[[int], object], Callable[[int], int]] | None:
    """Return what sets OpenMP's and MKL's number for the calling thread alone, if torch has both.

    That of MKL returns the number before, 0 for none of the thread's own.
    """
    try:
        # What torch itself is linked to is found through it.
        library = ctypes.CDLL(torch._C.__file__)
        return library.omp_set_num_threads, library.MKL_Set_Num_Threads_Local
    except (AttributeError, OSError):
        return None


class _Searches:
    """Searches under way: NumPy's and SciPy's threads are limited until the last is done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def enter(self) -> None:
        with self._lock:
            if not self._count:
                self._limits = threadpool_limits(1, user_api="blas")
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._limits.restore_original_limits()


_searches = _Searches()


@contextmanager
def one_thread_everywhere() -> Generator[None]:
    """Keep torch, NumPy and SciPy to one thread, and restore the numbers afterwards.

    A search solves thousands of small systems, which gain nothing by more threads; and sums that
    are divided among threads can differ in their last digit from those that are not.  NumPy's and
    SciPy's number is one for all threads of Python: it is restored when no search is left.
    """
    with one_thread():
        _searches.enter()
        try:
            yield
        finally:
            _searches.leave()
