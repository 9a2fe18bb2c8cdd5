"""Networks and what searches found as arrays and plain values, for pickle and skops."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

import sympy
import torch
from torch import Tensor

from ..discovery.constants import FittedConstant
from ..discovery.formula import Formula, Scaling
from ..discovery.result import Discovery
from ..discovery.rows import Prepared
from ..discovery.verdict import Verdict
from ..network import KAN
from ..symbolic.reading import from_data, to_data

_RECORDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Discovery, FittedConstant, Formula, Prepared, Scaling)
}
# What is not plain, the narrower kind first.
_KINDS: dict[str, Any] = {
    **_RECORDS,
    "network": KAN,
    "verdict": Verdict,
    "symbol": sympy.Symbol,
    "formula": sympy.Basic,
    "tuple": tuple,
    "dict": dict,
}


def packed(model: KAN) -> dict[str, Any]:
    """Return what `unpacked` makes the same network of: numbers, strings, lists and arrays."""
    layer = model.layer(0)
    state = model.state_dict()
    return {
        "width": model.width,
        "grid": model.grid,
        "k": model.k,
        "seed": model.seed,
        "residual": layer.residual,
        "extrapolation": layer.extrapolation,
        "input_names": None if model.input_names is None else list(model.input_names),
        "arrays": {
            name: value.numpy() for name, value in state.items() if isinstance(value, Tensor)
        },
        "others": {name: value for name, value in state.items() if not isinstance(value, Tensor)},
    }


def unpacked(state: dict[str, Any]) -> KAN:
    """Return the network."""
    model = KAN(
        state["width"],
        grid=state["grid"],
        k=state["k"],
        seed=state["seed"],
        residual=state["residual"],
        extrapolation=state["extrapolation"],
    )
    # Copies: arrays may come from a file that cannot be written to.
    arrays = {name: torch.tensor(value) for name, value in state["arrays"].items()}
    model.load_state_dict({**arrays, **state["others"]})
    model.fresh = False
    names = state["input_names"]
    model.input_names = None if names is None else tuple(names)
    return model


class Packing:
    """Takes what a search found to pieces, and puts such pieces together again.

    Every object becomes ``{"kind": ..., "content": ...}``, the same object the same dict, as the
    default choice of a search is one of its front.  Numbers, strings, arrays and None stay.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any]] = {}

    def pack(self, value: Any) -> Any:
        """Return plain values."""
        if isinstance(value, list):
            return [self.pack(part) for part in cast("list[Any]", value)]
        kind = next((name for name, known in _KINDS.items() if isinstance(value, known)), None)
        if kind is None:
            return value
        if id(value) not in self._known:
            content = self._taken_apart(kind, value)
            self._known[id(value)] = value, {"kind": kind, "content": content}
        return self._known[id(value)][1]

    def _taken_apart(self, kind: str, value: Any) -> Any:
        if kind in _RECORDS:
            return {part.name: self.pack(getattr(value, part.name)) for part in fields(value)}
        if kind == "network":
            return packed(value)
        if kind == "verdict":
            return [str(value), list(value.reasons)]
        if kind == "symbol":
            return [value.name, dict(value.assumptions0)]
        if kind == "formula":
            return to_data(value)
        if kind == "tuple":
            return [self.pack(part) for part in value]
        return {name: self.pack(part) for name, part in value.items()}

    def unpack(self, value: Any) -> Any:
        """Return what `pack` made plain values of."""
        if isinstance(value, list):
            return [self.unpack(part) for part in cast("list[Any]", value)]
        if not isinstance(value, dict):
            return value
        packed = cast("dict[str, Any]", value)
        if id(packed) not in self._known:
            self._known[id(packed)] = packed, self._put_together(packed["kind"], packed["content"])
        return self._known[id(packed)][1]

    def _put_together(self, kind: str, content: Any) -> Any:
        if kind in _RECORDS:
            return _RECORDS[kind](**{name: self.unpack(part) for name, part in content.items()})
        if kind == "network":
            return unpacked(content)
        if kind == "verdict":
            text, reasons = content
            return Verdict(text, tuple(reasons))
        if kind == "symbol":
            name, assumptions = content
            return sympy.Symbol(name, **assumptions)
        if kind == "formula":
            return from_data(content)
        if kind == "tuple":
            return tuple(self.unpack(part) for part in content)
        return {name: self.unpack(part) for name, part in content.items()}
