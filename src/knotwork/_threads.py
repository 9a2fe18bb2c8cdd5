"""How many threads small work is given."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

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
