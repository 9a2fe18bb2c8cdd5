"""One safetensors file with a JSON header in its metadata: sealed, and written all or not at all.

The header carries a SHA-256 over itself and the tensors, so that a file that was damaged or edited
is noticed.  It guards against accidents, not against forgery.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ._atomic_write import write_atomically
from ._foreign_files import about_file, about_tensors

FORMAT = "knotwork"
FORMAT_VERSION = 1
# The "class" of a header whose file holds a fit under way instead of a network.
TRAINING = "training"
# Characters of a reason, which can quote the file.
_LONGEST_REASON = 300


class CheckpointError(ValueError):
    """A file is not a checkpoint that can be read: damaged, foreign, or too new."""


def write(path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a header and tensors to a file, which keeps its old content until all is on disk."""
    # safetensors wants every tensor in row order and on memory of its own.
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    complete = {"format": FORMAT, "version": FORMAT_VERSION, **header}
    digest = _digest(json.dumps({**complete, "sha256": ""}), stored)
    text = json.dumps({**complete, "sha256": digest})
    write_atomically(path, safetensors.torch.save(stored, metadata={FORMAT: text}))


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the header and the tensors of a file, unaltered, or raise CheckpointError."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file.")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(FORMAT)
            # Not a dict: iterating over the file itself is not possible.
            names = file.keys()
            if text is None:
                held = about_tensors({name: file.get_slice(name).get_shape() for name in names})
                raise CheckpointError(f"{path} is not a knotwork checkpoint: {held}.")
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        held = about_file(path)
        if held:
            raise CheckpointError(
                f"{path} is not a safetensors file and so no knotwork checkpoint: {held}."
            ) from error
        raise CheckpointError(
            f"{path} is not a safetensors file, was cut short or is damaged "
            f"({str(error)[:_LONGEST_REASON]}): save it again or fetch a fresh copy."
        ) from error
    return _open_header(path, text, tensors), tensors


def _open_header(path: Path, text: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: its header is not JSON.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a knotwork checkpoint: its header says otherwise.")
    version, digest = header.get("version"), header.get("sha256")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} was written by a newer knotwork (format {version}; this one reads up to "
            f"{FORMAT_VERSION}): upgrade knotwork."
        )
    if version != FORMAT_VERSION or not isinstance(digest, str) or len(digest) != 64:
        raise CheckpointError(f"{path} is damaged: its header has no version or no checksum.")
    if _digest(text.replace(digest, ""), tensors) != digest:
        raise CheckpointError(
            f"{path} was altered or damaged after it was saved, as its checksum does not fit: save "
            "it again or fetch a fresh copy."
        )
    return header


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the tensors and of a header whose own "sha256" is empty."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), tensor.shape]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
