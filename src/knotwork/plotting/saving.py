"""Figures as text, to be part of a page."""

from __future__ import annotations

from io import StringIO

from matplotlib import rc_context
from matplotlib.figure import Figure


def svg_text(figure: Figure) -> str:
    """Return a figure as one SVG element, the same text for the same figure."""
    buffer = StringIO()
    with rc_context({"svg.hashsalt": "knotwork"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
