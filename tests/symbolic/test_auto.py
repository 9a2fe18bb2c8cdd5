import math
from typing import Any

import pytest
import sympy
import torch
from torch import Tensor

from knotwork import KAN, SymbolicFunction, create_dataset

X_1, X_2 = sympy.symbols("x_1 x_2")
ARTICLE = sympy.exp(X_2**2 + sympy.sin(sympy.pi * X_1))


def article(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2)


def formula(model: KAN) -> sympy.Expr:
    return model.symbolic_formula()[0][0]


def equal(first: sympy.Expr, second: sympy.Expr) -> bool:
    return sympy.simplify(sympy.expand_log(first - second, force=True)) == 0


@pytest.mark.parametrize("hidden", [2, 5])
def test_the_function_of_the_article(hidden: int) -> None:
    data = create_dataset(article, train_num=400, test_num=100)
    model = KAN([2, hidden, 1], grid=8)
    model.fit(data, steps=20)
    report = model.auto_symbolic(
        lib=["x", "x^2", "x^3", "exp", "log", "sqrt", "sin", "tanh", "abs"]
    )
    assert equal(formula(model), ARTICLE)
    assert sorted(report.functions.values()) == ["exp", "sin", "x^2"]
    assert report.symbolic_rmse < 1e-10
    assert "relative RMSE" in str(report)
    error = (model(data["test_input"]) - data["test_label"]).abs().max()
    assert float(error.detach()) < 1e-8


@pytest.mark.parametrize("seed", [0, 3])
def test_functions_three_deep(seed: int) -> None:
    def nested(x: Tensor) -> Tensor:
        first, second = (x**2).unflatten(1, (2, 2)).sum(dim=2).mul(torch.pi).sin().T
        return torch.exp((first + second) / 2)

    model = KAN([4, 2, 1, 1], grid=10, seed=seed)
    model.fit(create_dataset(nested, n_var=4, train_num=1000, test_num=10), steps=20)
    report = model.auto_symbolic()
    first, second, third, fourth = sympy.symbols("x_1:5")
    halves = [
        sympy.sin(sympy.pi * (a**2 + b**2)) / 2 for a, b in [(first, second), (third, fourth)]
    ]
    assert sympy.expand(sympy.log(formula(model)) - sum(halves), force=True).simplify() == 0
    assert report.symbolic_rmse < 1e-10


def test_a_product_through_a_multiplication_node() -> None:
    data = create_dataset(lambda x: x[:, 0] * x[:, 1], train_num=300, test_num=10)
    model = KAN([2, (0, 1), 1], grid=4)
    model.fit(data, steps=20)
    model.auto_symbolic(restarts=3)
    assert equal(formula(model), X_1 * X_2)


def test_a_quotient_through_logarithms() -> None:
    data = create_dataset(lambda x: x[:, 0] / x[:, 1], ranges=(1, 3), train_num=300, test_num=10)
    model = KAN([2, 1, 1], grid=5)
    model.fit(data, steps=20)
    report = model.auto_symbolic(lib=["x", "x^2", "exp", "log", "sin"])
    assert sorted(report.functions.values()) == ["exp", "log", "log"]
    positive = dict(zip((X_1, X_2), sympy.symbols("p q", positive=True), strict=True))
    quotient = sympy.simplify(formula(model).subs(positive))
    assert sympy.simplify(quotient - positive[X_1] / positive[X_2]) == 0


@pytest.mark.parametrize("seed", range(2))
def test_one_percent_of_noise(seed: int) -> None:
    data = create_dataset(article, train_num=500, test_num=10, noise=0.01, seed=seed)
    model = KAN([2, 1, 1], grid=6)
    model.fit(data, steps=25)
    report = model.auto_symbolic(lib=["x", "x^2", "x^3", "exp", "log", "sqrt", "sin", "tanh"])
    assert report.functions == {(0, 0, 0): "sin", (0, 1, 0): "x^2", (1, 0, 0): "exp"}
    # The noise leaves each constant a standard error of about 1e-3.
    assert model[0, 0, 0].constants[0] == pytest.approx(math.pi, abs=5e-3)
    assert report.symbolic_rmse == pytest.approx(0.01, rel=0.2)
    clean = article(data["test_input"])
    error = (model(data["test_input"])[:, 0] - clean).detach().square().mean().sqrt()
    assert float(error) < 0.005 * float(clean.std())


def test_a_network_that_is_symbolic_already() -> None:
    data = create_dataset(article, train_num=300, test_num=10)
    model = KAN([2, 1, 1], grid=6)
    model.fit(data, steps=15)
    for edge, name in [((0, 0, 0), "sin"), ((0, 1, 0), "x^2"), ((1, 0, 0), "exp")]:
        model.fix_symbolic(*edge, name)
    report = model.auto_symbolic()
    assert report.functions == {(0, 0, 0): "sin", (0, 1, 0): "x^2", (1, 0, 0): "exp"}
    assert report.restarts == 0
    assert equal(formula(model), ARTICLE)
    again = model.auto_symbolic()
    assert again.functions == report.functions
    assert equal(formula(model), ARTICLE)


def test_choices_of_the_user_are_kept() -> None:
    # cos is not in the default library; sin would do as well.
    data = create_dataset(
        lambda x: torch.cos(3 * x[:, 0]) + x[:, 1] ** 2, train_num=300, test_num=9
    )
    model = KAN([2, 1], grid=8)
    model.fit(data, steps=10)
    model.fix_symbolic(0, 0, 0, "cos")
    report = model.auto_symbolic()
    assert report.functions == {(0, 0, 0): "cos", (0, 1, 0): "x^2"}
    assert equal(formula(model), sympy.cos(3 * X_1) + X_2**2)


def test_a_function_of_the_user() -> None:
    softsign = SymbolicFunction(
        "softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + sympy.Abs(x)), parity="odd"
    )
    data = create_dataset(
        lambda x: softsign.torch(4 * x[:, 0]) + x[:, 1], train_num=300, test_num=9
    )
    model = KAN([2, 1], grid=12)
    model.fit(data, steps=10)
    report = model.auto_symbolic(lib=["x", "tanh", "sin", softsign])
    assert report.functions == {(0, 0, 0): "softsign", (0, 1, 0): "x"}
    assert equal(formula(model), 4 * X_1 / (1 + sympy.Abs(4 * X_1)) + X_2)


def test_several_outputs() -> None:
    data = create_dataset(
        lambda x: torch.stack([torch.sin(2 * x[:, 0]), x[:, 1] ** 2 + 1], dim=1),
        train_num=300, test_num=9,
    )  # fmt: skip
    model = KAN([2, 2], grid=6)
    model.fit(data, steps=15)
    model.auto_symbolic()
    expressions, _ = model.symbolic_formula()
    assert equal(expressions[0], sympy.sin(2 * X_1))
    assert equal(expressions[1], X_2**2 + 1)


@pytest.mark.filterwarnings("ignore:X. column 1 is .* in all rows")
def test_an_input_that_does_not_vary() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 2, generator=generator, dtype=torch.float64) * 2 - 1
    x[:, 1] = 3.0
    model = KAN([2, 1], grid=5)
    model.fit((x, torch.sin(2 * x[:, 0])), steps=10)
    model.auto_symbolic()
    assert equal(formula(model), sympy.sin(2 * X_1))


def test_single_precision_is_kept() -> None:
    data = create_dataset(article, train_num=300, test_num=9, dtype=torch.float32)
    model = KAN([2, 1, 1], grid=6, dtype=torch.float32)
    model.fit(data, steps=20)
    report = model.auto_symbolic(lib=["x", "x^2", "sin", "exp"], restarts=2)
    assert model.dtype == torch.float32
    assert sorted(report.functions.values()) == ["exp", "sin", "x^2"]


def test_the_same_network_gives_the_same_formula_and_nothing_is_printed(capfd: Any) -> None:
    data = create_dataset(article, train_num=200, test_num=9, noise=0.02)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    results = []
    for _ in range(2):
        model = KAN([2, 1, 1], grid=5)
        model.fit(data, steps=10)
        model.auto_symbolic(lib=["x", "x^2", "sin", "exp"], restarts=1)
        results.append(formula(model))
    assert results[0] == results[1]
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_data_can_be_given_and_are_needed() -> None:
    data = create_dataset(lambda x: 2 * x[:, 0] + 1, 1, train_num=50, test_num=9)
    model = KAN([1, 1], grid=3)
    with pytest.raises(ValueError, match=r"needs the data.*fit the network.*or give data"):
        model.auto_symbolic()
    model.auto_symbolic(data=data, restarts=0)
    assert equal(formula(model), 2 * X_1 + 1)


def test_a_failure_leaves_the_network_as_it_was() -> None:
    nowhere = SymbolicFunction("nowhere", lambda x: x * math.nan, sympy.sin)
    data = create_dataset(lambda x: x[:, 0] ** 2, 1, train_num=100, test_num=9)
    model = KAN([1, 1], grid=3)
    model.fit(data, steps=5)
    before = model(data["test_input"]).detach()
    with pytest.raises(ValueError, match=r"no admissible function.*lib"):
        model.auto_symbolic(lib=[nowhere], restarts=0)
    assert torch.equal(model(data["test_input"]), before)
    assert model[0, 0, 0].kind == "spline"
