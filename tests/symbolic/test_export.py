"""Formulas as code: every export is run (Julia's is read by a parser)."""

import ctypes
import json
import subprocess

import numpy as np
import pytest
import sympy
import torch
from matplotlib.mathtext import MathTextParser

from knotwork.symbolic.export import LANGUAGES, code
from knotwork.symbolic.reading import from_data, parse

x, y, z = sympy.symbols("x y z")
R = sympy.Rational

FORMULAS = [
    2.5 * sympy.exp(-(x**2) / 3) + sympy.sqrt(y) * R(1, 3) / x**3,
    sympy.exp(sympy.sin(sympy.pi * x) + y**2 / 9),
    sympy.sign(x - 1) * sympy.Abs(x) ** R(1, 3) + sympy.Abs(y - 2),
    sympy.asin(y / 10) + sympy.acos(x / 10) + sympy.atan(x * y) + sympy.tan(x / 10),
    sympy.sinh(x / 3) * sympy.cosh(y / 3) * sympy.tanh(x) + sympy.asinh(x) + sympy.acosh(1 + y),
    sympy.atanh(x / 10) + sympy.log(x / y) + sympy.cos(x) ** 2,
    sympy.erf(x / 2) + sympy.besselj(0, y),
    x * y / z + x / (y * z) ** 2 - x**-1 * R(2, 7),
    1e-30 * x + 1.2345678901234567e5 * y - sympy.E * z,
    x**2.5 - y ** R(-3, 2) + sympy.sqrt(2) * z + sympy.log(3),
    sympy.Integer(3),
    sympy.Float(0.1) + sympy.pi,
    x,
]
NAMES = ["x", "y", "z"]
NASTY = ["lambda", "my mass [kg]", "np"]
POINTS = np.random.default_rng(0).uniform(0.5, 3, (7, 3))


def truth(formula):
    return np.array(
        [float(formula.evalf(25, subs=dict(zip((x, y, z), row, strict=True)))) for row in POINTS]
    )


every_formula = pytest.mark.parametrize("formula", FORMULAS, ids=str)
every_naming = pytest.mark.parametrize("names", [NAMES, NASTY], ids=["plain", "nasty"])


def renamed(formula, names):
    return formula.xreplace({s: sympy.Symbol(n) for s, n in zip((x, y, z), names, strict=True)})


@every_formula
@every_naming
def test_numpy(formula, names):
    space = {}
    exec(code(renamed(formula, names), names, "numpy"), space)
    values = space["formula"](*POINTS.T)
    assert values.shape == (7,)
    np.testing.assert_allclose(values, truth(formula), rtol=1e-13)


@every_formula
@every_naming
def test_torch(formula, names):
    space = {}
    exec(code(renamed(formula, names), names, "torch", name="law"), space)
    module = space["Law"]()
    values = module(torch.tensor(POINTS))
    assert values.shape == (7,)
    # torch's own Bessel function is good to 4e-7 only.
    tolerance = 1e-6 if formula.has(sympy.besselj) else 1e-12
    np.testing.assert_allclose(values.detach().numpy(), truth(formula), rtol=tolerance)


@every_naming
def test_c(names, tmp_path):
    parts = [
        code(renamed(formula, names), names, "c", name=f"law_{k}")
        for k, formula in enumerate(FORMULAS)
    ]
    # Every export is whole by itself; in one file its helper would be there twice.
    helper = parts[2][parts[2].index("static") : parts[2].index("double law_2")]
    source = helper + "".join(part.replace(helper, "") for part in parts)
    (tmp_path / "laws.c").write_text(
        source.replace("static double", "#include <math.h>\nstatic double", 1)
    )
    (tmp_path / "alone.c").write_text(parts[2])
    flags = ["-Wall", "-Wextra", "-Werror", "-std=c99", "-O1", "-fPIC"]
    for file, output in (("laws", "laws.so"), ("alone", "alone.so")):
        subprocess.run(
            ["gcc", *flags, "-shared", f"{file}.c", "-o", output, "-lm"], cwd=tmp_path, check=True
        )
    library = ctypes.CDLL(str(tmp_path / "laws.so"))
    for k, formula in enumerate(FORMULAS):
        function = library[f"law_{k}"]
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * 3
        values = [function(*row) for row in POINTS]
        np.testing.assert_allclose(values, truth(formula), rtol=1e-13)


@every_formula
def test_julia_reads_as_the_formula(formula):
    text = code(formula, NAMES, "julia")
    body = text[text.index("return ") + 7 : text.index("\nend")]
    body = body.replace("//", "/").replace("besselj(0, ", "j0(")
    again = parse(body, NAMES)
    np.testing.assert_allclose(truth(again), truth(formula), rtol=1e-13)


@every_formula
@every_naming
def test_latex_can_be_set(formula, names):
    text = code(renamed(formula, names), names, "latex")
    MathTextParser("path").parse(f"${text}$")


@every_formula
def test_text_and_json_come_back(formula):
    again = parse(code(formula, NAMES, "text"), NAMES)
    np.testing.assert_allclose(truth(again), truth(formula), rtol=1e-14)
    data = json.loads(code(formula, NAMES, "json"))
    assert data["variables"] == NAMES
    np.testing.assert_allclose(truth(from_data(data["expression"])), truth(formula), rtol=1e-15)


def test_names_that_are_changed_are_told():
    text = code(sympy.Symbol("my mass") * 2, ["my mass"], "c")
    assert "my_mass is 'my mass'" in text


def test_names_stay_apart():
    names = ["a b", "a_b", "a-b"]
    text = code(sum(map(sympy.Symbol, names), sympy.Integer(0)), names, "numpy")
    space = {}
    exec(text, space)
    assert space["formula"](1, 10, 100) == 111


@pytest.mark.parametrize("language", LANGUAGES)
def test_bad_arguments(language):
    with pytest.raises(ValueError, match="not in variables"):
        code(x + y, ["x"], language)
    with pytest.raises(ValueError, match="identifier"):
        code(x, ["x"], language, name="no name")


def test_unknown_language():
    with pytest.raises(ValueError, match="fortran"):
        code(x, ["x"], "fortran")
