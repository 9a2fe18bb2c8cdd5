"""Formulas as source code: Python with NumPy, a torch module, C, Julia, LaTeX, text and JSON.

Numbers are written with 17 significant digits, so that the code computes what the formula does.
Julia's export is checked by a parser in the tests, the others by running them.
"""

# SymPy's annotations call the parts of an expression Basic, whatever they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportAssignmentType=false, reportCallIssue=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import json
import keyword
import math
import re
from collections.abc import Callable, Mapping, Sequence

import sympy

from .._checks import check_choice
from ._names import C_WORDS, JULIA_WORDS, identifiers, quoted
from ._printers import (
    CPrinter,
    JuliaPrinter,
    NumPyPrinter,
    ShortLatexPrinter,
    TextPrinter,
    TorchPrinter,
)
from .reading import to_data

__all__ = ["LANGUAGES", "code", "quoted"]


def _renamed(
    expression: sympy.Expr, names: Mapping[str, str], units: Mapping[str, float]
) -> sympy.Expr:
    """Name the variables; those with a unit are divided by it, as text that SymPy leaves alone."""
    written = {
        symbol: f"({names[symbol.name]}/{units[symbol.name]!r})"
        if symbol.name in units
        else names[symbol.name]
        for symbol in expression.free_symbols
    }
    return expression.xreplace({old: sympy.Symbol(new) for old, new in written.items()})


def _text(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    return TextPrinter().doprint(_renamed(expression, {v: quoted(v) for v in variables}, units))


def _latex(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    symbols = {
        symbol: rf"\left({_latex_name(symbol.name)} / {_power_of_ten(units[symbol.name])}\right)"
        if symbol.name in units
        else _latex_name(symbol.name)
        for symbol in expression.free_symbols
    }
    return ShortLatexPrinter({"symbol_names": symbols}).doprint(expression)


def _power_of_ten(unit: float) -> str:
    return f"10^{{{round(math.log10(unit))}}}"


def _latex_name(name: str) -> str:
    plain = re.fullmatch(r"[A-Za-z]\w*", name, flags=re.ASCII)
    if plain and not name.endswith("_") and "__" not in name:
        head, _, tail = name.partition("_")
        greek = sympy.latex(sympy.Symbol(head))
        head = greek if len(head) == 1 or greek.startswith("\\") else rf"\mathrm{{{head}}}"
        return f"{head}_{{{tail.replace('_', ',')}}}" if tail else head
    escaped = re.sub(r"([#$%&_{}])", r"\\\1", name.replace("\\", " ").replace("~", " "))
    return r"\mathrm{" + escaped.replace("^", " ").replace(" ", r"\ ") + "}"


def _numpy(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    names, notes = identifiers(variables, frozenset(keyword.kwlist), name)
    body = NumPyPrinter({"fully_qualified_modules": False}).doprint(
        _renamed(expression, names, units)
    )
    arguments = ", ".join(names.values())
    shape = f"np.broadcast({arguments}).shape" if len(names) > 1 else f"np.shape({arguments})"
    return "\n".join(
        [
            "import numpy as np",
            *(["import scipy.special"] if "scipy." in body else []),
            "",
            "",
            f"def {name}({arguments}):",
            *(f"    # {note}" for note in notes),
            *(
                f"    {argument} = np.asarray({argument}, dtype=float)"
                for argument in names.values()
            ),
            f"    return ({body}) + np.zeros({shape})",
            "",
        ]
    )


def _torch(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    names, notes = identifiers(variables, frozenset(keyword.kwlist), name)
    constants: list[float] = []

    class _WithParameters(TorchPrinter):
        def _print_Float(self, expr: sympy.Float) -> str:
            constants.append(float(expr))
            return f"self.constants[{len(constants) - 1}]"

    # torch's functions take tensors only.
    expression = expression.replace(
        lambda node: isinstance(node, sympy.Function) and node.is_number,
        lambda node: sympy.Float(node.evalf(20), 17),
    )
    body = _WithParameters({"fully_qualified_modules": False}).doprint(
        _renamed(expression, names, units)
    )
    unpacked = ", ".join(names.values()) + ("," if len(names) == 1 else "")
    return "\n".join(
        [
            "import math  # noqa: F401",
            "",
            "import torch",
            "",
            "",
            f"class {name[:1].upper()}{name[1:]}(torch.nn.Module):",
            "    def __init__(self):",
            "        super().__init__()",
            f"        constants = torch.tensor({constants!r}, dtype=torch.float64)",
            "        self.constants = torch.nn.Parameter(constants)",
            "",
            "    def forward(self, inputs):",
            *(f"        # {note}" for note in notes),
            f"        {unpacked} = inputs.unbind(-1)",
            f"        return ({body}) + 0 * {next(iter(names.values()))}",
            "",
        ]
    )


def _c(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    names, notes = identifiers(variables, C_WORDS, name)
    expression = expression.replace(
        lambda node: isinstance(node, sympy.sign),
        lambda node: sympy.Function("knotwork_sign")(node.args[0]),
    )
    body = CPrinter(
        # M_SQRT2 and the like are not part of C99.
        {"user_functions": {"knotwork_sign": "knotwork_sign"}, "math_macros": {}}
    ).doprint(_renamed(expression, names, units))
    unused = [v for v in names.values() if not re.search(rf"\b{re.escape(v)}\b", body)]
    helpers = (
        [
            "static double knotwork_sign(double x)",
            "{",
            "    return (x > 0.0) - (x < 0.0);",
            "}",
            "",
        ]
        if "knotwork_sign" in body
        else []
    )
    bessel = (
        ["double j0(double);", "double j1(double);", ""] if re.search(r"\bj[01]\(", body) else []
    )
    return "\n".join(
        [
            "#include <math.h>",
            "",
            *bessel,
            *helpers,
            f"double {name}({', '.join(f'double {v}' for v in names.values())})",
            "{",
            *(f"    /* {note.replace('*/', '* /')} */" for note in notes),
            *(f"    (void){v};" for v in unused),
            f"    return {body};",
            "}",
            "",
        ]
    )


def _julia(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    names, notes = identifiers(variables, JULIA_WORDS, name)
    body = JuliaPrinter().doprint(_renamed(expression, names, units))
    special = "erf(" in body or "besselj(" in body
    return "\n".join(
        [
            *(["using SpecialFunctions", ""] if special else []),
            *(f"# {note}" for note in notes),
            f"function {name}({', '.join(names.values())})",
            f"    return {body}",
            "end",
            "",
        ]
    )


def _json(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    content = {"name": name, "variables": list(variables), "expression": to_data(expression)}
    if units:
        content["units"] = dict(units)
    return json.dumps(content, indent=1)


_WRITERS: Mapping[str, Callable[[sympy.Expr, Sequence[str], str, Mapping[str, float]], str]] = {
    "text": _text,
    "latex": _latex,
    "numpy": _numpy,
    "torch": _torch,
    "c": _c,
    "julia": _julia,
    "json": _json,
}

LANGUAGES: tuple[str, ...] = tuple(_WRITERS)
"""What formulas can be written in."""


def code(
    expression: sympy.Expr,
    variables: Sequence[str],
    language: str,
    *,
    name: str = "formula",
    units: Mapping[str, float] | None = None,
) -> str:
    """Return a formula as source code.

    Parameters
    ----------
    expression : sympy.Expr
        Of symbols named in `variables`.
    variables : sequence of str
        All inputs, in the order of the function's arguments or of the module's columns. Names
        that the language does not allow are replaced, with a comment that says so.
    language : str
        One of `LANGUAGES`.
    name : str
        Of the function; capitalised for a torch module.
    units : mapping of str to float, optional
        The expression is in variables divided by these numbers, which the code does.

    Raises
    ------
    ValueError
        If the language is not known, `name` is no identifier, or the expression has a symbol that
        is not among the variables.

    Examples
    --------
    >>> x = sympy.Symbol("mass")
    >>> print(code(x**2 / 3, ["mass"], "c", name="energy"))
    #include <math.h>
    <BLANKLINE>
    double energy(double mass)
    {
        return (1.0/3.0)*(mass*mass);
    }
    <BLANKLINE>
    """
    language = check_choice(language, "language", LANGUAGES)
    if not re.fullmatch(r"[A-Za-z]\w*", name, flags=re.ASCII) or keyword.iskeyword(name):
        raise ValueError(f"name must be an identifier; got {name!r}.")
    unknown = sorted({s.name for s in expression.free_symbols} - set(variables))
    if unknown:
        raise ValueError(f"expression has symbols that are not in variables: {unknown}.")
    return _WRITERS[language](expression, variables, name, units or {})
