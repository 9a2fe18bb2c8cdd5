"""Ctrl-C while something is worth finishing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts", "interruptible_once", "no_interrupts"]


class Interrupts:
    """A handler of Ctrl-C: the first raises KeyboardInterrupt, those after it are ignored.

    Attributes
    ----------
    came : bool
        Whether one came. Python swallows exceptions in some places, so ask here too.
    deaf : bool
        Whether Ctrl-C is ignored from now on.
    stop : callable
        Called with the first.
    """

    def __init__(self) -> None:
        self.came = False
        self.deaf = False
        self.stop: Callable[[], None] = lambda: None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        if self.deaf:
            return
        self.came = self.deaf = True
        self.stop()
        raise KeyboardInterrupt


@contextmanager
def interruptible_once() -> Generator[Interrupts, None, None]:
    """Let one Ctrl-C through for as long as this lasts; in the main thread only.

    A handler of one's own stays; one of these that is there already is used.
    """
    handler = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield handler
        return
    before = signal.getsignal(signal.SIGINT)
    if isinstance(before, Interrupts):
        yield before
        return
    if before is not signal.default_int_handler:
        yield handler
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield handler
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def no_interrupts() -> Generator[None, None, None]:
    """Ignore Ctrl-C for as long as this lasts; processes started meanwhile always ignore it.

    In the main thread only; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)
