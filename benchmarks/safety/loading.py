"""Reading damaged files in a process of its own, which is watched from outside and from inside.

From outside: it may not end, nor take longer than a limit for a file. From inside: its memory is
limited, and an audit hook of Python notes whatever would execute code, start a process, load a
library or write elsewhere. A file is named by its seed, so that what went wrong can be repeated.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from safety.mutations import CANARY, mutate
from safety.specimens import SPECIMENS, Specimen

# Address space, beyond that of the imported libraries, and time that one file may take.
_MEMORY = 2 * 2**30
_SECONDS = 60.0
_LONGEST_MESSAGE = 1000
_EXECUTING = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen"),
    *("pickle.find_class", "ctypes.dlopen", "socket.connect", "exec"),
)


@dataclass
class Outcome:
    """What came of the damaged files of one kind; `bad` holds (seed, what went wrong)."""

    files: int = 0
    refused: int = 0
    right: int = 0
    bad: list[tuple[str, str]] = field(default_factory=list)
    slowest_seconds: float = 0.0
    memory_mb: float = 0.0

    def add(self, seed: str, answer: dict[str, Any]) -> None:
        """Count what came of one file."""
        self.files += 1
        self.slowest_seconds = round(max(self.slowest_seconds, answer["seconds"]), 3)
        self.memory_mb = round(max(self.memory_mb, answer["memory_mb"]), 1)
        if answer["result"] in ("refused", "right"):
            self.refused += answer["result"] == "refused"
            self.right += answer["result"] == "right"
        else:
            self.bad.append((seed, answer["result"]))


def read_damaged(
    names: Sequence[str], count: int, first: int = 0, start: str = "spawn"
) -> dict[str, Outcome]:
    """Read `count` damaged copies of each of these specimens, in one process while it lives."""
    outcomes = {name: Outcome() for name in names}
    waiting = [(name, number) for name in names for number in range(first, first + count)]
    while waiting:
        with _Reader(names, start) as reader:
            while waiting:
                name, number = waiting.pop(0)
                answer = reader.read(name, number)
                outcomes[name].add(f"{name} {number}", answer)
                if answer["gone"]:
                    break
    return outcomes


class _Reader:
    """A process that reads one file after another."""

    def __init__(self, names: Sequence[str], start: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        context = multiprocessing.get_context(start)
        self._connection, self._other = context.Pipe()
        arguments = (names, self._folder.name, self._other)
        self._process = context.Process(target=_work, args=arguments)

    def __enter__(self) -> _Reader:
        self._process.start()
        # Else its end would not be noticed.
        self._other.close()
        if not self._connection.poll(300) or self._connection.recv() != "ready":
            raise RuntimeError("the reading process did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._folder.cleanup()

    def read(self, name: str, number: int) -> dict[str, Any]:
        """Return what came of one damaged file."""
        began = time.monotonic()
        self._connection.send((name, number))
        gone = {"seconds": 0.0, "memory_mb": 0.0, "gone": True}
        if not self._connection.poll(_SECONDS):
            return {**gone, "result": f"hung for {_SECONDS:.0f} s"}
        try:
            return {**self._connection.recv(), "seconds": time.monotonic() - began, "gone": False}
        except EOFError:
            self._process.join()
            return {**gone, "result": f"crashed with exit code {self._process.exitcode}"}


def _work(names: Sequence[str], folder: str, connection: Connection) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.chdir(folder)
    contents = {name: _good_file(SPECIMENS[name]) for name in names}
    watch = _Watch(folder)
    sys.addaudithook(watch)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    connection.send("ready")
    while True:
        name, number = connection.recv()
        damaged = Path("damaged" + SPECIMENS[name].ending)
        damaged.write_bytes(mutate(contents[name], damaged.suffix, f"{name} {number}"))
        before = _peak()
        watch.seen.clear()
        watch.armed = True
        result = _judged(SPECIMENS[name].judge, damaged)
        watch.armed = False
        if watch.seen:
            result = f"did what reading must not: {dict(watch.seen)}"
        if Path(CANARY).exists():
            result = "executed what was in the file"
        connection.send({"result": result, "memory_mb": (_peak() - before) / 1024})


def _good_file(specimen: Specimen) -> bytes:
    """Return the bytes of a good file, which is read a few times to load what that needs."""
    good = Path("good" + specimen.ending)
    specimen.make(good)
    content = good.read_bytes()
    for _ in range(2):
        good.write_bytes(content)
        specimen.judge(good)
    return content


def _judged(judge: Any, path: Path) -> str:
    try:
        judge(path)
    except AssertionError as error:
        return f"read wrongly: {error}"
    except (ValueError, OSError) as error:
        text = str(error)
        clear = 10 < len(text) < _LONGEST_MESSAGE and "\n" not in text
        return "refused" if clear else f"refused unclearly: {text[:200]!r}"
    except BaseException as error:  # whatever else comes is what is looked for
        return f"{type(error).__name__}: {str(error)[:200]}"
    return "right"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class _Watch:
    """Notes what a reader must not do; modules of installed packages may load late."""

    def __init__(self, folder: str) -> None:
        import knotwork

        self.armed = False
        self.seen: Counter[str] = Counter()
        self._folder = os.path.realpath(folder)
        self._ours = (sys.prefix, sys.base_prefix, str(Path(knotwork.__file__).parent), "<frozen")
        self._ours += tuple(path for path in sys.path if path.endswith("site-packages"))

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            inside = isinstance(path, str) and os.path.realpath(path).startswith(self._folder)
            if writes and not inside and path != os.devnull:
                self.seen[f"open {path} {mode}"] += 1
        elif event == "exec":
            place = getattr(arguments[0], "co_filename", "")
            if not place.startswith(self._ours):
                self.seen[f"exec {place}"] += 1
        elif event in _EXECUTING:
            self.seen[event] += 1
