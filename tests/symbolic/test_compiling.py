"""Formulas as networks."""

import numpy as np
import pytest
import sympy
import torch

from knotwork import load
from knotwork.symbolic.compiling import network_of
from knotwork.symbolic.formula import symbolic_formula

symbols = sympy.symbols("x y z")
x, y, z = symbols
POINTS = np.random.default_rng(0).uniform(1, 3, (20, 3))

FORMULAS = [
    sympy.exp(sympy.sin(sympy.pi * x) + y**2),
    x * y / z**2,
    sympy.sqrt((x - y) ** 2 + (z - 1) ** 2),
    (x * y + z) / (x + z),
    x + x**2 + sympy.sin(x),
    2.5 * x**3 / (sympy.exp(x / 3) - 1) + 2,
    (1 + x) * (1 + y) * (2 + 3 * z) / 2,
    x ** sympy.Rational(2, 3) + y**7.5,
    x**y,
    sympy.Abs(x - 2) + sympy.besselj(0, y),
    sympy.Integer(3),
    x,
]


def values_of(expression):
    return np.array(
        [float(expression.evalf(subs=dict(zip(symbols, row, strict=True)))) for row in POINTS]
    )


@pytest.mark.parametrize("expression", FORMULAS, ids=str)
def test_the_network_is_the_formula(expression):
    network = network_of(expression, symbols)
    values = network(torch.tensor(POINTS))[:, 0].detach().numpy()
    np.testing.assert_allclose(values, values_of(expression), rtol=1e-12)
    read = symbolic_formula(network, ["x", "y", "z"])[0][0]
    np.testing.assert_allclose(values_of(read), values_of(expression), rtol=1e-12)


def test_it_can_be_saved(tmp_path):
    network = network_of(FORMULAS[0], symbols)
    network.save(tmp_path / "law.safetensors")
    again = load(tmp_path / "law.safetensors")
    points = torch.tensor(POINTS)
    assert torch.equal(again(points), network(points))


def test_what_cannot_be_compiled():
    with pytest.raises(ValueError, match="not in variables"):
        network_of(x + sympy.Symbol("q"), [x])
    with pytest.raises(ValueError, match="no edge can compute"):
        network_of(sympy.gamma(x), [x])
    with pytest.raises(ValueError, match="at least one input"):
        network_of(sympy.Integer(1), [])
