"""Figures as text, to be part of a page."""

from __future__ import annotations

from io import StringIO

from matplotlib.figure import Figure


def svg_text(figure: Figure) -> str:
    """Return a figure as one SVG element."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
