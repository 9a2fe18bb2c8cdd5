"""Files that commands write: each one whole or not at all."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from .._atomic_write import write_atomically

PICTURE_FORMATS = ("png", "svg", "pdf")
_DPI = 160


def check_folder(folder: Path) -> None:
    """Raise unless files can be written into `folder`, which need not exist yet."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{existing} is a file, so nothing can be written into it.")
    if not os.access(existing, os.W_OK):
        raise PermissionError(f"{existing} cannot be written to: choose another --out.")


def picture_format(path: Path) -> str:
    """Return the format that a picture's file name asks for."""
    ending = path.suffix.lower().removeprefix(".")
    if ending not in PICTURE_FORMATS:
        known = ", ".join(f".{known}" for known in PICTURE_FORMATS)
        raise ValueError(f"{path.name}: a picture's name must end in one of {known}.")
    return ending


def write_picture(figure: Figure, path: Path) -> None:
    """Save a figure in the format that the file's ending names."""
    form = picture_format(path)
    buffer = BytesIO()
    # Without a date in it, the same picture is the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    figure.savefig(buffer, format=form, dpi=_DPI, metadata=metadata)
    write_bytes(buffer.getvalue(), path)


def write_text(text: str, path: Path) -> None:
    """Write a line of text."""
    write_bytes(f"{text}\n".encode(), path)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file; what was there before stays until all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
