"""Ctrl-C: once it ends what can be ended, and what is worth finishing is finished."""

import contextlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import knotwork_command
from knotwork import discover
from knotwork._interrupts import interruptible_once, no_interrupts

X = np.random.default_rng(0).uniform(1, 3, (200, 3))


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_the_first_is_let_through_and_others_are_not():
    with interruptible_once() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
        ctrl_c()
        assert interrupts.came


def test_one_inside_another_is_the_same():
    with interruptible_once() as outer, interruptible_once() as inner:
        assert outer is inner


def test_other_threads_have_nothing_to_do_with_it():
    seen = []

    def work():
        with interruptible_once() as interrupts, no_interrupts():
            seen.append((interrupts.came, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, signal.default_int_handler)]


def test_a_handler_of_ones_own_stays():
    def own(number, frame):
        pass

    signal.signal(signal.SIGINT, own)
    with interruptible_once():
        assert signal.getsignal(signal.SIGINT) is own
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_twice_in_a_search_gives_the_best_so_far(monkeypatch):
    import knotwork.discovery.conclude as conclude

    judged = conclude.judge

    def judge(*arguments):
        ctrl_c()
        return judged(*arguments)

    def stop(problem):
        if len(problem.pool) > 3:
            ctrl_c()

    monkeypatch.setattr(conclude, "judge", judge)
    y = np.sin(2 * X[:, 0]) * np.exp(X[:, 1] / X[:, 2])
    y += np.random.default_rng(8).normal(size=200) * 0.1
    start = time.process_time()
    found = discover(X, y, progress=stop)
    assert "interrupted" in found.note
    assert found.best in found.front
    assert time.process_time() - start < 30


def test_an_interrupt_that_python_swallows_ends_the_search():
    def stop(problem):
        with contextlib.suppress(KeyboardInterrupt):
            ctrl_c()

    y = np.sin(2 * X[:, 0]) * np.exp(X[:, 1] / X[:, 2])
    y += np.random.default_rng(8).normal(size=200) * 0.1
    found = discover(X, y, progress=stop)
    assert "interrupted" in found.note


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_command_stops_quietly_while_it_loads():
    program = (
        "import os, signal, sys, types\n"
        "import knotwork_command\n"
        "slow = types.ModuleType('knotwork.cli')\n"
        "slow.loaded = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.modules['knotwork'] = types.ModuleType('knotwork')\n"
        "sys.modules['knotwork.cli'] = slow\n"
        "knotwork_command.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "error: stopped.\n")
    assert knotwork_command.main.__doc__
