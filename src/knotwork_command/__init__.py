"""What the command ``knotwork`` runs first: so little that Ctrl-C always ends it quietly."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line."""
    # Libraries that are being loaded turn the exception of Ctrl-C into others, with tracebacks.
    before = signal.signal(signal.SIGINT, _stop)
    from knotwork.cli import loaded

    app = loaded()
    signal.signal(signal.SIGINT, before)
    try:
        app(prog_name="knotwork")
    finally:  # it is done, and nothing is left to stop
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    os.write(sys.stderr.fileno(), b"error: stopped.\n")
    os._exit(130)
