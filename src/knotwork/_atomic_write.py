"""Files that are written all or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

# The disk, the user's share of it, or what a file may hold, is full.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_destination(path: Path) -> Path:
    """Return where a file will be written, links followed, before the work on it begins.

    Raises
    ------
    OSError, ValueError
        If there is no such folder, or the file is none that can be written.
    """
    # A link stays a link: what it points to is replaced.
    path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file in it.")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not an ordinary file and is left alone: choose another name.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist: create it first.")
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, which keeps its old content until all of the new is on disk.

    Raises
    ------
    OSError, ValueError
        As `check_destination`, and if the file cannot be written whole.
    """
    path = check_destination(path)
    folder = path.parent
    temporary = folder / f".knotwork-{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        remedy = "make room" if error.errno in _FULL else "choose a folder that you may write to"
        told = type(error)(f"{path} cannot be written ({error.strerror}): {remedy}.")
        told.errno = error.errno
        raise told from error
    finally:
        # Nothing is left of it but after a failure.
        temporary.unlink(missing_ok=True)
    # Not every system can sync a folder; the file is whole either way.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
