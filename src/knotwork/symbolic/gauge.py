r"""One way of writing a symbolic network.

A hidden node's scale and origin mean nothing: :math:`h \to t h + s` changes no output if what
follows undoes it, so constants before and after the node trade against each other.  Here they are
given the values a person would: an outer function without scale and shift of its own, a linear
one without factor.  What is fixed this way is no longer a free constant.
"""

from __future__ import annotations

import math

import torch

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
    fixed: set[tuple[int, str, int]] = set()
    for level in range(model.depth - 1, 0, -1):
        _normalise_layer(model, level)
        for node in range(model.nodes[level - 1].count):
            fixed |= _fix_node(model, level, node)
    _normalise_layer(model, 0)
    return fixed


def _normalise_layer(model: KAN, level: int) -> None:
    """Bring every edge's constants to their function's canonical form."""
    layer = model.layer(level)
    for position, function in enumerate(layer.functions):
        a, b, c, d = function.normalise(*layer.affine[position].tolist())
        layer.affine[position] = layer.affine.new_tensor([a, b, c])
        layer.bias[layer.symbolic_edges[position, 1]] += d


def _fix_node(model: KAN, level: int, node: int) -> set[tuple[int, str, int]]:
    """Fix the scale and origin of one hidden node, the input `node` of layer `level`."""
    layer, below = model.layer(level), model.layer(level - 1)
    outgoing = [p for p, (i, _) in enumerate(layer.symbolic_edges.tolist()) if i == node]
    members = list(model.nodes[level - 1].members(node))
    if not outgoing or any(layer.kind[node] == 1):
        return set()
    fixed: set[tuple[int, str, int]] = set()
    # The scales of a product's factors trade against each other: all but the first get units.
    for member in members[1:]:
        first = _first_into(model, level - 1, member)
        if first is None:
            continue
        size = float(below.affine[first, 2])
        _scale_sum(model, level - 1, member, 1 / size)
        _scale_sum(model, level - 1, members[0], size)
        fixed.add((level - 1, "c", first))
    fixed |= _fix_scale(model, level, outgoing, members[0])
    if len(members) == 1:
        fixed |= _fix_origin(model, level, outgoing, members[0])
    return fixed


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
    powers = [p for p in outgoing if symmetry[p] in ("linear", "power")]
    fixed: tuple[int, str, int] | None = None
    factor = 1.0
    if scaled:
        factor = float(layer.affine[scaled[0], 0])
        fixed = (level, "a", scaled[0])
    elif powers:
        degree = layer.functions[powers[0]].degree if symmetry[powers[0]] == "power" else 1.0
        factor = abs(float(layer.affine[powers[0], 2])) ** (1 / degree)
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
    return {fixed}


def _fix_origin(
    model: KAN, level: int, outgoing: list[int], member: int
) -> set[tuple[int, str, int]]:
    layer, below = model.layer(level), model.layer(level - 1)
    shifted = [p for p in outgoing if layer.functions[p].free_b]
    if shifted:
        a, b, _ = layer.affine[shifted[0]].tolist()
        shift, fixed = b / a, (level, "b", shifted[0])
    else:
        shift, fixed = -float(below.bias[member]), (level - 1, "bias", member)
    below.bias[member] += shift
    layer.affine[outgoing, 1] -= layer.affine[outgoing, 0] * shift
    _normalise_layer(model, level)
    if shifted:
        layer.affine[shifted[0], 1] = 0.0
    else:
        below.bias[member] = 0.0
    return {fixed}
