import math
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from knotwork import KAN, SymbolicFunction
from knotwork.functions import LIBRARY, get
from knotwork.symbolic.formula import AGREEMENT, evaluate, symbolic_formula

WIDTHS: list[list[Any]] = [
    [2, 1], [2, 2, 1], [2, (1, 1), 2], [3, (0, [3]), 1], [3, (1, [4]), 1], [2, 2, 1, 1],
    [2, (0, 2), (1, 1), 2],
]  # fmt: skip
NAMES = ["x", "x^2", "x^3", "exp", "sin", "cos", "abs", "cbrt", "gaussian", "tanh", "arctan", "J0"]


def rows(inputs: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(80, inputs, generator=generator, dtype=torch.float64) * 1.6 - 0.8


@torch.no_grad()
def remember(model: KAN, x: Tensor) -> KAN:
    """Let the network know data, without changing it."""
    y = model(x) + 0.1 * torch.sin(torch.arange(len(x), dtype=torch.float64))[:, None]
    model.fit((x, y), steps=0, update_grid=False)
    return model


@torch.no_grad()
def disagreement(model: KAN, x: Tensor, var: list[str] | None = None) -> float:
    expressions, variables = symbolic_formula(model, var)
    outputs = model(x)
    assert len(expressions) == model.output_count
    assert len(variables) == model.input_count
    difference = (evaluate(expressions, variables, x) - outputs).abs()
    return float((difference / outputs.abs().amax(dim=0).clamp(min=1e-300)).max())


@st.composite
def networks(draw: st.DrawFn) -> KAN:
    model = KAN(draw(st.sampled_from(WIDTHS)), grid=1, k=1)
    constant = st.floats(0.2, 1.5).flatmap(lambda v: st.sampled_from([v, -v, round(v, 1)]))
    for index in range(model.depth):
        layer = model.layer(index)
        for i in range(layer.in_features):
            for j in range(layer.out_features):
                if draw(st.integers(0, 5)) == 0:
                    layer.remove_edge(i, j, draw(constant))
                else:
                    a, b, c = draw(constant), draw(st.floats(-0.5, 0.5)), draw(constant)
                    layer.set_symbolic(
                        i, j, get(draw(st.sampled_from(NAMES))), a, b, c, draw(constant)
                    )
    return model


@settings(max_examples=30, deadline=None)
@given(networks(), st.booleans())
@pytest.mark.filterwarnings("ignore:the network has .* parameters")
def test_the_formula_is_the_network(model: KAN, with_data: bool) -> None:
    x = rows(model.input_count)
    if with_data and bool((model(x).std(dim=0) > 0).all()):
        remember(model, x)
    assert disagreement(model, x) < AGREEMENT


@pytest.mark.parametrize("name", LIBRARY)
def test_every_function_of_the_library(name: str) -> None:
    function, x = get(name), rows(1)
    low, high = function.domain[-1]
    b = low + 2.0 if math.isfinite(low) and math.isinf(high) else 0.1
    model = KAN([1, 1])
    model.layer(0).set_symbolic(0, 0, function, 0.7, b, 1.3, 0.2)
    assert disagreement(remember(model, x), x) < AGREEMENT
    assert disagreement(model, x) < AGREEMENT


def line() -> KAN:
    """x_1 and x_2 through exp and sin, with nice constants."""
    model = KAN([2, 1])
    model.layer(0).set_symbolic(0, 0, get("exp"), math.sqrt(2), 0.0, 1 / 3, 0.0)
    model.layer(0).set_symbolic(1, 0, get("sin"), math.pi, 0.0, -0.5, 0.25)
    return model


def test_constants_are_recognised() -> None:
    model, x = line(), rows(2)
    x_1, x_2 = sympy.symbols("x_1 x_2")
    expected = (
        sympy.exp(sympy.sqrt(2) * x_1) / 3 - sympy.sin(sympy.pi * x_2) / 2 + sympy.Rational(1, 4)
    )
    expressions, variables = symbolic_formula(remember(model, x))
    assert variables == [x_1, x_2]
    assert sympy.simplify(expressions[0] - expected) == 0


def test_constants_that_are_only_nearly_nice_stay() -> None:
    model, x = line(), rows(2)
    with torch.no_grad():
        model.layer(0).affine[1, 0] += 1e-5
    expressions, _ = symbolic_formula(remember(model, x))
    assert not expressions[0].has(sympy.pi)
    assert disagreement(model, x) < AGREEMENT


def test_formulas_do_not_change_with_a_forward_pass_or_being_asked() -> None:
    model, x = remember(line(), rows(2)), rows(2)
    before = [p.detach().clone() for p in model.parameters()]
    first = symbolic_formula(model)
    model(100 * x)
    assert symbolic_formula(model) == first
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_absent_edges_and_outputs_without_edges() -> None:
    model = KAN([2, 2])
    model.layer(0).set_symbolic(0, 0, get("x"), 1.0, 0.0, 2.0, 0.0)
    for edge in [(1, 0), (0, 1), (1, 1)]:
        model.layer(0).remove_edge(*edge, 1.5)
    expressions, variables = symbolic_formula(model)
    assert expressions[0].free_symbols == {variables[0]}
    assert float(expressions[1]) == 3.0


@pytest.mark.parametrize("arity", [2, 3, 4])
def test_products_of_every_arity(arity: int) -> None:
    model = KAN([arity, (0, [arity]), 1])
    for i in range(arity):
        for j in range(arity):
            if i == j:
                model.layer(0).set_symbolic(i, j, get("x"), 1.0, 0.0, 1.0, 0.0)
            else:
                model.layer(0).remove_edge(i, j)
    model.layer(1).set_symbolic(0, 0, get("x"), 1.0, 0.0, 1.0, 0.0)
    expressions, variables = symbolic_formula(remember(model, rows(arity)))
    assert sympy.simplify(expressions[0] - sympy.Mul(*variables)) == 0


STRANGE = [
    ["__import__('os').system('true')", "x y"], ["lambda", "def"], ["exp", "sin"], ["pi", "E"],
    ["x", "numpy"], ["1", "-"], ["Länge", "温度"], ["a\nb", "[0]"], ["sqrt", "I"],
    ["besselj", "erf"],
]  # fmt: skip


@pytest.mark.parametrize("names", STRANGE, ids=str)
def test_names_are_only_symbols(names: list[str]) -> None:
    model = remember(line(), rows(2))
    expressions, variables = symbolic_formula(model, names)
    assert [variable.name for variable in variables] == names
    assert expressions[0].free_symbols == set(variables)
    # As nice as with any other names.
    assert expressions[0].has(sympy.pi)
    x_1, x_2 = sympy.symbols("x_1 x_2")
    plain = symbolic_formula(model)[0][0]
    swapped = expressions[0].subs(dict(zip(variables, (x_1, x_2), strict=True)), simultaneous=True)
    assert sympy.simplify(swapped - plain) == 0


def test_names_come_from_the_data_or_are_given() -> None:
    model, x = line(), rows(2)
    model.input_names = ("mass", "speed")
    assert [str(v) for v in symbolic_formula(model)[1]] == ["mass", "speed"]
    positive = sympy.Symbol("m", positive=True)
    expressions, variables = symbolic_formula(remember(model, x), [positive, "v"])
    assert variables == [positive, sympy.Symbol("v")]
    assert positive in expressions[0].free_symbols


def test_functions_of_a_user_in_a_formula() -> None:
    softsign = SymbolicFunction(
        "softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + sympy.Abs(x)), parity="odd"
    )
    model = KAN([1, 1])
    model.layer(0).set_symbolic(0, 0, softsign, 2.0, 0.0, 3.0, 0.0)
    assert disagreement(remember(model, rows(1)), rows(1)) < AGREEMENT


@pytest.mark.parametrize(
    "own",
    [
        SymbolicFunction("mine", lambda x: x / (1 + x.abs()), sympy.Function("mine")),
        SymbolicFunction("airy", torch.special.airy_ai, sympy.airyai),
        SymbolicFunction("short", lambda x: x.float().sin().double(), sympy.sin),
    ],
)
def test_formulas_of_functions_that_numpy_does_not_know_or_that_are_coarse(own) -> None:
    model, x = KAN([1, 1]), rows(1)
    model.layer(0).set_symbolic(0, 0, own, 1.0, 0.0, 1.0, 0.0)
    symbol = sympy.Symbol("x_1")
    assert symbolic_formula(remember(model, x))[0] == [own.sympy(symbol)]


def test_without_data_a_number_is_nicer_only_where_that_changes_nothing() -> None:
    model = KAN([1, 1])
    model.layer(0).set_symbolic(0, 0, LIBRARY["sin"], math.pi, 0.5 + 1e-12, 1.0, 0.0)
    (expression,), (x,) = symbolic_formula(model)
    assert expression == sympy.sin(sympy.pi * x + 0.5 + 1e-12)
    assert str(expression).startswith("sin(pi*x_1")


def test_single_precision_networks() -> None:
    model, x = line().float(), rows(2)
    expressions, variables = symbolic_formula(model)
    values = evaluate(expressions, variables, x)
    assert torch.allclose(values.float(), model(x.float()), atol=1e-5)


def test_messages() -> None:
    model = KAN([2, 2, 1])
    with pytest.raises(ValueError, match=r"6 are still splines: \(0, 0, 0\).*auto_symbolic\(\)"):
        symbolic_formula(model)
    with pytest.raises(TypeError, match="var must be a list of names"):
        symbolic_formula(line(), "xy")
    for var in (["a"], ["a", "a"], ["a", "b", "c"]):
        with pytest.raises(ValueError, match="var must name each of the 2 inputs once"):
            symbolic_formula(line(), var)
    with pytest.raises(TypeError, match="var"):
        symbolic_formula(line(), [1, 2])


def test_arrays_of_names_are_lists_too() -> None:
    assert [str(v) for v in symbolic_formula(line(), np.array(["a", "b"]))[1]] == ["a", "b"]
