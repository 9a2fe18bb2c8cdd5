"""``knotwork plot``: the picture of a saved network."""

from __future__ import annotations

from pathlib import Path

import click

from ..plotting.network_drawing import spread_rows
from .console import note, say
from .files import check_folder, picture_format, write_picture
from .networks import load_network, read_inputs

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
    network = load_network(model)
    if data is None:
        note("no --data: curves and shades are those of evenly spread rows, not of your data.")
        rows = spread_rows(network, _ROWS)
    else:
        rows = read_inputs(data, network)
    write_picture(network.plot(rows.to(network.dtype)), out)
    say(f"{out}: {network.width}, {network.edge_count()} edges")
