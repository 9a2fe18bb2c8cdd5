"""Progress on a terminal, in a notebook and in a log: shown where it is wanted, not elsewhere."""

import io
import itertools
from contextlib import redirect_stderr, suppress
from types import SimpleNamespace

import pytest
import torch

from knotwork import KAN, MLP, _progress, create_dataset, discover
from knotwork._progress import progress_display
from knotwork.compare import compare


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def seconds(monkeypatch):
    """A clock that a test sets; tqdm's own goes on."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_progress.time, "monotonic", lambda: clock.now)
    return clock


# Streams are set in the test itself: pytest sets its own between fixtures and tests.
def work(seconds, stream, wanted=True, unit="steps", count=60):
    """Do something of a second a step; return what it has shown."""
    with (
        redirect_stderr(stream),
        progress_display(wanted, name="fitting", total=count, unit=unit) as display,
    ):
        for step in range(1, count + 1):
            seconds.now += 1.0
            display.show(step, f"RMSE {1 / step:.2g}")
    return "" if stream is None else stream.getvalue()


@pytest.fixture
def cell(monkeypatch):
    """What a kernel is told to show, in order: (message, id, content)."""
    display_functions = pytest.importorskip("IPython.core.display_functions")
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    messages = []

    def publish(data, metadata=None, *, transient=None, update=False, **_):
        kind = "update" if update else "display"
        messages.append((kind, transient["display_id"], data))

    monkeypatch.setattr(display_functions, "publish_display_data", publish)
    monkeypatch.setattr(interactive.InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    return messages


def test_a_log_gets_a_whole_line_every_ten_seconds_and_one_at_the_end(seconds):
    assert work(seconds, io.StringIO(), count=34).split("\n") == [
        "fitting: 10 of 34 steps, 10.0 s, RMSE 0.1",
        "fitting: 20 of 34 steps, 20.0 s, RMSE 0.05",
        "fitting: 30 of 34 steps, 30.0 s, RMSE 0.033",
        "fitting: 34 of 34 steps, 34.0 s, RMSE 0.029",
        "",
    ]


def test_what_is_counted_in_seconds_has_no_other_time(seconds):
    assert work(seconds, io.StringIO(), unit="s", count=2) == "fitting: 2 of 2 s, RMSE 0.5\n"


def test_a_log_tells_how_far_it_was_when_the_work_failed(seconds):
    log = io.StringIO()
    with redirect_stderr(log), suppress(ZeroDivisionError):  # noqa: SIM117 - the inner one fails
        with progress_display(True, name="fitting", total=9, unit="steps") as display:
            display.show(4, "")
            raise ZeroDivisionError
    assert log.getvalue() == "fitting: 4 of 9 steps, 0.0 s\n"


def test_a_terminal_gets_a_bar_of_which_nothing_stays(seconds):
    shown = work(seconds, Terminal())
    frames = shown.split("\r")
    assert any("fitting|" in frame and "of 60 steps" in frame for frame in frames)
    assert "\n" not in shown
    assert frames[-2].strip() == frames[-1] == ""


def test_unasked_work_of_less_than_a_second_shows_no_bar(seconds):
    assert work(seconds, Terminal(), wanted=None).strip() == ""


def test_unasked_work_shows_a_bar_on_a_terminal_after_a_second(monkeypatch, seconds):
    monkeypatch.setattr("tqdm.std.time", itertools.count().__next__)
    assert "fitting|" in work(seconds, Terminal(), wanted=None)


def test_a_cell_of_a_notebook_has_one_output_that_changes(cell, seconds):
    assert work(seconds, io.StringIO(), count=3) == ""
    assert [kind for kind, _, _ in cell] == ["display", "update", "update", "update", "update"]
    assert len({display_id for _, display_id, _ in cell}) == 1
    assert "<progress" in cell[1][2]["text/html"]
    last = cell[-1][2]
    assert last["text/plain"] == "fitting: 3 of 3 steps, 3.0 s, RMSE 0.33"
    assert "<progress" not in last["text/html"]


def test_remarks_cannot_put_elements_into_a_notebook(cell):
    with (
        redirect_stderr(io.StringIO()),
        progress_display(True, name="searching", total=1, unit="s") as display,
    ):
        display.show(1, "<img src=x onerror=alert(1)>")
    assert "<img" not in cell[-1][2]["text/html"]
    assert "&lt;img" in cell[-1][2]["text/html"]


@pytest.mark.parametrize("wanted", [None, False])
def test_nothing_is_shown_in_notebooks_and_logs_unless_asked(cell, seconds, wanted):
    assert work(seconds, io.StringIO(), wanted=wanted) == ""
    assert cell == []


def test_a_program_without_standard_error_shows_nothing(seconds):
    work(seconds, None)


DATA = create_dataset(lambda x: torch.sin(x[:, 0]) * x[:, 1], 2, train_num=200, test_num=50)


def test_a_fit_says_where_it_ended_and_why():
    log = io.StringIO()
    with redirect_stderr(log):
        history = KAN([2, 1]).fit(
            DATA, steps=9, progress=True, callbacks=[lambda progress: progress.step == 3]
        )
    assert log.getvalue().count("\n") == 1
    assert log.getvalue().startswith("fitting: 3 of 9 steps, ")
    assert f"RMSE {history.train_loss[-1]:.3g}, stopped by a callback" in log.getvalue()


def test_a_fit_of_no_steps_says_so():
    log = io.StringIO()
    with redirect_stderr(log):
        KAN([2, 1]).fit(DATA, steps=0, progress=True)
    assert log.getvalue() == "fitting: 0 of 0 steps, 0.0 s\n"


def test_nothing_is_printed_unless_asked(capfd, tmp_path):
    model = KAN([2, 1, 1], grid=3)
    model.fit(DATA, steps=3)
    model.fit(DATA, opt="Adam", steps=5)
    model.attribute()
    pruned = model.prune()
    pruned.suggest_symbolic(0, 0, 0, lib=["x", "sin"])
    pruned.fix_symbolic(0, 0, 0, "sin")
    pruned.plot()
    pruned.save(tmp_path / "model.safetensors")
    compare({"MLP": MLP([2, 4, 1])}, DATA, steps=2)
    discover(DATA["train_input"], DATA["train_input"][:, 0], budget=3, progress=None)
    assert capfd.readouterr() == ("", "")
