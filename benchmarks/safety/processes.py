"""Work in a process of its own, whatever becomes of it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

# torch.optim loads this late, for seconds; children of a fork need not do so each.
import torch._dynamo


def in_a_process(start: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `work` gives in a process with one thread, started by "spawn" or another way."""
    context = multiprocessing.get_context(start)
    receiver, sender = context.Pipe()
    process = context.Process(target=_worker, args=(sender, work, arguments))
    process.start()
    # Where the process ends before it answers, this ends too instead of waiting for ever.
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def _worker(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    sender.send(work(*arguments))
