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
from typing import Any

import sympy
from sympy.printing.c import C99CodePrinter
from sympy.printing.julia import JuliaCodePrinter
from sympy.printing.latex import LatexPrinter
from sympy.printing.pycode import PythonCodePrinter
from sympy.printing.str import StrPrinter

from .._checks import check_choice
from .reading import to_data

__all__ = ["LANGUAGES", "code", "quoted"]

_C_WORDS = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "main",
    ]
)
_JULIA_WORDS = frozenset(
    [
        "baremodule",
        "begin",
        "break",
        "catch",
        "const",
        "continue",
        "do",
        "else",
        "elseif",
        "end",
        "export",
        "false",
        "finally",
        "for",
        "function",
        "global",
        "if",
        "import",
        "let",
        "local",
        "macro",
        "module",
        "quote",
        "return",
        "struct",
        "true",
        "try",
        "using",
        "while",
        "in",
        "isa",
        "where",
    ]
)
# Names that the code itself uses.
_TAKEN = frozenset(
    [
        "np",
        "torch",
        "math",
        "scipy",
        "sqrt",
        "cbrt",
        "exp",
        "log",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "abs",
        "fabs",
        "sign",
        "erf",
        "pow",
        "j0",
        "j1",
        "y0",
        "y1",
        "jn",
        "yn",
        "gamma",
        "pi",
        "e",
        "E",
        "I",
        "inputs",
        "self",
        "rows",
        "besselj",
        "SpecialFunctions",
        "M_PI",
        "formula",
    ]
)


class _Text(StrPrinter):
    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))

    def _print_besselj(self, expr: Any) -> str:
        return f"j{expr.args[0]}({self._print(expr.args[1])})"


class _NumPy(PythonCodePrinter):
    """Python source over arrays."""

    module = "np"

    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))

    def _print_Function(self, expr: Any) -> str:
        names = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh"}
        names |= {"acosh": "arccosh", "atanh": "arctanh"}
        name = type(expr).__name__
        arguments = ", ".join(self._print(part) for part in expr.args)
        if name == "erf":
            return f"scipy.special.erf({arguments})"
        if name == "besselj":
            return f"scipy.special.jv({arguments})"
        return f"{self.module}.{names.get(name, name)}({arguments})"

    # SymPy's own table would otherwise come first.
    _print_sin = _print_cos = _print_tan = _print_asin = _print_acos = _print_atan = _print_Function
    _print_sinh = _print_cosh = _print_tanh = _print_asinh = _print_acosh = _print_Function
    _print_atanh = _print_log = _print_sign = _print_erf = _print_besselj = _print_Function

    def _print_Abs(self, expr: Any) -> str:
        return f"{self.module}.abs({self._print(expr.args[0])})"

    def _print_exp(self, expr: Any) -> str:
        return f"{self.module}.exp({self._print(expr.args[0])})"

    def _print_Pi(self, expr: Any) -> str:
        return "np.pi"

    def _print_Exp1(self, expr: Any) -> str:
        return "np.e"

    def _print_Rational(self, expr: Any) -> str:
        return f"({expr.p}/{expr.q})"

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        base, exponent = expr.args
        if base.is_number:
            return f"({self.parenthesize(base, 100)}**({self._print(exponent)}))"
        if exponent == sympy.Rational(1, 2):
            return f"{self.module}.sqrt({self._print(base)})"
        if exponent == -sympy.Rational(1, 2):
            return f"(1/{self.module}.sqrt({self._print(base)}))"
        if exponent == -1:
            return f"(1/{self.parenthesize(base, 100)})"
        # A float in place of a negative whole exponent: integer arrays have no reciprocals.
        power = f"{float(exponent)!r}" if exponent.is_Integer else f"({self._print(exponent)})"
        return f"({self.parenthesize(base, 100)}**{power})"


class _Torch(_NumPy):
    module = "torch"

    def _print_Function(self, expr: Any) -> str:
        name = type(expr).__name__
        arguments = ", ".join(self._print(part) for part in expr.args)
        if name == "besselj":
            return f"torch.special.bessel_j{int(expr.args[0])}({self._print(expr.args[1])})"
        return f"torch.{name}({arguments})"

    _print_sin = _print_cos = _print_tan = _print_asin = _print_acos = _print_atan = _print_Function
    _print_sinh = _print_cosh = _print_tanh = _print_asinh = _print_acosh = _print_Function
    _print_atanh = _print_log = _print_sign = _print_erf = _print_besselj = _print_Function

    def _print_Pi(self, expr: Any) -> str:
        return "math.pi"

    def _print_Exp1(self, expr: Any) -> str:
        return "math.e"


class _C(C99CodePrinter):
    def _print_Float(self, expr: sympy.Float, *rest: Any) -> str:
        return repr(float(expr))

    def _print_besselj(self, expr: Any) -> str:
        return f"j{int(expr.args[0])}({self._print(expr.args[1])})"

    def _print_Pi(self, expr: Any) -> str:
        return "3.14159265358979323846"

    def _print_Exp1(self, expr: Any) -> str:
        return "2.71828182845904523536"

    def _print_Pow(self, expr: Any) -> str:
        base, exponent = expr.args
        if exponent in (2, 3):
            part = self.parenthesize(base, 100)
            return "(" + "*".join([part] * int(exponent)) + ")"
        return super()._print_Pow(expr)


class _Julia(JuliaCodePrinter):
    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))

    def _print_Mul(self, expr: Any) -> str:
        return _scalar(super()._print_Mul(expr))

    def _print_Pow(self, expr: Any) -> str:
        return _scalar(super()._print_Pow(expr))


def _scalar(text: str) -> str:
    """Undo SymPy's element-wise operators: the function is for numbers, broadcast by the caller."""
    return text.replace(" .* ", "*").replace(" ./ ", "/").replace(" .^ ", "^").replace(".^", "^")


class _Latex(LatexPrinter):
    def _print_Float(self, expr: sympy.Float) -> str:
        text = f"{float(expr):.6g}"
        mantissa, _, exponent = text.partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _identifiers(
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


def quoted(name: str) -> str:
    """Return a name as it stands in a printed formula: in backticks unless it is an identifier.

    Examples
    --------
    >>> quoted("mass"), quoted("2x"), quoted("a*b")
    ('mass', '`2x`', '`a*b`')
    """
    plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    return name if plain else f"`{name}`"


def _text(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    return _Text().doprint(_renamed(expression, {v: quoted(v) for v in variables}, units))


def _latex(
    expression: sympy.Expr, variables: Sequence[str], name: str, units: Mapping[str, float]
) -> str:
    symbols = {
        symbol: rf"\left({_latex_name(symbol.name)} / {_power_of_ten(units[symbol.name])}\right)"
        if symbol.name in units
        else _latex_name(symbol.name)
        for symbol in expression.free_symbols
    }
    return _Latex({"symbol_names": symbols}).doprint(expression)


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
    names, notes = _identifiers(variables, frozenset(keyword.kwlist), name)
    body = _NumPy({"fully_qualified_modules": False}).doprint(_renamed(expression, names, units))
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
    names, notes = _identifiers(variables, frozenset(keyword.kwlist), name)
    constants: list[float] = []

    class _WithParameters(_Torch):
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
    names, notes = _identifiers(variables, _C_WORDS, name)
    expression = expression.replace(
        lambda node: isinstance(node, sympy.sign),
        lambda node: sympy.Function("knotwork_sign")(node.args[0]),
    )
    body = _C(
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
    names, notes = _identifiers(variables, _JULIA_WORDS, name)
    body = _Julia().doprint(_renamed(expression, names, units))
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
