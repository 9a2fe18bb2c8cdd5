"""``knotwork explain``: what a saved network does, as a page."""

from __future__ import annotations

from pathlib import Path

import click

from .console import say
from .files import check_folder, write_text
from .networks import load_network, read_inputs


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Table (.csv, .tsv, .parquet) with the network's inputs: the rows to explain it over.",
)
@click.option(
    "--row",
    "rows",
    type=click.IntRange(min=0),
    multiple=True,
    help="A row to take apart, counted from 0; may be repeated.  By default a typical row and the "
    "most unusual one.",
)
@click.option("--target", help="What the network's output is called.")
@click.option("--out", type=click.Path(path_type=Path), help="The page: a name that ends in .html.")
def explain(
    model: Path, data: Path, rows: tuple[int, ...], target: str | None, out: Path | None
) -> None:
    """Say what the inputs of the network saved in MODEL (a .safetensors file) do.

    Example: knotwork explain result/model.safetensors --data rows.csv --out explanation.html
    """
    if out is not None:
        if out.suffix.lower() != ".html":
            raise ValueError(f"{out.name}: a page's name must end in .html.")
        check_folder(out.parent)
    network = load_network(model)
    found = network.explain(
        read_inputs(data, network), output_names=None if target is None else [target]
    )
    chosen = list(rows) or found.telling_rows()
    parts = [found.row(row) for row in chosen]
    say(str(found), whole=True)
    for part in parts:
        say(f"\n{part}", whole=True)
    if out is not None:
        write_text(found.to_html(chosen), out)
        say(f"\n{out}: rows {', '.join(map(str, chosen))} taken apart")
