"""What the edges of a layer are: splines, symbolic functions, or absent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ._checks import check_index
from .functions import SymbolicFunction, get

ABSENT, SPLINE, SYMBOLIC = 0, 1, 2


def constants_of(rows: Tensor) -> nn.Parameter:
    """Return the constants of symbolic edges as a parameter, shape (symbolic edges, 3).

    Without symbolic edges none requires a gradient, as it would never get one: what goes through
    all parameters, as DistributedDataParallel does, would wait for it in vain.
    """
    return nn.Parameter(rows, requires_grad=len(rows) > 0)


class LayerEdges(nn.Module):
    """The part of a layer that knows its edges' kinds, and the functions on symbolic ones.

    A symbolic edge is ``c * f(a * x + b)``; its constant term lives in the node's bias.

    Attributes
    ----------
    in_features, out_features : int
    kind : Tensor of shape (in_features, out_features), uint8
        `ABSENT`, `SPLINE` or `SYMBOLIC`.
    bias : Parameter of shape (out_features,)
    functions : list of SymbolicFunction
        One for each symbolic edge, as the rows of all that follow.
    symbolic_edges : Tensor of shape (symbolic edges, 2), int64
        Input and output.
    affine : Parameter of shape (symbolic edges, 3)
        The constants a, b, c.
    offsets : Tensor of shape (symbolic edges,)
        What was added to the node's bias.
    replaced : Tensor of shape (symbolic edges,), uint8
        The kind that the edge had before.
    """

    in_features: int
    out_features: int
    kind: Tensor
    bias: nn.Parameter
    affine: nn.Parameter
    symbolic_edges: Tensor
    offsets: Tensor
    replaced: Tensor
    functions: list[SymbolicFunction]

    @property
    def spline_mask(self) -> Tensor:
        """Which edges are splines: bool, shape (in_features, out_features)."""
        return self.kind == SPLINE

    def function_at(self, i: int, j: int) -> SymbolicFunction | None:
        """Return the symbolic function on edge (i, j), or None if it carries none."""
        position = self._symbolic_position(i, j)
        return None if position is None else self.functions[position]

    def constants_at(self, i: int, j: int) -> tuple[float, float, float] | None:
        """Return the constants (a, b, c) of a symbolic edge, or None if edge (i, j) is not one."""
        position = self._symbolic_position(i, j)
        if position is None:
            return None
        a, b, c = self.affine[position].tolist()
        return a, b, c

    def _symbolic_position(self, i: int, j: int) -> int | None:
        for position, edge in enumerate(self.symbolic_edges.tolist()):
            if edge == [i, j]:
                return position
        return None

    def function_groups(self) -> list[tuple[SymbolicFunction, Tensor]]:
        """Return each distinct symbolic function with the positions of the edges it is on."""
        groups: dict[SymbolicFunction, list[int]] = {}
        for position, function in enumerate(self.functions):
            groups.setdefault(function, []).append(position)
        device = self.symbolic_edges.device
        return [(f, torch.tensor(where, device=device)) for f, where in groups.items()]

    def symbolic_values(self, x: Tensor) -> Tensor:
        """Return c f(a x + b) for every symbolic edge: shape (rows, symbolic edges)."""
        a, b, c = self.affine.unbind(1)
        arguments = x[:, self.symbolic_edges[:, 0]] * a + b
        groups = self.function_groups()
        if len(groups) == 1:
            return c * groups[0][0].torch(arguments)
        values = torch.cat([f.torch(arguments[:, where]) for f, where in groups], dim=1)
        order = torch.cat([where for _, where in groups]).argsort()
        return c * values[:, order]

    def set_symbolic(
        self, i: int, j: int, function: SymbolicFunction, a: float, b: float, c: float, d: float
    ) -> None:
        """Put ``c * f(a * x + b) + d`` on edge (i, j); `d` is added to the node's bias."""
        i = check_index(i, "i", self.in_features, "inputs")
        j = check_index(j, "j", self.out_features, "outputs")
        if self._symbolic_position(i, j) is not None:
            self.unset_symbolic(i, j)
        edge = torch.tensor([[i, j]], device=self.symbolic_edges.device)
        with torch.no_grad():
            replaced = self.kind[i, j].reshape(1).clone()
            self.kind[i, j] = SYMBOLIC
            self.symbolic_edges = torch.cat([self.symbolic_edges, edge])
            self.offsets = torch.cat([self.offsets, self.offsets.new_tensor([d])])
            self.replaced = torch.cat([self.replaced, replaced])
            row = self.affine.new_tensor([[a, b, c]])
            self.affine = constants_of(torch.cat([self.affine.detach(), row]))
            self.bias[j] += d
        self.functions.append(function)

    def unset_symbolic(self, i: int, j: int) -> None:
        """Give edge (i, j) back what it was before `set_symbolic`."""
        position = self._symbolic_position(i, j)
        if position is None:
            raise ValueError(f"edge ({i}, {j}) is not symbolic, so there is nothing to undo.")
        with torch.no_grad():
            self.bias[j] -= self.offsets[position]
        self.kind[i, j] = self.replaced[position]
        self._forget_symbolic(position)

    def remove_edge(self, i: int, j: int, constant: Tensor | float = 0.0) -> None:
        """Make edge (i, j) absent, adding `constant` to its node's bias in its place."""
        position = self._symbolic_position(i, j)
        if position is not None:
            self._forget_symbolic(position)
        self.kind[i, j] = ABSENT
        with torch.no_grad():
            self.bias[j] += constant

    def _forget_symbolic(self, position: int) -> None:
        keep = torch.arange(len(self.functions), device=self.symbolic_edges.device) != position
        self.symbolic_edges = self.symbolic_edges[keep]
        self.offsets = self.offsets[keep]
        self.replaced = self.replaced[keep]
        self.affine = constants_of(self.affine.detach()[keep])
        del self.functions[position]

    def get_extra_state(self) -> dict[str, Any]:
        """Return the names of the symbolic functions, for ``state_dict``."""
        return {"functions": [function.name for function in self.functions]}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the symbolic functions by name, from the library or those already on the layer."""
        known = {function.name: function for function in self.functions}
        self.functions = [known.get(name) or get(name) for name in state["functions"]]
