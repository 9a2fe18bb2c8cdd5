"""The state of a fit as plain values and tensors, and its reading back, every entry checked.

What is written is a tree of dicts (with names for keys) and lists, its leaves numbers, texts,
truth values, None and tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Saved", "pack"]

_TENSOR = "tensor"


def pack(value: Any, tensors: dict[str, Tensor], name: str = "state") -> Any:
    """Return a tree for JSON; its tensors go into `tensors`, by their place in the tree."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        return {key: pack(part, tensors, f"{name}.{key}") for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [pack(part, tensors, f"{name}.{place}") for place, part in enumerate(value)]
    return value


class Saved:
    """A dict of what `pack` made; every way of reading an entry raises ValueError if it cannot be.

    Parameters
    ----------
    entries : object
        Read from JSON; a dict, if all is well.
    tensors : mapping of str to Tensor
    """

    def __init__(self, entries: object, tensors: Mapping[str, Tensor]) -> None:
        if not isinstance(entries, dict):
            raise ValueError(f"a part of the state must be a dict; it is {str(entries)[:40]!r}.")
        self._entries: dict[str, Any] = entries
        self._tensors = tensors

    def _entry(self, key: str) -> Any:
        if key not in self._entries:
            raise ValueError(f"the state has no entry {key!r}.")
        return self._entries[key]

    def _wrong(self, key: str, what: str) -> ValueError:
        return ValueError(f"{key} must be {what}; it is {str(self._entry(key))[:40]!r}.")

    def is_none(self, key: str) -> bool:
        """Tell whether an entry is None."""
        return self._entry(key) is None

    def part(self, key: str) -> Saved:
        """Return an entry that is a dict itself."""
        return Saved(self._entry(key), self._tensors)

    def parts(self, key: str) -> list[Saved]:
        """Return a list of dicts."""
        return [Saved(entry, self._tensors) for entry in self.entries(key)]

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def integer(self, key: str) -> int:
        """Return a count, which is 0 or more."""
        value = self._entry(key)
        if type(value) is not int or not 0 <= value < 2**53:
            raise self._wrong(key, "a count")
        return value

    def number(self, key: str) -> float:
        """Return a number, finite or not."""
        value = self._entry(key)
        if type(value) is not float and type(value) is not int:
            raise self._wrong(key, "a number")
        return float(value)

    def flag(self, key: str) -> bool:
        """Return a truth value."""
        value = self._entry(key)
        if type(value) is not bool:
            raise self._wrong(key, "true or false")
        return value

    def text(self, key: str) -> str:
        """Return a text."""
        value = self._entry(key)
        if type(value) is not str:
            raise self._wrong(key, "a text")
        return value

    def is_tensor(self, key: str) -> bool:
        """Tell whether an entry is a tensor."""
        value = self._entry(key)
        return isinstance(value, dict) and value.keys() == {_TENSOR}

    def tensor(self, key: str, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
        """Return a tensor of this dtype and shape."""
        return self._tensor(key, self._entry(key), dtype, shape)

    def tensors(
        self, key: str, dtype: torch.dtype, shapes: Sequence[Sequence[int]]
    ) -> list[Tensor]:
        """Return a list of tensors of one dtype and these shapes."""
        parts = self.entries(key)
        if len(parts) != len(shapes):
            raise ValueError(f"{key} must have {len(shapes)} parts; it has {len(parts)}.")
        return [self._tensor(key, part, dtype, s) for part, s in zip(parts, shapes, strict=True)]

    def entries(self, key: str) -> list[Any]:
        """Return a list as it is."""
        value = self._entry(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return value

    def _tensor(self, key: str, entry: Any, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
        name = entry.get(_TENSOR) if isinstance(entry, dict) else None
        tensor = self._tensors.get(name) if isinstance(name, str) else None
        if tensor is None or tensor.dtype != dtype or tensor.shape != tuple(shape):
            raise ValueError(f"{key} must be a tensor in {dtype} of shape {tuple(shape)}.")
        return tensor
