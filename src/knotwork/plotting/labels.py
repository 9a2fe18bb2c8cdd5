"""Text in pictures: names that may or may not be mathematics, line breaks, functions' forms."""

from __future__ import annotations

import re
import textwrap

from matplotlib.textpath import TextPath

_POINTS_PER_INCH = 72.0
# The names of powers in the function library: x, x^2, 1/x, 1/x^1.5 and so on.
_POWER = re.compile(r"(1/)?x(?:\^([0-9.]+))?")


def drawable(text: str) -> str:
    """Return `text` on one line, its dollar signs plain where they do not enclose mathematics."""
    text = " ".join(text.split())
    try:
        TextPath((0, 0), text)
    except ValueError:
        return text.replace("$", r"\$")
    return text


def text_width(text: str, size: float) -> float:
    """Return how wide a line of drawable `text` is at `size` points, in inches."""
    if not text:
        return 0.0
    return max(0.0, float(TextPath((0, 0), text, size=size).get_extents().width) / _POINTS_PER_INCH)


def widest_word(text: str, size: float) -> float:
    """Return the width of the longest part of `text` that should not be broken, in inches."""
    words = [text] if "$" in text else text.split()
    return max((text_width(word, size) for word in words), default=0.0)


def wrapped(text: str, size: float, width: float) -> str:
    """Break `text` into lines that are at most about `width` inches wide; mathematics stays."""
    whole = text_width(text, size)
    if whole <= width or "$" in text:
        return text
    return textwrap.fill(text, max(1, int(len(text) * width / whole)))


def function_label(name: str) -> str:
    """Return a symbolic function's name as drawn.

    Examples
    --------
    >>> function_label("sin"), function_label("1/x^2")
    ('sin', '$1/x^{2}$')
    """
    power = _POWER.fullmatch(name)
    if power is None:
        return drawable(name)
    over, exponent = power.groups()
    return f"${over or ''}x^{{{exponent}}}$" if exponent else f"${over or ''}x$"


def function_form(name: str, a: float, b: float, c: float) -> str:
    """Return ``c * f(a * x + b)`` as drawn, with the constants to three digits.

    Examples
    --------
    >>> function_form("sin", 3.14159, -0.5, 2.0)
    '2 sin(3.14 $x$ − 0.5)'
    >>> function_form("x^2", 1.0, 0.0, 1.0)
    '$x$$^{2}$'
    """
    shift = f" {'−' if b < 0 else '+'} {abs(b):.3g}" if b else ""
    argument = f"{_factor(a)}$x${shift}"
    power = _POWER.fullmatch(name)
    if power is None:
        return f"{_factor(c)}{drawable(name)}({argument})"
    over, exponent = power.groups()
    value = argument if argument == "$x$" else f"({argument})"
    value += f"$^{{{exponent}}}$" if exponent else ""
    return f"{_number(c)} / {value}" if over else f"{_factor(c)}{value}"


def _factor(value: float) -> str:
    return {1.0: "", -1.0: "−"}.get(value, f"{_number(value)} ")


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
