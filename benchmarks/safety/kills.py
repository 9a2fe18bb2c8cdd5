"""kill -9 at random times: while a network is saved, and while a fit keeps itself on disk."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from knotwork import KAN, load
from knotwork.training import fit
from safety.processes import in_a_process
from safety.specimens import rows

# Times that a save takes within which its process is killed.
_WINDOW = 4.0
_MOST_KILLS_A_FIT = 6


def digest(model: Any) -> str:
    """Return a digest of all that a network's state holds."""
    tensors = [value for value in model.state_dict().values() if isinstance(value, Tensor)]
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in tensors)).hexdigest()


def kill_saving(count: int, seed: int = 0, start: str = "spawn") -> dict[str, Any]:
    """Kill processes that save one network over another; say which of the two was there after."""
    return in_a_process(start, _kill_saving, count, seed)


def kill_fits(kills: int, seed: int = 0, start: str = "spawn") -> dict[str, Any]:
    """Kill fits and go on with them until that many kills are done; compare with one left alone."""
    return in_a_process(start, _kill_fits, kills, seed)


def _fork(work: Callable[[], None]) -> int:
    """Run `work` in a child that ends without unwinding; return its number."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def _kill(child: int) -> bool:
    """Kill a child; tell whether it was still at work."""
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _kill_saving(count: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    # Large enough that a kill often comes in the middle of the writing.
    models = [KAN([40, 60, 60, 1], grid=20, seed=number) for number in (1, 2)]
    names = {digest(model): number for number, model in enumerate(models)}
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path, signs = Path(folder) / "model.safetensors", os.pipe()
        began = time.monotonic()
        for model in models * 2:
            model.save(path)
        window = _WINDOW * (time.monotonic() - began) / 4

        def save_for_ever() -> None:
            os.write(signs[1], b"!")
            while True:
                for model in models:
                    model.save(path)

        for _ in range(count):
            child = _fork(save_for_ever)
            os.read(signs[0], 1)
            time.sleep(chance.uniform(0, window))
            assert _kill(child), "the saving process ended by itself"
            found = names.get(digest(load(path)))
            outcomes["neither" if found is None else f"network {found + 1}"] += 1
            unfinished = [other for other in Path(folder).iterdir() if other != path]
            outcomes["in the middle of writing"] += bool(unfinished)
            for other in unfinished:
                other.unlink()
        size = path.stat().st_size
    return {"kills": count, "bytes": size, **outcomes}


_FITS: dict[str, dict[str, Any]] = {
    "LM": {"opt": "LM", "steps": 16, "lamb": 1e-3},
    "LBFGS": {"opt": "LBFGS", "steps": 5},
    "Adam": {"opt": "Adam", "steps": 60, "batch_size": 16, "lr": 0.01},
}


def _kill_fits(kills: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    each = min(_MOST_KILLS_A_FIT, -(-kills // len(_FITS)))
    done = killed = same = 0
    while killed < kills and done < kills:
        for options in _FITS.values():
            expected, seconds = _left_alone(options)
            with tempfile.TemporaryDirectory() as folder:
                killed_now, came = _killed_fit(Path(folder), options, each, chance, seconds)
            killed += killed_now
            done += 1
            same += came == expected
    return {"kills": killed, "fits": done, "same to the bit": same}


def _result(model: Any, history: Any) -> str:
    return f"{digest(model)} {history.train_loss} {history.best_step} {history.status}"


def _left_alone(options: dict[str, Any]) -> tuple[str, float]:
    began = time.monotonic()
    model = KAN([2, 3, 1], grid=3, seed=1)
    return _result(model, fit(model, rows(100), **options)), time.monotonic() - began


def _killed_fit(
    folder: Path, options: dict[str, Any], kills: int, chance: random.Random, seconds: float
) -> tuple[int, str]:
    """Kill a fit and go on with it, several times; return how many kills met it, and its result."""
    path, result, killed = folder / "fit", folder / "result", 0

    def go_on() -> None:
        model = KAN([2, 3, 1], grid=3, seed=1)
        kept = {"checkpoint": path, "checkpoint_every": 1, "resume": path.exists()}
        result.write_text(_result(model, fit(model, rows(100), **kept, **options)))

    for _ in range(kills):
        child = _fork(go_on)
        time.sleep(chance.uniform(0, seconds))
        killed += _kill(child)
    # The last is left alone; a fit that is done gives its result again.
    os.waitpid(_fork(go_on), 0)
    return killed, result.read_text() if result.exists() else "no result"
