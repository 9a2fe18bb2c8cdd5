"""Rows in batches: from tensors in memory or from a DataLoader that streams them."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..data import Samples, as_dataset

# Memory for one block of rows of a Jacobian.
_BLOCK_BYTES = 32 * 2**20
# Rows evaluated at once.  Enough for full speed, little enough for the memory of one machine.
CHUNK_ROWS = 16384


def block_rows(columns: int) -> int:
    """Return how many rows of a Jacobian with that many columns to form at once."""
    return max(1, _BLOCK_BYTES // (8 * max(1, columns)))


class Batches(ABC):
    """A source of samples that can be gone through any number of times."""

    @abstractmethod
    def __iter__(self) -> Iterator[Samples]:
        """Go through all rows once."""

    @abstractmethod
    def double(self) -> Batches:
        """Return the same rows in float64."""

    @abstractmethod
    def sample(self, rows: int) -> Samples:
        """Return up to about `rows` rows that stand for all, always the same ones."""


class TensorBatches(Batches):
    """Rows in memory, in slices of at most `rows`."""

    def __init__(self, samples: Samples, rows: int = CHUNK_ROWS) -> None:
        self.samples = samples
        self.rows = rows

    def __iter__(self) -> Iterator[Samples]:
        yield from self.samples.blocks(self.rows)

    def __len__(self) -> int:
        return math.ceil(len(self.samples) / self.rows)

    def double(self) -> TensorBatches:
        """Return the same rows in float64."""
        return TensorBatches(self.samples.to(torch.float64), self.rows)

    def sample(self, rows: int) -> Samples:
        """Return evenly spaced rows."""
        return self.samples.thinned(rows)

    def shuffled(self, generator: torch.Generator) -> Iterator[Samples]:
        """Go through all rows once in random order."""
        order = torch.randperm(len(self.samples), generator=generator)
        order = order.to(self.samples.inputs.device)
        for start in range(0, len(order), self.rows):
            yield self.samples.take(order[start : start + self.rows])


class LoaderBatches(Batches):
    """Rows streamed by a DataLoader whose batches are (X, y) or (X, y, weights).

    Every batch is checked as it comes; a bad one raises before it reaches the network.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        *,
        inputs: int,
        outputs: int,
        dtype: torch.dtype,
        device: torch.device,
        classes: bool,
    ) -> None:
        self.loader = loader
        self._options: dict[str, Any] = {
            "inputs": inputs,
            "outputs": outputs,
            "dtype": dtype,
            "device": device,
            "classes": classes,
            "whole": False,
        }
        self._double = False
        self._sample: Samples | None = None

    def double(self) -> LoaderBatches:
        """Return the same rows in float64."""
        twin = copy.copy(self)
        twin._double = True
        twin._sample = None
        return twin

    def __iter__(self) -> Iterator[Samples]:
        empty = True
        for batch in self.loader:
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise TypeError(
                    "data: the DataLoader must yield (X, y) or (X, y, weights); it yielded "
                    f"{type(batch).__name__}."
                )
            weights = batch[2] if len(batch) == 3 else None
            empty = False
            samples = as_dataset((batch[0], batch[1]), weights=weights, **self._options).train
            samples = samples.counting()
            if len(samples):
                yield samples.to(torch.float64) if self._double else samples
        if empty:
            raise ValueError("data: the DataLoader yielded no batch, so there is nothing to learn.")

    def sample(self, rows: int) -> Samples:
        """Return the first batches of the first time through."""
        if self._sample is not None:
            return self._sample
        parts: list[Samples] = []
        for batch in self:
            parts.append(batch)
            if sum(len(part) for part in parts) >= rows:
                break
        self._sample = _join(parts)
        return self._sample


def _join(parts: list[Samples]) -> Samples:
    weights = [part.weights for part in parts]
    return Samples(
        torch.cat([part.inputs for part in parts]),
        torch.cat([part.targets for part in parts]),
        None
        if any(w is None for w in weights)
        else torch.cat([w for w in weights if w is not None]),
    )
