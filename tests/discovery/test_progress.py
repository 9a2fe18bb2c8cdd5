import io
import sys

import numpy as np
import pytest

from knotwork import discover
from knotwork.discovery.rows import prepare

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 3, (200, 2))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)],
    ids=["terminal", "unwanted", "file"],
)
def test_a_line_on_a_terminal_only(monkeypatch, stream, progress, shown):
    errors = stream()
    monkeypatch.setattr(sys, "stderr", errors)
    discover(X, X[:, 0] / X[:, 1] ** 2, progress=progress, budget=10)
    assert ("of the spread left by" in errors.getvalue()) == shown
    assert "\n" not in errors.getvalue()


def test_equal_rows_are_held_out_together():
    rows = np.repeat(X[:50], 4, axis=0)
    data = prepare(rows, rows[:, 0], ["a", "b"], 0)
    held = {tuple(row) for row in data.X_held}
    assert not held & {tuple(row) for row in data.X}
    assert len(data.y) + len(data.y_held) == 200
