"""``knotwork plot``: the picture of a saved network."""

from __future__ import annotations

from pathlib import Path

import click
import torch
from torch import Tensor

from .._checks import near_spellings
from ..data.files import open_table
from ..io import load
from ..network import KAN
from ..plotting.network_drawing import spread_rows
from .console import note, say
from .files import check_folder, picture_format, write_picture

_ROWS = 1000


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The picture: a name that ends in .png, .svg or .pdf.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Table (.csv, .tsv, .parquet) with the network's inputs; the curves are drawn over its "
    "rows.  Without it, over evenly spread rows.",
)
def plot(model: Path, out: Path, data: Path | None) -> None:
    """Draw the network saved in MODEL (a .safetensors file)."""
    picture_format(out)
    check_folder(out.parent)
    network = load(model)
    if not isinstance(network, KAN):
        raise ValueError(f"{model} holds an MLP, which has no functions on its edges to draw.")
    if data is None:
        note("no --data: curves and shades are those of evenly spread rows, not of your data.")
        rows = spread_rows(network, _ROWS)
    else:
        rows = _read_inputs(data, network)
    write_picture(network.plot(rows.to(network.dtype)), out)
    say(f"{out}: {network.width}, {network.edge_count()} edges")


def _read_inputs(path: Path, model: KAN) -> Tensor:
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
