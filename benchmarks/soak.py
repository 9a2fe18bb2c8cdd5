"""Safety, measured: kills, damaged files, a thousand fits, threads, workers, disks that are full.

Every figure is printed with its outcome and written to results/soak.json. The command fails if
anything came out otherwise than it must. A damaged file is named by its kind and number, which
repeat it.

    python benchmarks/soak.py                       # all of it, what `make soak` runs
    python benchmarks/soak.py --short               # small numbers of everything
    python benchmarks/soak.py --file csv 117        # what came of one damaged file
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import record
from safety.disks import full_disk, read_only_folder
from safety.kills import kill_fits, kill_saving
from safety.loading import Outcome, read_damaged
from safety.many import WAYS, in_threads, in_workers, many_fits
from safety.specimens import SPECIMENS

# Growth of memory over a thousand fits that is taken for noise of the allocator.
_GROWTH_MB = 16.0


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    saves: int
    fits_killed: int
    files: int
    fits: int
    pairs: int
    workers: int
    ways: tuple[str, ...] = WAYS
    # How processes are started: afresh, or by a server of few threads that forks, which is quicker.
    start: str = "spawn"
    command: bool = True


FULL = Sizes(saves=50, fits_killed=18, files=800, fits=1000, pairs=24, workers=10)
SHORT = Sizes(
    saves=3,
    fits_killed=3,
    files=10,
    fits=8,
    pairs=3,
    workers=1,
    ways=("fork", "spawn"),
    start="forkserver",
    command=False,
)


def soak(sizes: Sizes, jobs: int) -> tuple[dict[str, Any], list[str]]:
    """Run everything; return the figures, and what came out otherwise than it must."""
    wrong: list[str] = []
    figures: dict[str, Any] = {}

    def part(name: str, work: Callable[[], dict[str, Any]], holds: Callable[[Any], bool]) -> None:
        began = time.monotonic()
        found = work()
        found.setdefault("seconds", round(time.monotonic() - began, 1))
        figures[name] = found
        if not holds(found):
            wrong.append(f"{name}: {found}")
        told = ", ".join(f"{key} {value}" for key, value in found.items())
        print(f"{name}: {told}", flush=True)

    # Loaded by the server once, for all that it forks.
    multiprocessing.set_forkserver_preload(["torch._dynamo", "knotwork"])
    with ThreadPoolExecutor(jobs) as pool:
        # These are processes that are left to themselves while the others are at work.
        readings = _readings(sizes, pool)
        fits = pool.submit(many_fits, sizes.fits, sizes.start)
        part(
            "kill -9 while saving",
            lambda: kill_saving(sizes.saves, start=sizes.start),
            lambda f: not f.get("neither"),
        )
        part(
            "kill -9 while fitting, and resume",
            lambda: kill_fits(sizes.fits_killed, start=sizes.start),
            lambda f: f["same to the bit"] == f["fits"],
        )
        for name, work in (("full disk", full_disk), ("read-only folder", read_only_folder)):
            part(
                name,
                lambda work=work: work(sizes.command),
                lambda f: (
                    f["one clear line each"] and f["old file unharmed"] and f["nothing left over"]
                ),
            )
        part(
            "workers",
            lambda: in_workers(sizes.workers, sizes.ways),
            lambda f: all(f[way] == f["fits each"] for way in sizes.ways) and f["fork, large"] == 1,
        )
        part(
            "two threads at once",
            lambda: in_threads(sizes.pairs),
            lambda f: f["same as alone"] == f["pairs"],
        )
        for name, read in readings:
            part(
                f"damaged files: {name}",
                lambda read=read: asdict(read()),
                lambda f: not f["bad"],
            )
        part(
            "fits in one process",
            fits.result,
            lambda f: (
                f["same answer"] == f["fits"]
                and f["threads more"] == 0
                and f["memory after, MB"] - f["memory before, MB"] < _GROWTH_MB
            ),
        )
    return figures, wrong


def _readings(sizes: Sizes, pool: ThreadPoolExecutor) -> list[tuple[str, Callable[[], Outcome]]]:
    """Begin to read every kind of damaged file; return what waits for each kind's outcome."""
    together = [[name] for name in SPECIMENS] if sizes.start == "spawn" else [list(SPECIMENS)]
    readings: list[tuple[str, Callable[[], Outcome]]] = []
    for names in together:
        future = pool.submit(read_damaged, names, sizes.files, start=sizes.start)
        readings += [
            (name, lambda name=name, future=future: future.result()[name]) for name in names
        ]
    return readings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="small numbers of everything")
    parser.add_argument("--jobs", type=int, default=2, help="processes beside the main one")
    parser.add_argument("--file", nargs=2, metavar=("KIND", "NUMBER"), help="one damaged file")
    arguments = parser.parse_args()
    if arguments.file:
        name, number = arguments.file
        print(read_damaged([name], 1, int(number))[name])
        return
    # Small fits to few rows warn of it, a thousand times.
    warnings.simplefilter("ignore", UserWarning)
    began = time.monotonic()
    figures, wrong = soak(SHORT if arguments.short else FULL, jobs=arguments.jobs)
    damaged = [found for name, found in figures.items() if name.startswith("damaged")]
    total = {key: sum(found[key] for found in damaged) for key in ("files", "refused", "right")}
    print(f"\ndamaged files in all: {total}")
    print(f"{time.monotonic() - began:.0f} s; {len(wrong)} parts came out wrong")
    for line in wrong:
        print(line, file=sys.stderr)
    if not arguments.short:
        all_figures = {"damaged files": total, "wrong": wrong, "parts": figures}
        print(record.write("soak", all_figures))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
