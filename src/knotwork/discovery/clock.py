"""The time a search may take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

__all__ = ["ENDLESS", "Clock", "OutOfTime"]


class OutOfTime(Exception):  # noqa: N818 - it ends a search, it is not an error
    """The budget is spent; what was found so far stands."""


@dataclass
class Clock:
    """A budget in seconds of wall-clock time, counted from construction."""

    budget: float
    start: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def left(self) -> float:
        """Seconds of the budget that are left, 0 at the least."""
        return max(0.0, self.budget - self.elapsed)

    def check(self) -> None:
        """Raise `OutOfTime` once the budget is spent."""
        if self.elapsed >= self.budget:
            raise OutOfTime


# For searches that nobody waits for.
ENDLESS = Clock(math.inf)
