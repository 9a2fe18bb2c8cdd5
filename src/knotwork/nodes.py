"""The nodes between layers: sums, and products of sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ._checks import check_integer

WidthEntry = int | Sequence[Any]


@dataclass(frozen=True)
class Nodes:
    """The nodes between two layers: sums first, then products.

    Attributes
    ----------
    sums : int
        Nodes that pass the sum of their edges on.
    products : tuple of int
        For every multiplication node its arity, the number of sums that it multiplies.
    """

    sums: int
    products: tuple[int, ...] = ()

    @classmethod
    def parse(cls, entry: WidthEntry, position: int) -> Nodes:
        """Read one entry of a width list: an int, or a pair (sums, products)."""
        where = f"width[{position}]"
        if isinstance(entry, Sequence) and not isinstance(entry, str):
            if position == 0 and len(entry) == 2 and entry[1]:
                raise ValueError(
                    f"{where} counts the inputs, so it cannot have products: got {entry!r}."
                )
            if len(entry) != 2:
                raise ValueError(
                    f"{where} must be a whole number or a pair (sums, products); got {entry!r}."
                )
            sums = check_integer(entry[0], f"{where}[0]", low=0)
            products = entry[1]
            if isinstance(products, Sequence) and not isinstance(products, str):
                arities = tuple(
                    check_integer(arity, f"{where}[1][{place}]", low=2)
                    for place, arity in enumerate(products)
                )
            else:
                arities = (2,) * check_integer(products, f"{where}[1]", low=0)
            if sums + len(arities) == 0:
                raise ValueError(f"{where} has no nodes: give at least one sum or product.")
            return cls(sums, arities)
        return cls(check_integer(entry, where, low=1))

    @property
    def count(self) -> int:
        """Number of nodes."""
        return self.sums + len(self.products)

    @property
    def subnodes(self) -> int:
        """Number of sums that the layer before must provide."""
        return self.sums + sum(self.products)

    def members(self, node: int) -> range:
        """Return which of the layer's sums make up node number `node`."""
        if node < self.sums:
            return range(node, node + 1)
        start = self.sums + sum(self.products[: node - self.sums])
        return range(start, start + self.products[node - self.sums])

    def owners(self) -> list[int]:
        """Return for each of the layer's sums the node that it belongs to."""
        return [node for node in range(self.count) for _ in self.members(node)]

    def combine(self, subnodes: Tensor) -> Tensor:
        """Turn the layer's sums, shape (..., subnodes), into node values, (..., count)."""
        if not self.products:
            return subnodes
        parts = [subnodes[..., : self.sums]]
        for node in range(self.sums, self.count):
            first, *others = self.members(node)
            value = subnodes[..., first]
            for other in others:
                value = value * subnodes[..., other]
            parts.append(value[..., None])
        return torch.cat(parts, dim=-1)

    def slopes(self, subnodes: Tensor) -> Tensor:
        """Return d node / d sum for every sum: shape (..., subnodes)."""
        if not self.products:
            return torch.ones_like(subnodes)
        slopes = [torch.ones_like(subnodes[..., : self.sums])]
        for node in range(self.sums, self.count):
            members = self.members(node)
            for member in members:
                others = [subnodes[..., other] for other in members if other != member]
                slopes.append(torch.stack(others).prod(dim=0)[..., None])
        return torch.cat(slopes, dim=-1)

    def as_entry(self) -> int | tuple[int, int] | tuple[int, tuple[int, ...]]:
        """Return the entry of a width list that `parse` would read as these nodes."""
        if not self.products:
            return self.sums
        if set(self.products) == {2}:
            return (self.sums, len(self.products))
        return (self.sums, self.products)


def parse_width(width: Any) -> list[Nodes]:
    """Read a width list as the constructor of `KAN` takes it: the inputs, then each layer's nodes.

    Raises
    ------
    TypeError, ValueError
        If it is not a list of whole numbers and pairs with an entry for inputs and for outputs.
    """
    if not isinstance(width, Sequence) or isinstance(width, str):
        raise TypeError(f"width must be a list such as [2, 5, 1]; got {width!r}.")
    if len(width) < 2:
        raise ValueError(
            f"width must have at least an input and an output entry, as [2, 1]; got {width!r}."
        )
    return [Nodes.parse(entry, position) for position, entry in enumerate(width)]
