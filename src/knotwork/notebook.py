"""What a notebook shows of networks and fits: small pictures with a caption.

Pictures are embedded as images, so that nothing in them can act on the page or get in the way of
another picture, and they are still there when a notebook is opened by someone who does not trust
it.  They are white on dark pages too, as all of Matplotlib's are.
"""

from __future__ import annotations

import base64
import math
import warnings
from html import escape

from matplotlib.figure import Figure
from torch import Tensor

from ._tables import Table, page_part
from .layers import SPLINE, SYMBOLIC
from .network import KAN
from .plotting import plot_history, plot_network
from .plotting.network_drawing import spread_rows
from .plotting.saving import svg_text
from .training import History
from .training.grids import lenient_extrapolation

__all__ = ["history_html", "network_html"]

# A network of more edges than this is described layer by layer instead of drawn.
_MOST_EDGES = 60
# Rows that are enough to see where functions matter.
_ROWS = 1000
# Somewhat smaller than in print.
_PIXELS_PER_INCH = 68


def network_html(model: KAN) -> str | None:
    """Return a picture of a network with a caption; of a large one a table of its layers.

    Parameters
    ----------
    model : KAN
        Drawn over the data of its last fit; without any, over the ranges of its knots.

    Returns
    -------
    str or None
        None if there are no numbers to show, as on the meta device.
    """
    if model.device.type == "meta":
        return None
    if model.edge_count() > _MOST_EDGES:
        return page_part(f"<p>{_caption(model)}.</p>", _layers(model).html())
    picture = _network_picture(model)
    drawn = ", drawn over the ranges of its knots" if picture and model.dataset is None else ""
    return page_part(picture, f"<p>{_caption(model)}{drawn}.</p>")


def history_html(history: History) -> str | None:
    """Return the course of a fit: how it ended, and its losses; None if there is none."""
    if not history.steps:
        return None
    picture = ""
    if len(history.steps) > 1 and any(map(math.isfinite, history.train_loss)):
        picture = _image(plot_history(history), "losses by step")
    return page_part(picture, f"<p>{escape(str(history))}</p>")


def _caption(model: KAN) -> str:
    counts = [
        (sum(int((model.layer(l).kind == kind).sum()) for l in range(model.depth)), noun)
        for kind, noun in ((SPLINE, "spline"), (SYMBOLIC, "function"))
    ]
    edges = " and ".join(_counted(count, noun) for count, noun in counts if count) or "no edges"
    data = "not fitted to data in memory"
    if model.dataset is not None:
        data = f"fitted to {_counted(len(model.dataset.train), 'row')}"
    parameters = _counted(model.parameter_count(), "parameter")
    text = (
        f"width {model.width}, grid {model.grid}, order {model.k}: {parameters} on {edges}; {data}"
    )
    return f"<strong>{escape(type(model).__name__)}</strong> of {escape(text)}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _layers(model: KAN) -> Table:
    layers = [model.layer(l) for l in range(model.depth)]
    return Table(
        ("layer", "inputs", "sums", "grid", "splines", "functions"),
        [
            (
                str(l),
                f"{layer.in_features:,}",
                f"{layer.out_features:,}",
                f"{layer.grid:,}",
                f"{int((layer.kind == SPLINE).sum()):,}",
                f"{int((layer.kind == SYMBOLIC).sum()):,}",
            )
            for l, layer in enumerate(layers)
        ],
    )


def _network_picture(model: KAN) -> str:
    try:
        with lenient_extrapolation(model), warnings.catch_warnings():
            # Nobody asked for what they would be about.
            warnings.simplefilter("ignore")
            return _image(plot_network(model, _rows(model)), f"network of width {model.width}")
    except (ArithmeticError, RuntimeError, ValueError):
        # Parameters may be anything; what cannot be drawn can still be described.
        return ""


def _rows(model: KAN) -> Tensor:
    """Return rows of the last fit, or points spread over the ranges of the knots."""
    if model.dataset is None:
        return spread_rows(model, _ROWS)
    rows = model.inputs_or_recent(None)
    return rows[:: math.ceil(len(rows) / _ROWS)]


def _image(figure: Figure, alternative: str) -> str:
    data = base64.b64encode(svg_text(figure).encode()).decode()
    width = _PIXELS_PER_INCH * figure.get_figwidth()
    return (
        f'<img alt="{escape(alternative)}" src="data:image/svg+xml;base64,{data}" '
        f'style="width: {width:.0f}px; max-width: 100%; background: white; border-radius: 4px">'
    )
