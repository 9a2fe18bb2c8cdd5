"""The free parameters of a network as one vector: which there are, and where each stands."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from ..layers import KANLayer
from ..network import KAN

T = TypeVar("T")


@dataclass(frozen=True)
class LayerParameters:
    """The free parameters of one layer and where they stand in the network's vector.

    Attributes
    ----------
    layer : KANLayer
    sources, targets : Tensors of shape (spline edges,)
        Input and output of every spline edge.
    free : Tensor of shape (symbolic edges, 3), bool
        Which of a, b, c are free on every symbolic edge.
    offset, size : int
        The layer's slice of the vector: spline edges (each its coefficients, then the residual's
        weight), free symbolic constants, biases.
    """

    layer: KANLayer
    sources: Tensor
    targets: Tensor
    free: Tensor
    offset: int

    @cached_property
    def per_edge(self) -> int:
        """Number of weights of one spline edge."""
        return self.layer.coefficients.shape[1] + (self.layer.residual_weight is not None)

    @cached_property
    def coefficients(self) -> int:
        """Number of coefficients of all spline edges, without their residuals' weights."""
        return len(self.sources) * self.layer.coefficients.shape[1]

    @cached_property
    def spline_size(self) -> int:
        """Number of weights of all spline edges."""
        return len(self.sources) * self.per_edge

    @cached_property
    def size(self) -> int:
        """Number of free parameters of the layer."""
        return self.spline_size + int(self.free.sum()) + self.layer.out_features

    @property
    def tensors(self) -> list[Tensor]:
        """The layer's parameters, as they are now: grids and symbols replace them."""
        # Past nn.Module's look-up of attributes, which takes longer than copying a small one.
        known = self.layer._parameters
        names = ["coefficients", "residual_weight", "affine", "bias"]
        if self.layer.residual is None:
            names.remove("residual_weight")
        return [cast(Tensor, known[name]) for name in names]

    def places(self) -> Tensor:
        """Where every entry of the layer's slice stands in its `tensors`, flattened and joined.

        Returns
        -------
        Tensor of shape (size,), int64
        """
        layer, device = self.layer, self.sources.device
        _, count, outputs = layer.coefficients.shape
        begins = [0]
        for tensor in self.tensors:
            begins.append(begins[-1] + tensor.numel())
        row = torch.arange(count, device=device)
        splines = (self.sources[:, None] * count + row) * outputs + self.targets[:, None]
        if layer.residual_weight is not None:
            weights = begins[1] + self.sources * outputs + self.targets
            splines = torch.cat([splines, weights[:, None]], dim=1)
        constants = begins[-3] + self.free.flatten().nonzero()[:, 0]
        biases = torch.arange(begins[-2], begins[-1], device=device)
        return torch.cat([splines.flatten(), constants, biases])


class FreeParameters:
    """All free parameters of a network as one vector.

    Weights of absent edges, the splines beneath symbolic edges and constants that a function's
    symmetry makes redundant (``c * (a*x)**2`` needs no `a`) are left out.
    """

    def __init__(self, model: KAN) -> None:
        self.model = model
        self.parts: list[LayerParameters] = []
        offset = 0
        for index in range(model.depth):
            layer = model.layer(index)
            sources, targets = layer.spline_mask.nonzero().T
            free = torch.tensor(
                [[f.free_a, f.free_b, True] for f in layer.functions],
                dtype=torch.bool,
                device=model.device,
            ).reshape(-1, 3)
            part = LayerParameters(layer, sources, targets, free, offset)
            self.parts.append(part)
            offset += part.size
        self.size = offset
        self._vector = Remembered[Tensor](self)

    @cached_property
    def coefficients(self) -> int:
        """Number of coefficients of all spline edges."""
        return sum(part.coefficients for part in self.parts)

    @cached_property
    def place_by_kind(self) -> Tensor:
        """Where every entry stands if all coefficients come first, then residuals' weights.

        After those symbolic constants and biases, layer by layer; shape (size,), int64.
        """
        device = self.model.device
        local, weight = 0, self.coefficients
        plain = sum(part.spline_size for part in self.parts)
        places: list[Tensor] = []
        for part in self.parts:
            edges = torch.arange(local, local + part.coefficients, device=device)
            edges = edges.unflatten(0, (len(part.sources), part.layer.coefficients.shape[1]))
            weights = part.spline_size - part.coefficients
            if weights:
                own = torch.arange(weight, weight + weights, device=device)
                edges = torch.cat([edges, own[:, None]], dim=1)
            rest = part.size - part.spline_size
            places += [edges.flatten(), torch.arange(plain, plain + rest, device=device)]
            local, weight, plain = local + part.coefficients, weight + weights, plain + rest
        return torch.cat(places)

    @cached_property
    def _places(self) -> Tensor:
        """Where every entry stands in all layers' tensors, flattened and joined."""
        places: list[Tensor] = []
        begin = 0
        for part in self.parts:
            places.append(begin + part.places())
            begin += sum(tensor.numel() for tensor in part.tensors)
        return torch.cat(places)

    @cached_property
    def _order(self) -> tuple[Tensor, list[int], list[Tensor]]:
        """The vector's entries by where they stand; how many in every tensor, and where there."""
        places, order = self._places.sort()
        counts = [tensor.numel() for tensor in self._tensors()]
        begins = [0, *accumulate(counts)]
        cuts = torch.searchsorted(places, torch.tensor(begins, device=places.device))
        sizes = cuts.diff().tolist()
        parts = zip(places.split(sizes), begins, strict=False)
        return order, sizes, [part - begin for part, begin in parts]

    # Both are called in every trial of a step: few operations on tensors.

    @torch.no_grad()
    def read(self) -> Tensor:
        """Return the vector, shape (size,); it is shared, and not to be written to."""
        return self._vector.value(lambda: _joined(self._tensors()).take(self._places))

    @torch.no_grad()
    def write(self, values: Tensor) -> None:
        """Set the network's parameters from a vector of shape (size,), which is kept."""
        order, sizes, places = self._order
        parts = values.take(order).split_with_sizes(sizes)
        for tensor, size, place, part in zip(self._tensors(), sizes, places, parts, strict=True):
            if size:
                tensor.put_(place, part)
        self._vector.remember(values)

    def version(self) -> Hashable:
        """Return what changes whenever a parameter is written to or replaced."""
        return tuple((id(tensor), tensor._version) for tensor in self._tensors())

    def _tensors(self) -> list[Tensor]:
        return [tensor for part in self.parts for tensor in part.tensors]

    def trainable(self) -> Tensor:
        """Tell which entries of the vector may change, those whose parameters require gradients."""
        flags: list[Tensor] = []
        for part in self.parts:
            layer, edges = part.layer, len(part.sources)
            columns = [layer.coefficients.requires_grad] * layer.coefficients.shape[1]
            if layer.residual_weight is not None:
                columns.append(layer.residual_weight.requires_grad)
            constants = [layer.affine.requires_grad] * int(part.free.sum())
            biases = [layer.bias.requires_grad] * layer.out_features
            flags.append(torch.tensor([*columns * edges, *constants, *biases]))
        return torch.cat(flags)

    def index_of(self, layer: int, kind: str, position: int) -> int | None:
        """Return where a constant stands in the vector, or None if it is not free.

        `kind` is "a", "b" or "c" of the symbolic edge at `position`, or "bias" of that output.
        """
        part = self.parts[layer]
        if kind == "bias":
            return part.offset + part.size - part.layer.out_features + position
        column = "abc".index(kind)
        if not bool(part.free[position, column]):
            return None
        before = int(part.free[:position].sum()) + int(part.free[position, :column].sum())
        return part.offset + part.spline_size + before


class Remembered(Generic[T]):
    """A value that is worked out once for parameters that stay as they are."""

    def __init__(self, parameters: FreeParameters) -> None:
        self._parameters = parameters
        self._known: tuple[Hashable, T] | None = None

    def value(self, compute: Callable[[], T]) -> T:
        """Return the value, computed anew if the parameters have changed."""
        version = self._parameters.version()
        if self._known is None or self._known[0] != version:
            self._known = version, compute()
        return self._known[1]

    def remember(self, value: T) -> None:
        """Take a value that is known to be that of the present parameters."""
        self._known = self._parameters.version(), value


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])
