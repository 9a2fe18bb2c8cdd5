"""What a file that is no checkpoint is instead, told by its first bytes, and who reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["about_file", "about_tensors"]

# Enough of a file to tell what it is, and of a JSON file to read it.
_FIRST = 1024
_LARGEST_JSON = 2**22
_NAMED = 3
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TABLES = (".csv", ".tsv", ".parquet")


def about_file(path: Path) -> str:
    """Say what a file that is not in the format of safetensors holds; nothing if unknown."""
    with path.open("rb") as file:
        first = file.read(_FIRST)
    if not first:
        return "it is empty"
    if first.startswith(b"PK\x03\x04"):
        return (
            "it is a zip file, as torch.save and skops write them: torch.load(path, "
            "weights_only=True) or skops.io.load reads it"
        )
    # A checkpoint that was cut short begins with the length of its header, so with zeros.
    if first.startswith(_PICKLES) and any(first[3:8]):
        return (
            "it is a pickle, as joblib.dump writes them: joblib.load reads it, and executes what "
            "is in it, so use it only for files of your own"
        )
    if path.suffix == ".onnx":
        return "it is an ONNX file: onnxruntime.InferenceSession(path) reads it"
    if path.suffix in _TABLES:
        return "it is a table: knotwork.read_table reads it"
    if first.lstrip()[:1] in (b"{", b"["):
        return _about_json(path)
    return ""


def _about_json(path: Path) -> str:
    try:
        content: Any = {}
        if path.stat().st_size <= _LARGEST_JSON:
            content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return ""
    if isinstance(content, dict) and {"expression", "variables"} <= content.keys():
        return (
            "it holds a formula as JSON: knotwork.symbolic.reading.from_data("
            'json.load(file)["expression"]) reads it'
        )
    beside = path.with_suffix(".safetensors")
    return f"it is JSON; the network is in {beside.name}" if beside.exists() else "it is JSON"


def about_tensors(shapes: Mapping[str, Sequence[int]]) -> str:
    """Say what is in a safetensors file of another program, by the shapes of its tensors."""
    names = sorted(shapes)
    if not names:
        return "it holds no tensors"
    shown = ", ".join(f"{name} {tuple(shapes[name])}" for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"it holds the tensors {shown}{more}, which another program saved: "
        "safetensors.torch.load_file reads them"
    )
