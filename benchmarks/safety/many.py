"""Many fits in one process, fits in threads at once, and fits in workers of every kind."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from knotwork import KAN, MLP, create_dataset, load
from knotwork.training import fit
from safety.kills import digest
from safety.processes import in_a_process
from safety.specimens import rows

_WARMING = 60
_SECONDS = 600
WAYS = ("fork", "spawn", "joblib")


def _cases() -> list[tuple[Callable[[], Any], dict[str, Any]]]:
    return [
        (lambda: KAN([2, 2, 1], grid=3, seed=1), {"steps": 4}),
        (lambda: KAN([2, 2, 1], grid=3, seed=2), {"steps": 4, "lamb": 1e-3, "starts": 1}),
        (lambda: KAN([2, 2, 1], grid=3, seed=3), {"opt": "LBFGS", "steps": 1}),
        (lambda: KAN([2, (1, 1), 1], grid=3, seed=4), {"opt": "Adam", "steps": 10}),
        (lambda: MLP([2, 4, 1], seed=5), {"opt": "Adam", "steps": 10}),
    ]


def small(number: int) -> str:
    """Fit a small network of one kind or another; return a digest of what came."""
    make, options = _cases()[number % 5]
    model = make()
    fit(model, rows(), progress=False, **options)
    return digest(model)


def large() -> str:
    """Fit a network to so many rows that more than one thread takes part."""
    data = create_dataset(lambda x: torch.sin(2 * x[:, 0]) * x[:, 1], 2, train_num=1200, seed=2)
    model = KAN([2, 10, 1], grid=20, seed=2)
    fit(model, data, steps=3, starts=1, progress=False)
    return digest(model)


def many_fits(count: int, start: str = "spawn") -> dict[str, Any]:
    """Fit, save and load again and again in one process; memory and threads before and after."""
    return in_a_process(start, _many_fits, count)


def _many_fits(count: int) -> dict[str, Any]:
    expected = [small(number) for number in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"

        def once(number: int) -> bool:
            same = small(number) == expected[number % 5]
            KAN([2, 2, 1], seed=number).save(path)
            load(path)
            return same

        for number in range(min(_WARMING, count)):
            once(number)
        before, threads = _memory_mb(), _tasks()
        began = time.monotonic()
        same = sum(once(number) for number in range(count))
        return {
            "fits": count,
            "same answer": same,
            "memory before, MB": round(before, 1),
            "memory after, MB": round(_memory_mb(), 1),
            "threads more": _tasks() - threads,
            "peak memory, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "seconds": round(time.monotonic() - began, 1),
        }


def _memory_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _tasks() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def in_threads(rounds: int) -> dict[str, Any]:
    """Fit in two threads at once, small and large, begun at different moments."""
    alone = [*(small(number) for number in range(5)), large()]
    jobs = [*(lambda number=number: small(number) for number in range(5)), large]
    pairs = same = 0
    for number in range(rounds):
        first, second = number % 6, (number // 6 + 5 + number) % 6
        answers = _at_once([jobs[first], jobs[second]], delay=0.01 * (number % 3))
        pairs += 1
        same += answers == [alone[first], alone[second]]
    return {"pairs": pairs, "same as alone": same}


def _at_once(jobs: list[Callable[[], str]], delay: float) -> list[str]:
    answers = [""] * len(jobs)

    def run(place: int) -> None:
        time.sleep(delay * place)
        answers[place] = jobs[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def in_workers(count: int, ways: Sequence[str] = WAYS) -> dict[str, Any]:
    """Fit in workers started in several ways; count the answers that are those given alone."""
    expected = [small(number) for number in range(count)]
    figures: dict[str, Any] = {"fits each": count}
    for way in ways:
        figures[way] = _same(_in_workers(way, small, count), expected)
    # A worker with one thread, forked after this process had more threads than one at work.
    large()
    expected = [in_a_process("spawn", large)]
    figures["fork, large"] = _same([in_a_process("fork", large)], expected)
    return figures


def _same(answers: list[Any], expected: list[Any]) -> int:
    return sum(a == b for a, b in zip(answers, expected, strict=True))


def _in_workers(way: str, function: Callable[[int], Any], count: int) -> list[Any]:
    if way == "joblib":
        calls = (delayed(function)(number) for number in range(count))
        return list(Parallel(n_jobs=2, timeout=_SECONDS)(calls))
    with multiprocessing.get_context(way).Pool(min(2, count)) as pool:
        return pool.map_async(function, range(count), chunksize=1).get(_SECONDS)
