"""Rows of numbers to learn from: checked tensors, together with the names of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows of inputs with what they should give.

    Attributes
    ----------
    inputs : Tensor, shape (rows, n), floating
    targets : Tensor, shape (rows, m), floating, or (rows,), int64
        Numbers to predict, or class labels.
    weights : Tensor, shape (rows,), floating, optional
        How much each row counts; None counts all the same.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Samples:
        """Return these rows in another dtype or on another device; class labels stay integers."""

        def converted(values: Tensor) -> Tensor:
            return values.to(device=device, dtype=dtype if values.is_floating_point() else None)

        return Samples(
            converted(self.inputs),
            converted(self.targets),
            None if self.weights is None else converted(self.weights),
        )

    def take(self, rows: slice | Tensor) -> Samples:
        """Return these rows only."""
        weights = None if self.weights is None else self.weights[rows]
        return Samples(self.inputs[rows], self.targets[rows], weights)

    def blocks(self, rows: int) -> Iterator[Samples]:
        """Go through all rows, at most `rows` at a time."""
        for start in range(0, len(self), rows):
            yield self if len(self) <= rows else self.take(slice(start, start + rows))

    def counting(self) -> Samples:
        """Return the rows whose weight is not zero."""
        if self.weights is None or bool(self.weights.all()):
            return self
        return self.take(self.weights != 0)

    def thinned(self, rows: int) -> Samples:
        """Return evenly spaced rows, at least `rows` of them (or all) and fewer than twice that."""
        return self.take(slice(None, None, max(1, len(self) // rows)))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to train on, rows to judge by, and the names of the columns where they are known.

    Attributes
    ----------
    train : Samples
    test : Samples, optional
    input_names, target_names : tuple of str, optional
    """

    train: Samples
    test: Samples | None = None
    input_names: tuple[str, ...] | None = None
    target_names: tuple[str, ...] | None = None

    def select_inputs(self, columns: list[int]) -> Dataset:
        """Return the same rows with only these columns of the inputs."""

        def select(samples: Samples) -> Samples:
            return Samples(samples.inputs[:, columns], samples.targets, samples.weights)

        names = self.input_names
        return Dataset(
            select(self.train),
            None if self.test is None else select(self.test),
            None if names is None else tuple(names[column] for column in columns),
            self.target_names,
        )

    def __deepcopy__(self, memo: dict[int, object]) -> Dataset:
        # Rows are never changed in place, so copies of a network share them.
        return self
