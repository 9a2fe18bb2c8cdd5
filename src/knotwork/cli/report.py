"""A search as one HTML page that needs nothing else: pictures are part of it."""

from __future__ import annotations

from html import escape

import torch

from ..discovery import Discovery, Formula
from ..discovery.result import front_table
from ..discovery.verdict import FORMULA, NO_FORMULA
from ..plotting import plot_network
from ..plotting.page import page, picture
from ..symbolic.export import quoted
from .options import counted

# From this share of the squared error on, a few rows are worth a remark.
HALF = 0.5
_STYLE = """
.verdict { border-left: 6px solid #0072B2; background: var(--good); padding: .6rem 1rem; }
.verdict.none { border-color: #D55E00; background: var(--bad); }
.formula { font: 1.15rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
tr.chosen { background: var(--marked); }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
"""


_ABOUT_FRONT = (
    "Every formula fits its rows more closely than all simpler ones above it; whether it is better "
    "for others too is told by the errors on rows held out, which had no part in the fit. The "
    "marked one describes the data in the fewest words: its length and what it leaves together. "
    "<em>Beyond</em> is the "
    "share of points with finite values in a box that reaches half the data's range further to "
    "every side."
)


_TAME = (
    "Half the data's range further to either side along each input, the others at their medians, "
    "the chosen formula has values and none is out of proportion. That is no promise that it holds "
    "there."
)

_ABOUT_RIVALS = (
    "Formulas of another form that describe the rows about as well: the odds of the choice against "
    "each are under twenty to one. What all say alike is sure; where they differ, only more rows, "
    "or rows from elsewhere, can decide."
)


def outlier_hint(found: Discovery) -> str:
    """Say that a few rows may be wrong, and what to do."""
    return (
        f"2 % of the rows hold {found.largest_errors:.0%} of the squared error; if they may be "
        "outliers, try --robust."
    )


def html_report(found: Discovery, target: str, source: str, *, robust: bool = False) -> str:
    """Return the page.

    Parameters
    ----------
    found : Discovery
    target : str
        What the formula is of.
    source : str
        Where the rows came from.
    robust : bool
        Whether outliers have been set aside.
    """
    parts = [
        f"<h1>{escape(target)} from {escape(', '.join(found.names))}</h1>",
        _story(found, source),
        _verdict(found, target),
    ]
    if not robust and found.largest_errors > HALF:
        parts.append(f"<p>{escape(outlier_hint(found))}</p>")
    parts += [
        "<h2>Front</h2>",
        f"<p>{_ABOUT_FRONT}</p>",
        front_table(found).html(),
        picture(found.plot(), "The front, predictions, and the formula out of range"),
        _beyond(found),
        *_rivals(found, target),
        *_network(found, target),
        "<h2>Constants</h2>",
        _constants(found.best),
        "<h2>Code</h2>",
        *(
            f"<details><summary>{title}</summary><pre>{escape(found.best.code(language))}"
            "</pre></details>"
            for language, title in (
                ("numpy", "Python with NumPy"),
                ("torch", "PyTorch"),
                ("c", "C"),
                ("julia", "Julia"),
                ("latex", "LaTeX"),
                ("json", "JSON"),
            )
        ),
    ]
    return page(target, "\n".join(parts), _STYLE)


def _story(found: Discovery, source: str) -> str:
    rows = f"{counted(len(found.data.y), 'row')} to fit, {len(found.data.y_held)} held out"
    if found.data.weights is not None:
        rows += ", weighted"
    ending = f"The search took {found.elapsed:.1f} s; {escape(found.note)}."
    return f"<p>{escape(source)}: {rows}. {ending}</p>"


def _verdict(found: Discovery, target: str) -> str:
    kind = "" if found.verdict == "formula" else " none"
    formula = ""
    if found.verdict == FORMULA:
        formula = f'<p class="formula">{escape(quoted(target))} = {escape(str(found.best))}</p>'
    elif found.verdict == NO_FORMULA:
        formula = f"<p>The best approximation: <code>{escape(str(found.best))}</code></p>"
    reasons = escape(" ".join(found.verdict.reasons))
    return (
        f'<div class="verdict{kind}"><strong>{escape(found.verdict)}</strong>: {reasons}'
        f"{formula}</div>"
    )


def _beyond(found: Discovery) -> str:
    return f"<p><strong>Out of range.</strong> {escape(found.beyond() or _TAME)}</p>"


def _rivals(found: Discovery, target: str) -> list[str]:
    if not found.rivals:
        return []
    rows = "".join(
        f'<p class="formula">{escape(quoted(target))} = {escape(str(rival))}</p>'
        for rival in found.rivals
    )
    return ["<h2>As good on these rows</h2>", f"<p>{_ABOUT_RIVALS}</p>", rows]


def _network(found: Discovery, target: str) -> list[str]:
    """Draw the best network where no formula is the law."""
    if found.verdict == FORMULA:
        return []
    text = (
        "The best network that was met, in standardised columns; its error on rows held out is "
        f"{found.network_error:.3g} of the target's spread. It is kept in model.safetensors, and "
        "model.json says what it takes and gives."
    )
    figure = plot_network(
        found.network,
        torch.from_numpy(found.network_rows()),
        input_names=found.network_scaling["inputs"],
        output_names=[target],
    )
    return ["<h2>Network</h2>", f"<p>{text}</p>", picture(figure, "The network")]


def _constants(formula: Formula) -> str:
    if not formula.constants:
        return "<p>None was fitted: all numbers in the formula are exact.</p>"
    rows = "".join(f"<li>{escape(str(constant))}</li>" for constant in formula.constants)
    return f"<p>Value and standard error:</p><ul>{rows}</ul>"
