"""How often to save what is under way."""

from __future__ import annotations

import time

# Seconds between two savings, and how many times longer than a saving took.
_EVERY = 3.0
_SHARE = 30.0


class Pace:
    """Says when to save again, so that saving takes little of the time."""

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        """Tell whether the last saving is long enough ago."""
        return time.monotonic() >= self._next

    def saved(self, began: float) -> None:
        """Note that a saving is done which began at that time of `time.monotonic`."""
        end = time.monotonic()
        self._next = end + max(_EVERY, _SHARE * (end - began))
