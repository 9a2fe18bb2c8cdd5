r"""One way of writing a symbolic network.

A hidden node's scale and origin mean nothing: :math:`h \to t h + s` changes no output if what
follows undoes it, so constants before and after the node trade against each other.  Here they are
given the values a person would: an outer function without scale and shift of its own, a linear
one without factor.  What is fixed this way is no longer a free constant.
"""

from __future__ import annotations

import math

import torch

from ..layers import SPLINE
from ..network import KAN


@torch.no_grad()
def fix_gauge(model: KAN) -> set[tuple[int, str, int]]:
    """Write a symbolic network in its canonical form, in place, without changing its outputs.

    Parameters
    ----------
    model : KAN, float64
        All edges symbolic or absent.

    Returns
    -------
    set of (layer, kind, position)
        Constants that are now fixed by convention: `kind` is "a", "b" or "c" of the symbolic edge
        at `position` of the layer, or "bias" of its output `position`.
    """
    for level in range(model.depth):
        _normalise_layer(model, level)
    fixed: set[tuple[int, str, int]] = set()
    # Scales from the outputs down, since each changes factors below; then origins from the inputs
    # up, since each changes constants above.
    for level in range(model.depth - 1, 0, -1):
        for node in range(model.nodes[level - 1].count):
            fixed |= _fix_scales(model, level, node)
    for level in range(1, model.depth):
        for node in range(model.nodes[level - 1].count):
            fixed |= _fix_origin(model, level, node)
    return fixed


def _normalise_layer(model: KAN, level: int) -> None:
    """Bring every edge's constants to their function's canonical form."""
    layer = model.layer(level)
    for position, function in enumerate(layer.functions):
        a, b, c, d = function.normalise(*layer.affine[position].tolist())
        layer.affine[position] = layer.affine.new_tensor([a, b, c])
        layer.bias[layer.symbolic_edges[position, 1]] += d


def _outgoing(model: KAN, level: int, node: int) -> list[int]:
    """Return the positions of a node's outgoing edges, none if some are still splines."""
    layer = model.layer(level)
    if bool((layer.kind[node] == SPLINE).any()):
        return []
    return [p for p, (i, _) in enumerate(layer.symbolic_edges.tolist()) if i == node]


def _fix_scales(model: KAN, level: int, node: int) -> set[tuple[int, str, int]]:
    """Fix the scale of one hidden node, the input `node` of layer `level`."""
    outgoing = _outgoing(model, level, node)
    if not outgoing:
        return set()
    below, members = model.layer(level - 1), list(model.nodes[level - 1].members(node))
    fixed: set[tuple[int, str, int]] = set()
    # The scales of a product's factors trade against each other: all but the first get units.
    for member in members[1:]:
        first = _first_into(model, level - 1, member)
        if first is None:
            continue
        size = float(below.affine[first, 2].detach())
        _scale_sum(model, level - 1, member, 1 / size)
        _scale_sum(model, level - 1, members[0], size)
        below.affine[first, 2] = 1.0
        fixed.add((level - 1, "c", first))
    return fixed | _fix_scale(model, level, outgoing, members[0])


def _first_into(model: KAN, level: int, output: int) -> int | None:
    """Return the position of the first edge into a sum that carries a factor, or None."""
    layer = model.layer(level)
    for position, (_, j) in enumerate(layer.symbolic_edges.tolist()):
        if j == output and float(layer.affine[position, 2]) != 0:
            return position
    return None


def _scale_sum(model: KAN, level: int, output: int, factor: float) -> None:
    """Multiply one sum of a layer by a factor."""
    layer = model.layer(level)
    into = layer.symbolic_edges[:, 1] == output
    layer.affine[into, 2] *= factor
    layer.bias[output] *= factor


def _fix_scale(
    model: KAN, level: int, outgoing: list[int], member: int
) -> set[tuple[int, str, int]]:
    layer, below = model.layer(level), model.layer(level - 1)
    symmetry = {p: layer.functions[p].symmetry for p in outgoing}
    scaled = [p for p in outgoing if layer.functions[p].free_a]
    powers = [
        p
        for p in outgoing
        if symmetry[p] == "linear" or (symmetry[p] == "power" and layer.functions[p].degree != 0)
    ]
    fixed: tuple[int, str, int] | None = None
    factor = 1.0
    if scaled:
        factor = float(layer.affine[scaled[0], 0].detach())
        fixed = (level, "a", scaled[0])
    elif powers:
        degree = layer.functions[powers[0]].degree if symmetry[powers[0]] == "power" else 1.0
        size = abs(float(layer.affine[powers[0], 2]))
        factor = size ** (1 / degree) if size > 0 else 0.0
        fixed = (level, "c", powers[0])
    else:
        first = _first_into(model, level - 1, member)
        if first is not None:
            factor = 1 / abs(float(below.affine[first, 2]))
            fixed = (level - 1, "c", first)
    if fixed is None or not (math.isfinite(factor) and factor != 0):
        return set()
    _scale_sum(model, level - 1, member, factor)
    layer.affine[outgoing, 0] /= factor
    _normalise_layer(model, level)
    # The division leaves a rounding error on what is 1 by convention.
    affine = model.layer(fixed[0]).affine
    column = "abc".index(fixed[1])
    one = affine[fixed[2], column].sign()
    if torch.isclose(affine[fixed[2], column], one):
        affine[fixed[2], column] = one
    return {fixed}


def _fix_origin(model: KAN, level: int, node: int) -> set[tuple[int, str, int]]:
    """Fix the origin of one hidden sum node; a product has none to choose."""
    layer, below = model.layer(level), model.layer(level - 1)
    outgoing, members = _outgoing(model, level, node), list(model.nodes[level - 1].members(node))
    if not outgoing or len(members) > 1:
        return set()
    if bool((layer.affine[outgoing, 0] == 0).any()):
        # A function of a constant: a shift of the node cannot be told from nothing.
        return set()
    member = members[0]
    # All of the node's constant goes into the functions after it, where whole periods drop out.
    _shift(model, level, outgoing, member, -float(below.bias[member]))
    below.bias[member] = 0.0
    shifted = [p for p in outgoing if layer.functions[p].free_b]
    if not shifted:
        return {(level - 1, "bias", member)}
    a, b, _ = layer.affine[shifted[0]].tolist()
    _shift(model, level, outgoing, member, b / a)
    layer.affine[shifted[0], 1] = 0.0
    return {(level, "b", shifted[0])}


def _shift(model: KAN, level: int, outgoing: list[int], member: int, shift: float) -> None:
    """Add a constant to a hidden sum and take it off again in what follows."""
    layer = model.layer(level)
    model.layer(level - 1).bias[member] += shift
    layer.affine[outgoing, 1] -= layer.affine[outgoing, 0] * shift
    _normalise_layer(model, level)
