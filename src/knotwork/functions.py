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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import sympy
import torch
from torch import Tensor

from knotwork._checks import check_choice, check_number, near_spellings

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


def _bessel_j0(x: Tensor) -> Tensor:
    """Return the Bessel function J0, accurate to rounding and differentiable any number of times.

    (`torch.special.bessel_j0` has no derivative and errors up to 4e-7.) Below 25 the midpoint rule
    for the mean of ``cos(x sin t)`` over t, which for a periodic integrand is exact to rounding;
    above it Hankel's asymptotic series, whose terms come from ``a_k = -a_(k-1) (2k - 1)^2 / 8k``.
    """
    limit, nodes, terms = 25.0, 16, 16
    angles = (torch.arange(nodes, dtype=x.dtype, device=x.device) + 0.5) * (math.pi / (2 * nodes))
    near = torch.cos(x.clamp(-limit, limit).unsqueeze(-1) * torch.sin(angles)).mean(-1)

    far = x.abs().clamp_min(limit)
    cosine_part, sine_part = torch.ones_like(far), torch.zeros_like(far)
    term = torch.ones_like(far)
    for k in range(1, terms):
        term = term * (-((2 * k - 1) ** 2) / (8 * k)) / far
        sign = -1.0 if k % 4 in (2, 3) else 1.0
        if k % 2 == 0:
            cosine_part = cosine_part + sign * term
        else:
            sine_part = sine_part + sign * term
    phase = far - math.pi / 4
    wave = cosine_part * torch.cos(phase) - sine_part * torch.sin(phase)
    return torch.where(x.abs() < limit, near, wave * torch.sqrt(2 / (math.pi * far)))


def _away_from_zero(x: Tensor) -> Tensor:
    """Return the size of `x`, not below a tiny number whose powers are still finite numbers."""
    return x.abs().clamp_min(torch.finfo(x.dtype).eps ** 2)


def _power(
    name: str, exponent: sympy.Expr, cost: float, domain: Intervals, parity: str = "none"
) -> SymbolicFunction:
    degree = float(exponent)
    return SymbolicFunction(
        name,
        lambda x: x.pow(degree),
        lambda x: x**exponent,
        lambda x: degree * x.pow(degree - 1.0),
        cost=cost,
        domain=domain,
        symmetry="power",
        degree=degree,
        parity=parity,
    )


def _built_in_functions() -> list[SymbolicFunction]:
    new = SymbolicFunction
    rational = sympy.Rational
    half_turn = ((-math.pi / 2, math.pi / 2),)
    return [
        new(
            "x",
            lambda x: x * 1.0,
            lambda x: x,
            torch.ones_like,
            cost=1.0,
            symmetry="linear",
            parity="odd",
        ),
        _power("x^2", rational(2), 2.0, _LINE, "even"),
        _power("x^3", rational(3), 3.0, _LINE, "odd"),
        _power("x^4", rational(4), 3.0, _LINE, "even"),
        _power("x^5", rational(5), 4.0, _LINE, "odd"),
        _power("1/x", rational(-1), 2.0, _NON_ZERO, "odd"),
        _power("1/x^2", rational(-2), 3.0, _NON_ZERO, "even"),
        _power("1/x^3", rational(-3), 4.0, _NON_ZERO, "odd"),
        _power("1/x^4", rational(-4), 4.0, _NON_ZERO, "even"),
        _power("1/x^5", rational(-5), 4.0, _NON_ZERO, "odd"),
        _power("sqrt", rational(1, 2), 2.0, _POSITIVE),
        _power("x^1.5", rational(3, 2), 3.0, _POSITIVE),
        _power("1/sqrt", rational(-1, 2), 3.0, _POSITIVE),
        _power("1/x^1.5", rational(-3, 2), 4.0, _POSITIVE),
        new(
            "cbrt",
            # In this form autograd is right everywhere but at 0, and finite there too.
            lambda x: x * _away_from_zero(x).pow(-2 / 3),
            lambda x: sympy.sign(x) * sympy.Abs(x) ** rational(1, 3),
            lambda x: _away_from_zero(x).pow(-2 / 3) / 3,
            cost=3.0,
            symmetry="power",
            degree=1 / 3,
            parity="odd",
        ),
        new("exp", torch.exp, sympy.exp, torch.exp, cost=2.0, symmetry="exp"),
        new(
            "log",
            torch.log,
            sympy.log,
            torch.reciprocal,
            cost=2.0,
            domain=_POSITIVE,
            symmetry="log",
        ),
        new(
            "sin",
            torch.sin,
            sympy.sin,
            torch.cos,
            cost=2.0,
            parity="odd",
            period=2 * math.pi,
            antiperiodic=True,
        ),
        new(
            "cos",
            torch.cos,
            sympy.cos,
            lambda x: -torch.sin(x),
            cost=2.0,
            parity="even",
            period=2 * math.pi,
            antiperiodic=True,
        ),
        new(
            "tan",
            torch.tan,
            sympy.tan,
            lambda x: 1 + torch.tan(x).square(),
            cost=3.0,
            domain=half_turn,
            parity="odd",
        ),
        new(
            "arcsin",
            torch.arcsin,
            sympy.asin,
            lambda x: (1 - x * x).rsqrt(),
            cost=3.0,
            domain=_UNIT,
            parity="odd",
        ),
        new(
            "arccos",
            torch.arccos,
            sympy.acos,
            lambda x: -(1 - x * x).rsqrt(),
            cost=3.0,
            domain=_UNIT,
        ),
        new("arctan", torch.arctan, sympy.atan, lambda x: 1 / (1 + x * x), cost=3.0, parity="odd"),
        new("sinh", torch.sinh, sympy.sinh, torch.cosh, cost=3.0, parity="odd"),
        new("cosh", torch.cosh, sympy.cosh, torch.sinh, cost=3.0, parity="even"),
        new(
            "tanh",
            torch.tanh,
            sympy.tanh,
            lambda x: 1 - torch.tanh(x).square(),
            cost=3.0,
            parity="odd",
        ),
        new(
            "arcsinh",
            torch.arcsinh,
            sympy.asinh,
            lambda x: (1 + x * x).rsqrt(),
            cost=4.0,
            parity="odd",
        ),
        new(
            "arccosh",
            torch.arccosh,
            sympy.acosh,
            lambda x: (x * x - 1).rsqrt(),
            cost=4.0,
            domain=((1.0, math.inf),),
        ),
        new(
            "arctanh",
            torch.arctanh,
            sympy.atanh,
            lambda x: 1 / (1 - x * x),
            cost=4.0,
            domain=_UNIT,
            parity="odd",
        ),
        new(
            "gaussian",
            lambda x: torch.exp(-x * x),
            lambda x: sympy.exp(-(x**2)),
            lambda x: -2 * x * torch.exp(-x * x),
            cost=3.0,
            parity="even",
        ),
        new(
            "sigmoid",
            torch.sigmoid,
            lambda x: 1 / (1 + sympy.exp(-x)),
            lambda x: torch.sigmoid(x) * torch.sigmoid(-x),
            cost=3.0,
        ),
        new(
            "softplus",
            lambda x: torch.logaddexp(x, torch.zeros_like(x)),
            lambda x: sympy.log(1 + sympy.exp(x)),
            torch.sigmoid,
            cost=4.0,
        ),
        new(
            "erf",
            torch.erf,
            sympy.erf,
            lambda x: 2 / math.sqrt(math.pi) * torch.exp(-x * x),
            cost=4.0,
            parity="odd",
        ),
        new(
            "J0",
            _bessel_j0,
            lambda x: sympy.besselj(0, x),
            cost=4.0,
            parity="even",
        ),
        new(
            "sign",
            torch.sign,
            sympy.sign,
            torch.zeros_like,
            cost=3.0,
            symmetry="power",
            degree=0.0,
            parity="odd",
        ),
        new(
            "abs",
            torch.abs,
            sympy.Abs,
            torch.sign,
            cost=3.0,
            symmetry="power",
            degree=1.0,
            parity="even",
        ),
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
    functions: dict[str, SymbolicFunction] = {}
    for entry in lib:
        function = get(entry, "lib")
        functions.setdefault(function.name, function)
    if not functions:
        raise ValueError("lib is empty; name at least one function, or pass None for the default.")
    return tuple(functions.values())
