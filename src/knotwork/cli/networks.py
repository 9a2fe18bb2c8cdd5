"""Saved networks, and tables of what they take."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .._checks import near_spellings
from ..data.files import open_table
from ..io import load
from ..network import KAN


def load_network(path: Path) -> KAN:
    """Return the Kolmogorov-Arnold network in a file.

    Raises
    ------
    ValueError
        If there is another network in it.
    """
    network = load(path)
    if not isinstance(network, KAN):
        raise ValueError(f"{path} holds an MLP, which has no functions on its edges to draw.")
    return network


def read_inputs(path: Path, model: KAN) -> Tensor:
    """Return a table's rows, its columns those that the network takes."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}.")
    file = open_table(path)
    names = model.input_names
    if names is None:
        names = tuple(file.names)
        if len(names) != model.input_count:
            raise ValueError(
                f"{path.name} has {len(names)} columns, but the network takes {model.input_count} "
                "inputs and does not know their names: give a table with these columns alone."
            )
    for name in names:
        if name not in file.names:
            raise ValueError(
                f"{path.name}: there is no column {name!r}, which the network takes."
                f"{near_spellings(name, file.names)}"
            )
    return torch.from_numpy(file.numbers([file.names.index(name) for name in names]))
