"""``knotwork plot``: the picture of a saved network."""

from __future__ import annotations

from pathlib import Path

import click
import torch
from torch import Tensor

from ..network import KAN
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
        rows = _spread_rows(network)
    else:
        rows = read_inputs(data, network)
    write_picture(network.plot(rows.to(network.dtype)), out)
    say(f"{out}: {network.width}, {network.edge_count()} edges")


@torch.no_grad()
def _spread_rows(model: KAN) -> Tensor:
    """Return random rows, evenly spread over the range of the first layer's knots."""
    layer = model.layer(0)
    breaks = layer.knots[:, layer.k : -layer.k].double()
    low, high = breaks[:, 0], breaks[:, -1]
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(_ROWS, model.input_count, generator=generator, dtype=torch.float64)
    rows = low + (high - low) * rows
    # Knots reach beyond the data, so perhaps out of the domain of a function.
    defined = model(rows.to(model.dtype)).isfinite().all(dim=1)
    if not bool(defined.any()):
        raise ValueError("the network has no finite values over its knots: give rows with --data.")
    return rows[defined]
