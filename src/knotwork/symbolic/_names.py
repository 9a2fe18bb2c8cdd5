"""Names of variables as they stand in formulas and in source code."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence

_C = """
auto break case char const continue default do double else enum extern float for goto if
inline int long register restrict return short signed sizeof static struct switch
typedef union unsigned void volatile while main
"""
C_WORDS = frozenset(_C.split())
_JULIA = """
baremodule begin break catch const continue do else elseif end export false finally for
function global if import let local macro module quote return struct true try using
while in isa where
"""
JULIA_WORDS = frozenset(_JULIA.split())
# Names that the code itself uses.
_CODE = """
np torch math scipy sqrt cbrt exp log sin cos tan asin acos atan sinh cosh tanh asinh
acosh atanh abs fabs sign erf pow j0 j1 y0 y1 jn yn gamma pi e E I inputs self rows
besselj SpecialFunctions M_PI formula
"""
_TAKEN = frozenset(_CODE.split())


def identifiers(
    variables: Sequence[str], words: frozenset[str], taken: str
) -> tuple[dict[str, str], list[str]]:
    """Give every variable an identifier; return them and notes on those that differ."""
    found: dict[str, str] = {}
    used = {taken}
    for variable in variables:
        base = re.sub(r"[^0-9A-Za-z_]", "_", variable) or "x"
        if base[0].isdigit() or base in words or base in _TAKEN or set(base) == {"_"}:
            base = f"v_{base}"
        name, count = base, 2
        while name in used or name in words or name in _TAKEN:
            name, count = f"{base}_{count}", count + 1
        used.add(name)
        found[variable] = name
    notes = [f"{name} is {variable!r}" for variable, name in found.items() if name != variable]
    return found, notes


def quoted(name: str) -> str:
    """Return a name as it stands in a printed formula: in backticks unless it is an identifier.

    Examples
    --------
    >>> quoted("mass"), quoted("2x"), quoted("a*b")
    ('mass', '`2x`', '`a*b`')
    """
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    return name if plain else f"`{name}`"
