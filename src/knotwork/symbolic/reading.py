"""Formulas from text and from JSON, without ever executing what is read.

Text goes through Python's parser into a syntax tree, of which only numbers, names, arithmetic and
calls of known functions are accepted. Sizes are limited, so that a hostile file costs an error
message and nothing more.
"""

# SymPy's annotations call the parts of an expression Basic, whatever they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportAssignmentType=false, reportCallIssue=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import ast
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy

from .._checks import near_spellings

__all__ = ["from_data", "parse", "to_data"]

_LONGEST = 10_000
_DEEPEST = 100
_MOST_DIGITS = 400
# Characters of a formula that a message shows.
_MOST_SHOWN = 200
_LARGEST_POWER = 1_000


def _cube_root(x: sympy.Expr) -> sympy.Expr:
    return sympy.sign(x) * sympy.Abs(x) ** sympy.Rational(1, 3)


_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "sqrt": sympy.sqrt,
    "cbrt": _cube_root,
    "exp": sympy.exp,
    "log": sympy.log,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "asinh": sympy.asinh,
    "acosh": sympy.acosh,
    "atanh": sympy.atanh,
    "abs": sympy.Abs,
    "sign": sympy.sign,
    "erf": sympy.erf,
    "j0": lambda x: sympy.besselj(0, x),
    "j1": lambda x: sympy.besselj(1, x),
}
_ALIASES: Mapping[str, str] = {
    "ln": "log",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "Abs": "abs",
    "sgn": "sign",
}
_CONSTANTS: Mapping[str, sympy.Expr] = {"pi": sympy.pi, "E": sympy.E, "e": sympy.E}


def parse(text: str, variables: Sequence[str]) -> sympy.Expr:
    """Read a formula such as ``exp(sin(pi*x1) + x2^2)``.

    Parameters
    ----------
    text : str
        Numbers, variables, ``pi`` and ``e``, the operators ``+ - * / ^ **``, brackets and calls
        of one-argument functions. Variables that are no identifiers stand in backticks.
    variables : sequence of str
        Names that may occur. A name before a bracket is a function, otherwise the variable.

    Returns
    -------
    sympy.Expr

    Raises
    ------
    ValueError
        If the text is not such a formula; the message says where.

    Examples
    --------
    >>> parse("2*x^2/3 + sin(`my x`)", ["x", "my x"])
    2*x**2/3 + sin(my x)
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"text must be a string; got {type(text).__name__}.")
    if len(text) > _LONGEST:
        raise ValueError(f"the formula has {len(text)} characters; at most {_LONGEST} are read.")
    depth = worst = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        worst = max(worst, depth)
    if worst > _DEEPEST:
        raise ValueError(f"the formula is nested {worst} deep; at most {_DEEPEST} are read.")
    quoted: dict[str, str] = {}

    def placeholder(match: re.Match[str]) -> str:
        name = f"quoted_{len(quoted)}_"
        quoted[name] = match.group(1)
        return f" {name} "

    prepared = re.sub(r"`([^`]*)`", placeholder, text).replace("^", "**").strip()
    if any(name in text for name in quoted):
        raise ValueError("the formula has a name that starts with 'quoted_'; rename it.")
    if re.search(rf"\d{{{_MOST_DIGITS},}}", prepared):
        raise ValueError(f"the formula has a number of {_MOST_DIGITS} digits or more.")
    try:
        tree = ast.parse(prepared, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        place = getattr(error, "offset", None)
        where = f" near character {place}" if place else ""
        shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
        raise ValueError(f"the formula cannot be read{where}: {shown!r}.") from None
    return _Reader(variables, quoted).read(tree.body, 0)


class _Reader:
    def __init__(self, variables: Sequence[str], quoted: Mapping[str, str]) -> None:
        self.variables = set(variables)
        self.quoted = quoted

    def read(self, node: ast.expr, depth: int) -> Any:
        if depth > 3 * _DEEPEST:
            raise ValueError("the formula is nested too deeply.")
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
            value = self.read(node.operand, depth + 1)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp):
            left, right = self.read(node.left, depth + 1), self.read(node.right, depth + 1)
            return _operation(node, left, right)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        raise ValueError(f"the formula has something else than arithmetic {_where(node)}.")

    def _number(self, node: ast.Constant) -> sympy.Expr:
        value = node.value
        if type(value) is int:
            return sympy.Integer(value)
        if type(value) is float and value == value and abs(value) != float("inf"):
            return sympy.Float(value, 17)
        raise ValueError(f"the formula has something else than a finite number {_where(node)}.")

    def _name(self, node: ast.Name) -> sympy.Expr:
        name = self.quoted.get(node.id, node.id)
        if name in self.variables:
            return sympy.Symbol(name)
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        hint = near_spellings(name, [*self.variables, *_CONSTANTS])
        raise ValueError(f"there is no variable {reprlib.repr(name)} {_where(node)}.{hint}")

    def _call(self, node: ast.Call, depth: int) -> sympy.Expr:
        if not isinstance(node.func, ast.Name):
            raise ValueError(f"the formula calls something that has no name {_where(node)}.")
        name = _ALIASES.get(node.func.id, node.func.id)
        if name not in _FUNCTIONS:
            hint = near_spellings(name, [*_FUNCTIONS, *_ALIASES])
            raise ValueError(f"there is no function {reprlib.repr(name)} {_where(node)}.{hint}")
        if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
            raise ValueError(f"{name} takes one argument {_where(node)}.")
        return _FUNCTIONS[name](self.read(node.args[0], depth + 1))


def _operation(node: ast.BinOp, left: Any, right: Any) -> Any:
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Div):
        if right == 0:
            raise ValueError(f"the formula divides by zero {_where(node)}.")
        return left / right
    if isinstance(node.op, ast.Pow):
        return _power(left, right, _where(node))
    raise ValueError(f"the formula has an operator that is not + - * / or ^ {_where(node)}.")


def _power(base: Any, exponent: Any, where: str) -> Any:
    if exponent.is_number:
        size = abs(float(exponent)) if exponent.is_real else float("inf")
        if not size <= _LARGEST_POWER:
            raise ValueError(f"the formula has a power above {_LARGEST_POWER} {where}.")
        if base == 0 and float(exponent) <= 0:
            raise ValueError(f"the formula has 0 to a power that is not positive {where}.")
        if base.is_number and not base.is_Float and size > 1:
            digits = abs(sympy.log(sympy.Abs(sympy.N(base, 15)) + 1, 10).evalf()) * size
            if not bool(digits < _MOST_DIGITS):
                raise ValueError(f"the formula has a number of {_MOST_DIGITS} digits {where}.")
    return base**exponent


def _where(node: ast.expr) -> str:
    return f"at character {node.col_offset + 1}"


_OPERATIONS: Mapping[str, Callable[..., Any]] = {"add": sympy.Add, "multiply": sympy.Mul}
_NAMES: Mapping[Any, str] = {
    form: name
    for name, form in _FUNCTIONS.items()
    if isinstance(form, type) or form is sympy.exp or form is sympy.log
}


def to_data(expression: sympy.Expr) -> Any:
    """Return a formula as plain data for JSON: lists, dicts and strings, numbers exact.

    Examples
    --------
    >>> to_data(sympy.Symbol("x") ** 2 / 3)
    {'multiply': [{'number': '1/3'}, {'power': [{'variable': 'x'}, {'number': '2'}]}]}
    """
    if isinstance(expression, sympy.Symbol):
        return {"variable": expression.name}
    if isinstance(expression, sympy.Float):
        return {"float": repr(float(expression))}
    if isinstance(expression, sympy.Rational):
        return {"number": str(expression)}
    for name in ("pi", "E"):
        if expression == _CONSTANTS[name]:
            return {"constant": name}
    if isinstance(expression, sympy.Add | sympy.Mul):
        kind = "add" if isinstance(expression, sympy.Add) else "multiply"
        return {kind: [to_data(part) for part in expression.args]}
    if isinstance(expression, sympy.Pow):
        return {"power": [to_data(part) for part in expression.args]}
    if isinstance(expression, sympy.besselj) and expression.args[0] in (0, 1):
        return {f"j{int(expression.args[0])}": to_data(expression.args[1])}
    name = _NAMES.get(expression.func)
    if name is None:
        raise ValueError(f"the formula has a part that cannot be written: {expression}.")
    return {name: to_data(expression.args[0])}


def from_data(data: Any) -> sympy.Expr:
    """Return the formula that `to_data` wrote.

    Raises
    ------
    ValueError
        If the data does not describe a formula, or one beyond the limits of `parse`.
    """
    return _from_data(data, 0, [0])


def _from_data(data: Any, depth: int, count: list[int]) -> Any:
    count[0] += 1
    if depth > _DEEPEST or count[0] > _LONGEST:
        raise ValueError("the formula is too large.")
    if not isinstance(data, dict) or len(data) != 1:
        raise ValueError(f"a formula's part must be a dict with one entry; got {str(data)[:80]!r}.")
    ((kind, content),) = data.items()
    if kind in ("variable", "float", "number", "constant"):
        return _atom(kind, content)
    if kind in _OPERATIONS or kind == "power":
        if not isinstance(content, list) or (kind == "power" and len(content) != 2):
            raise ValueError(f"{kind} needs a list of parts; got {str(content)[:80]!r}.")
        parts = [_from_data(part, depth + 1, count) for part in content]
        result = _power(*parts, "in power") if kind == "power" else _OPERATIONS[kind](*parts)
    elif kind in _FUNCTIONS:
        result = _FUNCTIONS[kind](_from_data(content, depth + 1, count))
    else:
        raise ValueError(f"there is no operation {str(kind)[:80]!r}.")
    if result.has(sympy.zoo, sympy.nan):
        raise ValueError("the formula is not defined anywhere.")
    return result


def _atom(kind: str, content: Any) -> sympy.Expr:
    if not isinstance(content, str) or len(content) > _MOST_DIGITS:
        raise ValueError(f"{kind} needs a short string; got {str(content)[:80]!r}.")
    if kind == "variable":
        return sympy.Symbol(content)
    if kind == "constant":
        if content not in _CONSTANTS:
            raise ValueError(f"there is no constant {reprlib.repr(content)}.")
        return _CONSTANTS[content]
    if kind == "number":
        match = re.fullmatch(r"(-?\d+)(?:/(\d+))?", content, flags=re.ASCII)
        if match is None or (match.group(2) is not None and int(match.group(2)) == 0):
            raise ValueError(f"{reprlib.repr(content)} is not a whole number or fraction.")
        return sympy.Rational(int(match.group(1)), int(match.group(2) or 1))
    try:
        value = float(content)
    except ValueError:
        raise ValueError(f"{reprlib.repr(content)} is not a number.") from None
    if value != value or abs(value) == float("inf"):
        raise ValueError(f"{reprlib.repr(content)} is not a finite number.")
    return sympy.Float(value, 17)
