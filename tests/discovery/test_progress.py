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


@pytest.mark.parametrize("progress", [True, False, None])
@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_the_best_formula_so_far_is_shown_where_it_is_wanted(monkeypatch, stream, progress):
    errors = stream()
    monkeypatch.setattr(sys, "stderr", errors)
    discover(X, X[:, 0] / X[:, 1] ** 2, progress=progress, budget=10)
    shown = errors.getvalue()
    if progress is True:
        assert "of the spread left by x_1/x_2**2" in shown
    elif progress is False or stream is io.StringIO:
        assert shown == ""
    assert shown.count("\n") == (progress is True and stream is io.StringIO)
    assert ("\r" in shown) == (stream is Terminal and shown != "")


def test_equal_rows_are_held_out_together():
    rows = np.repeat(X[:50], 4, axis=0)
    data = prepare(rows, rows[:, 0], ["a", "b"], 0)
    held = {tuple(row) for row in data.X_held}
    assert not held & {tuple(row) for row in data.X}
    assert len(data.y) + len(data.y_held) == 200
