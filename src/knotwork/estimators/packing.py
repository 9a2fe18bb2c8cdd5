"""A network as arrays and plain values, for pickle and skops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..network import KAN


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
