"""SymPy's printers for the languages of `export`, with numbers written in full."""

# SymPy's annotations call the parts of an expression Basic, whatever they are.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportAssignmentType=false, reportCallIssue=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

from typing import Any

import sympy
from sympy.printing.c import C99CodePrinter
from sympy.printing.julia import JuliaCodePrinter
from sympy.printing.latex import LatexPrinter
from sympy.printing.pycode import PythonCodePrinter
from sympy.printing.str import StrPrinter


class TextPrinter(StrPrinter):
    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))

    def _print_besselj(self, expr: Any) -> str:
        return f"j{expr.args[0]}({self._print(expr.args[1])})"


class NumPyPrinter(PythonCodePrinter):
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


class TorchPrinter(NumPyPrinter):
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


class CPrinter(C99CodePrinter):
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


class JuliaPrinter(JuliaCodePrinter):
    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))

    def _print_Mul(self, expr: Any) -> str:
        return _scalar(super()._print_Mul(expr))

    def _print_Pow(self, expr: Any) -> str:
        return _scalar(super()._print_Pow(expr))


def _scalar(text: str) -> str:
    """Undo SymPy's element-wise operators: the function is for numbers, broadcast by the caller."""
    return text.replace(" .* ", "*").replace(" ./ ", "/").replace(" .^ ", "^").replace(".^", "^")


class ShortLatexPrinter(LatexPrinter):
    def _print_Float(self, expr: sympy.Float) -> str:
        text = f"{float(expr):.6g}"
        mantissa, _, exponent = text.partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
