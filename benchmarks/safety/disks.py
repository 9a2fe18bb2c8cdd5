"""A full disk and a read-only folder: one clear line, the old file unharmed, nothing left over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from knotwork import KAN
from safety.specimens import rows

_ROOM = 64 * 1024
# Run as a program: in a process of its own, which may lose its rights or its disk.
_HERE = Path(__file__).resolve()


def full_disk(command: bool = True) -> dict[str, Any]:
    """Write where there is no room: on a small disk of memory, or else under a limit for files."""
    if shutil.which("unshare"):
        rights = [] if os.geteuid() == 0 else ["--map-root-user"]
        found = _run(["unshare", "--mount", *rights, *_program("full", command)])
        if found is not None:
            return {"by": "a disk of 64 KB", **found}
    found = _run(_program("limited", command))
    assert found is not None, "the process that writes under a limit failed"
    return {"by": "a limit of 64 KB for files", **found}


def read_only_folder(command: bool = True) -> dict[str, Any]:
    """Write into a folder without the right to."""
    found = _run(_program("read-only", command))
    assert found is not None, "the process that writes without rights failed"
    return found


def _program(way: str, command: bool) -> list[str]:
    return [sys.executable, str(_HERE), way, "with the command line" if command else "alone"]


def _run(command: list[str]) -> dict[str, Any] | None:
    paths = {"PYTHONPATH": os.pathsep.join([str(_HERE.parents[1]), *filter(None, sys.path)])}
    with tempfile.TemporaryDirectory() as folder:
        # A user without rights must be able to come here.
        Path(folder).chmod(0o755)
        environment = {**os.environ, **paths, "TORCHINDUCTOR_CACHE_DIR": folder}
        done = subprocess.run(
            [*command, folder], capture_output=True, text=True, env=environment, timeout=600
        )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def _attempts(folder: Path, command: bool) -> dict[str, Any]:
    """Try to write a network, a fit under way and the command line's files into a folder."""
    warnings.simplefilter("ignore")
    large = KAN([20, 40, 40, 1], grid=10, seed=1)
    old = folder / "old.safetensors"
    before = old.read_bytes()
    attempts = {
        "save": lambda: large.save(old),
        "fit": lambda: large.fit(
            (rows_of(20), rows_of(1)), steps=1, lamb=1e-3, checkpoint=folder / "fit"
        ),
    }
    messages: dict[str, Any] = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError as error:
            messages[name] = str(error).replace(str(folder), "FOLDER")
        else:
            messages[name] = "nothing was said"
    if command:
        messages["command line"] = _command(folder).replace(str(folder), "FOLDER")
    clear = (
        "\n" not in m and "Error" not in m and "cannot be writ" in m for m in messages.values()
    )
    return {
        "messages": messages,
        "one clear line each": all(clear),
        "old file unharmed": old.read_bytes() == before,
        "nothing left over": not list(folder.rglob("*.tmp")),
    }


def rows_of(columns: int) -> Any:
    """Return some rows of numbers."""
    import torch

    return torch.randn(30, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _command(folder: Path) -> str:
    """Run `knotwork fit` with its output into a folder; return its complaint."""
    import contextlib
    import io

    from knotwork.cli import main

    data = rows()
    with tempfile.TemporaryDirectory() as elsewhere:
        table = Path(elsewhere) / "rows.csv"
        lines = [
            f"{a},{b},{y[0]}"
            for (a, b), y in zip(
                data["train_input"].tolist(), data["train_label"].tolist(), strict=True
            )
        ]
        table.write_text("\n".join(["a,b,y", *lines]) + "\n")
        complaint = io.StringIO()
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(io.StringIO()):
            sys.argv = [
                "knotwork",
                "fit",
                str(table),
                "--target",
                "y",
                "--out",
                str(folder / "out"),
            ]
            with contextlib.suppress(SystemExit):
                main()
    return complaint.getvalue().strip()


def _full(folder: Path) -> None:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(folder)], check=True
    )
    KAN([1, 1], seed=0).save(folder / "old.safetensors")


def _limited(folder: Path) -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    KAN([1, 1], seed=0).save(folder / "old.safetensors")
    resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, _ROOM))


def _read_only(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as other:
        # All modules are loaded while that is still allowed.
        _command(Path(other))
    KAN([1, 1], seed=0).save(folder / "old.safetensors")
    folder.chmod(0o555)
    if os.geteuid() == 0:
        # The superuser may write anywhere; nobody may not.
        os.setgid(65534)
        os.setuid(65534)


if __name__ == "__main__":
    way, command, place = sys.argv[1], sys.argv[2] != "alone", Path(sys.argv[3])
    {"full": _full, "limited": _limited, "read-only": _read_only}[way](place)
    print(json.dumps(_attempts(place, command)))
