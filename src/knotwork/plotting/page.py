"""Pages of HTML that need nothing else: style and pictures are part of them.

Whatever comes from a user, names above all, goes through `html.escape` before it goes into a page.
"""

from __future__ import annotations

from html import escape
from importlib.metadata import version

from matplotlib.figure import Figure

from .saving import svg_text

# Pictures are drawn on white.  In the dark their colours are turned around, and white becomes the
# page's own background: 255 * (1 - 0.93) = 18 = 0x12.
STYLE = """
:root { color-scheme: light dark; --ink: #222; --soft: #666; --line: #ddd; --back: #fff;
        --good: #f4f8fb; --bad: #fdf5f0; --code: #f6f6f6; --marked: #fff6ee; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --soft: #999; --line: #383838; --back: #121212; --good: #16212a;
          --bad: #2b1c13; --code: #1d1d1d; --marked: #2b2016; }
  svg { filter: invert(.93) hue-rotate(180deg); }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .7rem;
       border-bottom: 1px solid var(--line); vertical-align: top; } .number { text-align: right;
       font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: var(--code); padding: .8rem; overflow-x: auto; }
svg { width: 100%; height: auto; margin-top: 1.5rem; }
footer { color: var(--soft); margin-top: 3rem; font-size: .85rem; }
"""


def page(title: str, body: str, style: str = "") -> str:
    """Return a page.

    Parameters
    ----------
    title : str
        Plain text.
    body : str
        HTML.
    style : str
        Rules beyond `STYLE`.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · knotwork</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}\n<footer>knotwork {escape(version('knotwork'))}</footer>\n</body>\n</html>"
    )


def picture(figure: Figure, description: str) -> str:
    """Return a figure as SVG to be put into a page, with a description for those who cannot see.

    Parameters
    ----------
    figure : Figure
    description : str
        Plain text.
    """
    element = svg_text(figure).removeprefix("<svg")
    return f'<svg role="img" aria-label="{escape(description)}"{element}'
