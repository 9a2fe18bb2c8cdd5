"""Units of measurement, read from text as powers of base dimensions.

Only dimensions count, not sizes: km and m are both lengths, since a number that turns one into
the other is as good as any other number in a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["DIMENSIONLESS", "Dimension", "foreign_units", "parse_units"]

_LONGEST = 200
_DEEPEST = 20
_LARGEST_POWER = 99

# Units of the International System (BIPM, The International System of Units, 9th edition, 2019,
# tables 2, 4 and 8), each by simpler ones; those in _BASE are themselves.
_BASE = ("kg", "m", "s", "A", "K", "mol", "cd")
_DERIVED: Mapping[str, str] = {
    "g": "kg",
    "Hz": "1/s",
    "N": "kg*m/s^2",
    "Pa": "kg/(m*s^2)",
    "J": "kg*m^2/s^2",
    "W": "kg*m^2/s^3",
    "C": "A*s",
    "V": "kg*m^2/(A*s^3)",
    "F": "A^2*s^4/(kg*m^2)",
    "ohm": "kg*m^2/(A^2*s^3)",
    "Ω": "kg*m^2/(A^2*s^3)",
    "S": "A^2*s^3/(kg*m^2)",
    "Wb": "kg*m^2/(A*s^2)",
    "T": "kg/(A*s^2)",
    "H": "kg*m^2/(A^2*s^2)",
    "lm": "cd",
    "lx": "cd/m^2",
    "Bq": "1/s",
    "Gy": "m^2/s^2",
    "Sv": "m^2/s^2",
    "kat": "mol/s",
    "rad": "1",
    "sr": "1",
    "eV": "kg*m^2/s^2",
    "L": "m^3",
    "l": "m^3",
    "bar": "kg/(m*s^2)",
}
# These take no prefix.
_PLAIN: Mapping[str, str] = {"deg": "1", "min": "s", "h": "s", "day": "s", "year": "s"}
_PREFIXES = (
    *("da", "h", "k", "M", "G", "T", "P", "E", "Z", "Y"),
    *("d", "c", "m", "µ", "μ", "u", "n", "p", "f", "a", "z", "y"),
)


@dataclass(frozen=True)
class Dimension(Mapping[str, Fraction]):
    """A product of powers of base dimensions, as an immutable mapping of names to exponents.

    Parameters
    ----------
    exponents : tuple of (str, Fraction)
        By name, without zeros; `Dimension.of` sees to that.

    Examples
    --------
    >>> speed = parse_units("m/s")
    >>> print(speed**2, speed["s"], speed / speed == DIMENSIONLESS)
    m^2/s^2 -1 True
    """

    exponents: tuple[tuple[str, Fraction], ...] = ()

    @classmethod
    def of(cls, exponents: Mapping[str, Fraction]) -> Dimension:
        """Return the dimension with these exponents."""
        return cls(tuple(sorted((name, power) for name, power in exponents.items() if power)))

    def __getitem__(self, name: str) -> Fraction:
        return dict(self.exponents)[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.exponents)

    def __len__(self) -> int:
        return len(self.exponents)

    def __mul__(self, other: Dimension) -> Dimension:
        return Dimension.of(
            {name: self.get(name, _ZERO) + other.get(name, _ZERO) for name in {*self, *other}}
        )

    def __truediv__(self, other: Dimension) -> Dimension:
        return self * other ** Fraction(-1)

    def __pow__(self, power: Fraction | int) -> Dimension:
        return Dimension.of({name: exponent * power for name, exponent in self.exponents})

    def __str__(self) -> str:
        above = "*".join(_power(name, power) for name, power in self.exponents if power > 0)
        below = "".join(f"/{_power(name, -power)}" for name, power in self.exponents if power < 0)
        return (above or "1") + below


_ZERO = Fraction(0)
DIMENSIONLESS = Dimension()


def _power(name: str, power: Fraction) -> str:
    if power == 1:
        return name
    if power.denominator > _LARGEST_POWER:  # the exponent was fitted
        return f"{name}^{float(power):.6g}"
    return f"{name}^{power}" if power.denominator == 1 else f"{name}^({power})"


def parse_units(text: str) -> Dimension:
    """Read a unit such as ``kg*m^2/s^3``.

    Parameters
    ----------
    text : str
        Names of units, ``*``, ``/``, ``^`` or ``**`` with a whole number, a decimal or a fraction
        in brackets, and brackets; ``1`` or nothing for what has no dimension. Units of the
        International System and a few others are known, prefixes included; any other name is a
        base dimension of its own, as ``apple``.

    Returns
    -------
    Dimension
        Exponents of kg, m, s, A, K, mol, cd and names of the user's own.

    Raises
    ------
    TypeError
        If `text` is not a string.
    ValueError
        If it is not a unit; the message says where.

    Examples
    --------
    >>> dict(parse_units("mN*m^(1/2)"))
    {'kg': Fraction(1, 1), 'm': Fraction(3, 2), 's': Fraction(-2, 1)}
    >>> print(parse_units("W"), parse_units("apple/day"), parse_units(""))
    kg*m^2/s^3 apple/s 1
    """
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a unit must be a string, as 'm/s^2'; got {text!r}.")
    if len(text) > _LONGEST:
        raise ValueError(f"a unit may have {_LONGEST} characters; got {len(text)}.")
    return _Reader(text).read()


def foreign_units(text: str) -> list[str]:
    """List the names in a unit that stand for base dimensions of their own.

    Examples
    --------
    >>> foreign_units("apple*m/blorp")
    ['apple', 'blorp']
    """
    return [name for name in parse_units(text) if name not in _BASE]


_TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d]\w*)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>\*\*|[*/^()+-])|(?P<end>$))"
)


class _Reader:
    """Recursive descent through ``factor {(* | /) factor}``, a factor being an atom or power."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.kind, self.token = "", ""
        self._next = 0
        self._advance()

    def read(self) -> Dimension:
        if self.kind == "end":
            return DIMENSIONLESS
        result = self._product(0)
        if self.kind != "end":
            raise self._error("'*' or '/' is expected")
        return result

    def _advance(self) -> None:
        match = _TOKEN.match(self.text, self._next)
        if match is None:
            spaces = len(self.text[self._next :]) - len(self.text[self._next :].lstrip())
            self.place = self._next + spaces
            raise self._error(f"{self.text[self.place]!r} has no meaning here")
        self.kind = str(match.lastgroup)
        self.token = match.group(self.kind)
        self.place, self._next = match.start(self.kind), match.end()

    def _error(self, what: str) -> ValueError:
        return ValueError(f"unit {self.text!r}: {what}, at character {self.place + 1}.")

    def _take(self, *tokens: str) -> str:
        """Return the token and go on if it is one of these, else return nothing."""
        token = self.token
        if self.kind != "sign" or token not in tokens:
            return ""
        self._advance()
        return token

    def _product(self, depth: int) -> Dimension:
        result = self._factor(depth)
        while sign := self._take("*", "/"):
            factor = self._factor(depth)
            result = result * factor if sign == "*" else result / factor
        return result

    def _factor(self, depth: int) -> Dimension:
        base = self._atom(depth)
        return base ** self._exponent() if self._take("^", "**") else base

    def _atom(self, depth: int) -> Dimension:
        if depth > _DEEPEST:
            raise self._error(f"brackets are more than {_DEEPEST} deep")
        if self._take("("):
            result = self._product(depth + 1)
            if not self._take(")"):
                raise self._error("')' is expected")
            return result
        if self.kind == "number" and self.token != "1":
            raise self._error("1 is the only number that may stand for a unit")
        if self.kind not in ("name", "number"):
            raise self._error("a unit is expected")
        result = _named(self.token) if self.kind == "name" else DIMENSIONLESS
        self._advance()
        return result

    def _exponent(self) -> Fraction:
        if self._take("("):
            result = self._signed()
            if self._take("/"):
                place, divisor = self.place, self._signed()
                if divisor == 0:
                    self.place = place
                    raise self._error("an exponent is divided by 0")
                result /= divisor
            if not self._take(")"):
                raise self._error("')' is expected")
        else:
            result = self._signed()
        return result

    def _signed(self) -> Fraction:
        sign = -1 if self._take("-", "+") == "-" else 1
        if self.kind != "number":
            raise self._error("an exponent is expected: a whole number, or a fraction as (1/2)")
        value = Fraction(self.token)
        if value > _LARGEST_POWER:
            raise self._error(f"exponents may be {_LARGEST_POWER} at the most")
        self._advance()
        return sign * value


def _named(name: str) -> Dimension:
    """Return the dimension of a unit by its name, with or without a prefix."""
    if name in _BASE:
        return Dimension(((name, Fraction(1)),))
    definition = _PLAIN.get(name) or _DERIVED.get(name)
    if definition is not None:
        return parse_units(definition)
    for prefix in _PREFIXES:
        rest = name.removeprefix(prefix)
        # A prefix before kg would be the second one.
        if rest != name and rest != "kg" and (rest in _BASE or rest in _DERIVED):
            return _named(rest)
    return Dimension(((name, Fraction(1)),))
