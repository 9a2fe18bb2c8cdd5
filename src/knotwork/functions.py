"""The library of one-dimensional symbolic functions, as data.

A symbolic edge is ``c * f(a*x + b) + d`` with ``f`` one of these functions. Some of the four
constants are redundant, since for most functions a change of ``a`` or ``b`` is the same as a
change of ``c`` or ``d``: ``(2*x)**2`` is ``4 * x**2``. The fields `symmetry`, `parity` and
`period` say which, and `SymbolicFunction.normalise` brings the constants to one canonical form.

Functions of your own need no registration: make a `SymbolicFunction` and pass it in `lib` beside
the names of the built-in ones.

>>> import torch, sympy
>>> softsign = SymbolicFunction("softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + abs(x)))
>>> [function.name for function in resolve(["sin", "x^0.5", softsign])]
['sin', 'sqrt', 'softsign']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import sympy
import torch
from torch import Tensor

from knotwork._checks import check_choice, check_number, near_spellings
from knotwork._elementwise import (
    bessel,
    cube_root,
    cube_root_slope,
    gaussian,
    raised,
    sigmoid_slope,
    softplus,
)

__all__ = ["DEFAULT_NAMES", "LIBRARY", "SymbolicFunction", "get", "resolve"]

Elementwise = Callable[[Tensor], Tensor]
"""A function of a tensor that acts on every element by itself."""

Intervals = tuple[tuple[float, float], ...]

_LINE: Intervals = ((-math.inf, math.inf),)
_POSITIVE: Intervals = ((0.0, math.inf),)
_NON_ZERO: Intervals = ((-math.inf, 0.0), (0.0, math.inf))
_UNIT: Intervals = ((-1.0, 1.0),)


@dataclass(frozen=True)
class SymbolicFunction:
    """A one-dimensional function, for torch and for SymPy, with the laws that it obeys.

    Parameters
    ----------
    name
        What it is called in `lib`, in tables and in pictures.
    torch
        The function of a tensor, elementwise; autograd must be able to differentiate it twice.
    sympy
        The same function of a SymPy expression.
    derivative
        Its first derivative, of a tensor; by autograd where None.
    cost
        Its complexity, above 0; ``x``, the cheapest, has 1 and the common functions have 2.
    domain
        Open intervals, from left to right. All arguments must lie in one and the same interval.
    symmetry
        What a change of scale or place of the argument does, for every ``t > 0`` and ``s``:
        "linear", f(z) = z; "power", f(t z) = t**degree f(z); "log", f(t z) = f(z) + log t;
        "exp", f(z + s) = exp(s) f(z); or "none".
    degree
        The degree of a "power" symmetry.
    parity
        "even", "odd" or "none".
    period
        The period on the whole line, or None.
    antiperiodic
        Whether f(z + period/2) = -f(z).

    Raises
    ------
    TypeError, ValueError
        If a field has the wrong type or cannot be right.

    Examples
    --------
    >>> import torch, sympy
    >>> cubic = SymbolicFunction("cubic", lambda x: x**3 - x, lambda x: x**3 - x, parity="odd")
    >>> cubic.derivative(torch.tensor([0.0, 1.0]))
    tensor([-1.,  2.])
    >>> cubic.sympy(sympy.Symbol("x"))
    x**3 - x
    """

    name: str
    torch: Elementwise = field(repr=False)
    sympy: Callable[[sympy.Expr], sympy.Expr] = field(repr=False)
    # None is for the constructor only; afterwards this is always a function.
    derivative: Elementwise = field(default=cast("Elementwise", None), repr=False)
    cost: float = field(default=4.0, kw_only=True)
    domain: Intervals = field(default=_LINE, kw_only=True)
    symmetry: str = field(default="none", kw_only=True)
    degree: float = field(default=1.0, kw_only=True)
    parity: str = field(default="none", kw_only=True)
    period: float | None = field(default=None, kw_only=True)
    antiperiodic: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(cast("object", self.name), str) or not self.name:
            raise TypeError(f"name must be a non-empty string; got {self.name!r}.")
        if cast("Elementwise | None", self.derivative) is None:
            object.__setattr__(self, "derivative", _Derivative(self.torch))
        for argument in ("torch", "sympy", "derivative"):
            if not callable(getattr(self, argument)):
                raise TypeError(f"{argument} must be a function; got {getattr(self, argument)!r}.")
        check_number(self.cost, "cost", low=0.0, strict=True)
        check_number(self.degree, "degree")
        check_choice(self.symmetry, "symmetry", ("none", "linear", "power", "log", "exp"))
        check_choice(self.parity, "parity", ("none", "even", "odd"))
        if self.period is not None:
            check_number(self.period, "period", low=0.0, strict=True)
            if self.domain != _LINE:
                raise ValueError("period needs a function that is defined on the whole line.")
        elif self.antiperiodic:
            raise ValueError("antiperiodic needs a period.")
        ends = [end for interval in self.domain for end in interval]
        if not self.domain or not all(low < high for low, high in self.domain):
            raise ValueError(
                f"domain must be intervals (low, high), low < high; got {self.domain}."
            )
        if ends != sorted(ends):
            raise ValueError(f"domain must go from left to right; got {self.domain}.")

    @property
    def free_a(self) -> bool:
        """Whether ``a`` matters; otherwise it is fixed at 1 (or -1, see `normalise`)."""
        return self.symmetry in ("none", "exp")

    @property
    def free_b(self) -> bool:
        """Whether ``b`` matters; otherwise it is fixed at 0."""
        return self.symmetry in ("none", "power", "log")

    def normalise(self, a: float, b: float, c: float) -> tuple[float, float, float, float]:
        """Bring the constants of ``c * f(a*x + b)`` to their canonical form.

        Parameters
        ----------
        a, b, c
            The constants.

        Returns
        -------
        a, b, c, d
            Constants with ``c * f(a*x + b) + d`` the same function of x as before. ``a`` is 1 and
            ``b`` is 0 for "linear", ``a`` is 1 or -1 for "power" and "log", ``b`` is 0 for "exp";
            ``a`` is positive for even and odd functions; ``b`` is at most half a period in size,
            a quarter for antiperiodic functions. A factor that would overflow or vanish stays
            where it is. With ``a = 0`` nothing is changed, except for "linear".
        """
        if self.symmetry == "linear":
            return 1.0, 0.0, c * a, c * b
        if a == 0.0:
            return a, b, c, 0.0
        d = 0.0
        if self.symmetry == "power":
            factor = _factor(c, self.degree * math.log(abs(a)))
            if factor is not None:
                a, b, c = math.copysign(1.0, a), b / abs(a), factor
        elif self.symmetry == "log":
            a, b, d = math.copysign(1.0, a), b / abs(a), c * math.log(abs(a))
        elif self.symmetry == "exp":
            factor = _factor(c, b)
            if factor is not None:
                b, c = 0.0, factor
        if a < 0.0 and self.parity != "none":
            a, b, c = -a, -b, c if self.parity == "even" else -c
        if self.period is not None:
            b = math.remainder(b, self.period)
            if self.antiperiodic and abs(b) > self.period / 4:
                b, c = b - math.copysign(self.period / 2, b), -c
            elif b == -self.period / 2:
                b = self.period / 2
        return a, b, c, d

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Built-in functions are copied and pickled by name, so that a copy is the same record.
        if LIBRARY.get(self.name) is self:
            return get, (self.name,)
        return super().__reduce_ex__(protocol)


def _factor(c: float, exponent: float) -> float | None:
    """Return ``c * exp(exponent)``, or None where it leaves the range of normal numbers."""
    if c == 0.0:
        return c
    size = exponent + math.log(abs(c))
    return c * math.exp(exponent) if max(abs(size), abs(exponent)) < 690.0 else None


@dataclass(frozen=True)
class _Derivative:
    """The derivative of an elementwise function by autograd."""

    function: Elementwise

    def __call__(self, x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: self.function(x).sum())(x)


def _real_cube_root(x: sympy.Expr) -> sympy.Expr:
    return sympy.sign(x) * sympy.Abs(x) ** sympy.Rational(1, 3)


def _power(
    name: str, exponent: float, cost: float, domain: Intervals, parity: str = "none"
) -> SymbolicFunction:
    """Return a power of x, where twice the exponent is a whole number."""
    halves = round(2 * exponent)
    return SymbolicFunction(
        name,
        lambda x: raised(x, halves),
        lambda x: x ** (sympy.Integer(halves) / 2),
        lambda x: exponent * raised(x, halves - 2),
        cost=cost,
        domain=domain,
        symmetry="power",
        degree=exponent,
        parity=parity,
    )


def _new(
    name: str,
    torch_form: Elementwise,
    sympy_form: Callable[[sympy.Expr], sympy.Expr],
    derivative: Elementwise,
    cost: float,
    parity: str = "none",
    domain: Intervals = _LINE,
    **laws: Any,
) -> SymbolicFunction:
    return SymbolicFunction(
        name, torch_form, sympy_form, derivative, cost=cost, parity=parity, domain=domain, **laws
    )


def _built_in_functions() -> list[SymbolicFunction]:
    third: dict[str, Any] = {"symmetry": "power", "degree": 1 / 3}
    wave: dict[str, Any] = {"period": 2 * math.pi, "antiperiodic": True}
    branch = ((-math.pi / 2, math.pi / 2),)
    beyond_one = ((1.0, math.inf),)
    return [
        _new("x", lambda x: x * 1.0, lambda x: x, torch.ones_like, 1.0, "odd", symmetry="linear"),
        _power("x^2", 2.0, 2.0, _LINE, "even"),
        _power("x^3", 3.0, 3.0, _LINE, "odd"),
        _power("x^4", 4.0, 3.0, _LINE, "even"),
        _power("x^5", 5.0, 4.0, _LINE, "odd"),
        _power("1/x", -1.0, 2.0, _NON_ZERO, "odd"),
        _power("1/x^2", -2.0, 3.0, _NON_ZERO, "even"),
        _power("1/x^3", -3.0, 4.0, _NON_ZERO, "odd"),
        _power("1/x^4", -4.0, 4.0, _NON_ZERO, "even"),
        _power("1/x^5", -5.0, 4.0, _NON_ZERO, "odd"),
        _power("sqrt", 0.5, 2.0, _POSITIVE),
        _power("x^1.5", 1.5, 3.0, _POSITIVE),
        _power("1/sqrt", -0.5, 3.0, _POSITIVE),
        _power("1/x^1.5", -1.5, 4.0, _POSITIVE),
        _new("cbrt", cube_root, _real_cube_root, cube_root_slope, 3.0, "odd", **third),
        _new("exp", torch.exp, sympy.exp, torch.exp, 2.0, symmetry="exp"),
        _new("log", torch.log, sympy.log, torch.reciprocal, 2.0, domain=_POSITIVE, symmetry="log"),
        _new("sin", torch.sin, sympy.sin, torch.cos, 2.0, "odd", **wave),
        _new("cos", torch.cos, sympy.cos, lambda x: -torch.sin(x), 2.0, "even", **wave),
        _new("tan", torch.tan, sympy.tan, lambda x: 1 + torch.tan(x).square(), 3.0, "odd", branch),
        _new("arcsin", torch.arcsin, sympy.asin, lambda x: (1 - x * x).rsqrt(), 3.0, "odd", _UNIT),
        _new(
            "arccos", torch.arccos, sympy.acos, lambda x: -(1 - x * x).rsqrt(), 3.0, "none", _UNIT
        ),
        _new("arctan", torch.arctan, sympy.atan, lambda x: 1 / (1 + x * x), 3.0, "odd"),
        _new("sinh", torch.sinh, sympy.sinh, torch.cosh, 3.0, "odd"),
        _new("cosh", torch.cosh, sympy.cosh, torch.sinh, 3.0, "even"),
        _new("tanh", torch.tanh, sympy.tanh, lambda x: 1 - torch.tanh(x).square(), 3.0, "odd"),
        _new("arcsinh", torch.arcsinh, sympy.asinh, lambda x: (1 + x * x).rsqrt(), 4.0, "odd"),
        _new(
            "arccosh",
            torch.arccosh,
            sympy.acosh,
            lambda x: (x * x - 1).rsqrt(),
            4.0,
            "none",
            beyond_one,
        ),
        _new("arctanh", torch.arctanh, sympy.atanh, lambda x: 1 / (1 - x * x), 4.0, "odd", _UNIT),
        _new(
            "gaussian",
            gaussian,
            lambda x: sympy.exp(-(x**2)),
            lambda x: -2 * x * gaussian(x),
            3.0,
            "even",
        ),
        _new("sigmoid", torch.sigmoid, lambda x: 1 / (1 + sympy.exp(-x)), sigmoid_slope, 3.0),
        _new("softplus", softplus, lambda x: sympy.log(1 + sympy.exp(x)), torch.sigmoid, 4.0),
        _new(
            "erf", torch.erf, sympy.erf, lambda x: 2 / math.sqrt(math.pi) * gaussian(x), 4.0, "odd"
        ),
        _new(
            "J0",
            lambda x: bessel(0, x),
            lambda x: sympy.besselj(0, x),
            lambda x: -bessel(1, x),
            4.0,
            "even",
        ),
        _new(
            "sign",
            torch.sign,
            sympy.sign,
            torch.zeros_like,
            3.0,
            "odd",
            symmetry="power",
            degree=0.0,
        ),
        _new("abs", torch.abs, sympy.Abs, torch.sign, 3.0, "even", symmetry="power", degree=1.0),
    ]


LIBRARY: Mapping[str, SymbolicFunction] = MappingProxyType(
    {function.name: function for function in _built_in_functions()}
)
"""All built-in functions by name; it cannot be changed."""

# Every function here can be told from the others, so that none crowds out another in a ranking:
# cos is sin with another phase, sigmoid is tanh with other constants, arccos is arcsin. High
# powers, sign and the special functions (J0, erf and the like) are left out as they seldom appear
# in formulas, yet with their shift they copy noise or the shape of a neighbour well.
DEFAULT_NAMES: tuple[str, ...] = (
    "x",
    "x^2",
    "x^3",
    "x^4",
    "1/x",
    "1/x^2",
    "sqrt",
    "1/sqrt",
    "exp",
    "log",
    "sin",
    "arcsin",
    "tanh",
    "gaussian",
    "abs",
)
"""The functions that are tried where no library is named."""

_ALIASES = MappingProxyType(
    {
        "identity": "x",
        "linear": "x",
        "square": "x^2",
        "cube": "x^3",
        "x^-1": "1/x",
        "x^-2": "1/x^2",
        "x^0.5": "sqrt",
        "x^(1/2)": "sqrt",
        "sqrt(x)": "sqrt",
        "1/x^0.5": "1/sqrt",
        "1/sqrt(x)": "1/sqrt",
        "rsqrt": "1/sqrt",
        "x^(3/2)": "x^1.5",
        "x^(1/3)": "cbrt",
        "ln": "log",
        "asin": "arcsin",
        "acos": "arccos",
        "atan": "arctan",
        "asinh": "arcsinh",
        "acosh": "arccosh",
        "atanh": "arctanh",
        "sgn": "sign",
        "bessel_j0": "J0",
        "j0": "J0",
    }
)


def get(function: str | SymbolicFunction, argument: str = "function") -> SymbolicFunction:
    """Return the function with a given name or alias; a `SymbolicFunction` passes unchanged.

    Parameters
    ----------
    function
        A name such as ``"sin"``, an alias such as ``"asin"`` or ``"x**2"``, or a record.
    argument
        What the caller's argument is called, for messages.

    Raises
    ------
    TypeError
        If `function` is neither a string nor a `SymbolicFunction`.
    ValueError
        If there is no such name.

    Examples
    --------
    >>> get("ln").name
    'log'
    """
    if isinstance(function, SymbolicFunction):
        return function
    if not isinstance(function, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"{argument} must be the name of a function or a SymbolicFunction; got {function!r}."
        )
    name = function.replace(" ", "").replace("**", "^")
    name = _ALIASES.get(name, name)
    if name not in LIBRARY:
        suggestion = near_spellings(function, [*LIBRARY, *_ALIASES])
        raise ValueError(
            f"{argument}: there is no function {function!r}.{suggestion} The names are "
            f"{', '.join(LIBRARY)}; for a function of your own pass a SymbolicFunction."
        )
    return LIBRARY[name]


def resolve(lib: Sequence[str | SymbolicFunction] | None = None) -> tuple[SymbolicFunction, ...]:
    """Return the functions that `lib` stands for, in its order and each once.

    Parameters
    ----------
    lib
        Names, aliases and records, mixed as you like; None for `DEFAULT_NAMES`. Where two have
        the same name the first one counts.

    Raises
    ------
    TypeError
        If `lib` is a single name instead of a list, or an entry is neither name nor record.
    ValueError
        If a name is unknown or `lib` is empty.

    Examples
    --------
    >>> [function.name for function in resolve(["sin", "identity", "x"])]
    ['sin', 'x']
    """
    if lib is None:
        lib = DEFAULT_NAMES
    if isinstance(lib, (str, SymbolicFunction)):
        shown = getattr(lib, "name", lib)
        raise TypeError(f"lib must be a list of functions; for a single one write [{shown!r}].")
    if not isinstance(cast("object", lib), Iterable):
        raise TypeError(f"lib must be a list of functions; got {lib!r}.")
    functions: dict[str, SymbolicFunction] = {}
    for entry in lib:
        function = get(entry, "lib")
        functions.setdefault(function.name, function)
    if not functions:
        raise ValueError("lib is empty; name at least one function, or pass None for the default.")
    return tuple(functions.values())
