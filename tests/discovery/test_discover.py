"""Searches, from the table to the verdict."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sympy

from knotwork import discover
from knotwork.discovery.complexity import description_length
from knotwork.discovery.problem import Problem

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 3, (300, 3))
a, b, c = X.T


def search(X, y, **options):
    return discover(X, y, **{"progress": False, "budget": 60.0, **options})


LAWS = {
    "power law": (a * b**2 / c, "x_1*x_2**2/x_3"),
    "sum of products": (a * b + c, "x_1*x_2 + x_3"),
    "root of a sum": (np.sqrt(a**2 + b**2), "sqrt(x_1**2 + x_2**2)"),
    "resonance": (a / (4 - b**2 / 8), "8*x_1/(32 - x_2**2)"),
    "one group": (a * np.tanh(b / c), "x_1*tanh(x_2/x_3)"),
    "arcsine": (np.arcsin(a * np.sin(b) / 4), "asin(x_1*sin(x_2)/4)"),
    "exponential": (np.exp(np.sin(np.pi * a) + b**2 / 3), "exp(x_2**2/3 + sin(pi*x_1))"),
}


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_found_exactly(name):
    target, formula = LAWS[name]
    found = search(X, target)
    assert found.verdict == "formula"
    assert found.complete
    truth = sympy.sympify(formula)
    assert sympy.simplify(found.best.expression - truth) == 0
    np.testing.assert_allclose(found.best.predict(X), target, rtol=1e-9)
    assert found.best.r2 == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.1])
def test_noise_leaves_the_form(noise):
    target = a * b**2 / c
    noisy = target + noise * target.std() * np.random.default_rng(1).normal(size=300)
    found = search(X, noisy)
    assert found.verdict == "formula"
    truth = np.sqrt(np.mean((found.best.predict(X) - target) ** 2)) / target.std()
    assert truth < noise / 5
    assert found.best.expression.free_symbols == set(sympy.symbols("x_1 x_2 x_3"))


def test_noise_alone_is_no_signal():
    found = search(X, np.random.default_rng(5).normal(size=300), budget=8)
    assert found.verdict == "no signal"
    assert found.verdict.reasons


def test_out_of_reach_is_no_formula():
    target = np.sin(9 * a * b) + np.sign(c - 1.7) * np.cos(7 * b)
    found = search(X, target, budget=6)
    assert found.verdict != "formula"
    assert found.network is not None
    assert found.elapsed < 9


def test_the_order_of_rows_does_not_matter():
    target = a * np.tanh(b / c)
    order = np.random.default_rng(3).permutation(300)
    first, second = search(X, target), search(X[order], target[order])
    assert [str(f) for f in first.front] == [str(f) for f in second.front]


def test_the_same_seed_gives_the_same_front_whatever_n_jobs():
    target = a * np.tanh(b / c) + 0.01 * np.random.default_rng(4).normal(size=300)
    first = search(X, target, seed=2)
    second = search(X, target, seed=2, n_jobs=2)
    assert [str(f) for f in first.front] == [str(f) for f in second.front]


def test_names_come_from_a_frame():
    found = search(pd.DataFrame(X, columns=["m", "v", "exp"]), a * b / c)
    assert str(found.best.expression) == "m*v/exp"


@pytest.mark.parametrize("factor", [1e200, 1e-250])
def test_huge_and_tiny_values(factor):
    scaled = X * np.array([1.0, factor, 1.0])
    found = search(scaled, a * b / c * 1e-120)
    assert found.verdict == "formula"
    np.testing.assert_allclose(found.best.predict(scaled), a * b / c * 1e-120, rtol=1e-8)


def test_three_of_two_hundred_columns():
    wide = np.random.default_rng(1).uniform(1, 3, (600, 200))
    found = search(wide, wide[:, 10] * np.sin(wide[:, 17]) / wide[:, 100])
    assert str(found.best) == "x_11*sin(x_18)/x_101"


def test_a_constant_column_and_duplicate_rows_do_no_harm():
    table = np.column_stack([np.vstack([X, X]), np.full(600, 2.0)])
    found = search(table, np.concatenate([a * b, a * b]))
    assert str(found.best) == "x_1*x_2"


def test_fifty_rows():
    found = search(X[:50], a[:50] * b[:50] / c[:50] ** 2)
    assert str(found.best) == "x_1*x_2/x_3**2"


def test_the_fewest_rows_of_one_input():
    noise = 0.3 * np.random.default_rng(0).normal(size=6)
    found = search(X[:6, :1], np.exp(a[:6]) + noise, budget=2)
    assert found.complete


def test_a_plain_law_in_few_noisy_rows():
    rng = np.random.default_rng(2)
    x = rng.uniform(0.03, 2, (24, 1))
    found = search(x, 454 * x[:, 0] + 120 * rng.normal(size=24), budget=10)
    assert found.verdict == "formula"
    assert found.best.complexity <= 7


def test_many_rows_are_used_for_the_constants():
    wide = np.random.default_rng(6).uniform(1, 3, (30_000, 2))
    noise = np.random.default_rng(7).normal(size=30_000)
    found = search(wide, 1.2345 * wide[:, 0] * wide[:, 1] + noise)
    (constant,) = found.best.constants
    assert constant.value == pytest.approx(1.2345, abs=5 * constant.standard_error)
    assert constant.standard_error < 0.003


def test_outliers_with_a_robust_loss():
    target = 2.5 * a * b / c
    spoilt = target.copy()
    spoilt[::25] += 40
    found = search(X, spoilt, robust=True, budget=20)
    values = found.best.predict(X)
    assert np.median(np.abs(values - target)) < 0.05


def test_interrupting_returns_the_best_so_far():
    def stop(problem: Problem):
        if len(problem.pool) > 3:
            raise KeyboardInterrupt

    target = np.sin(2 * a) * np.exp(b / c) + np.random.default_rng(8).normal(size=300) * 0.1
    found = search(X, target, progress=stop)
    assert not found.complete
    assert "interrupted" in found.note
    assert found.front


def test_the_budget_holds():
    target = np.sin(5 * a * b) * np.log(b + c**2) + c
    found = search(X, target, budget=4)
    assert found.elapsed < 6


def described(formula, target):
    """Return the description length of the rows, by which a search chooses."""
    error = np.sqrt(np.mean((formula.predict(X) - target) ** 2)) / target.std()
    return description_length(float(error), formula.complexity, len(target))


def test_a_search_goes_on_from_its_state(tmp_path):
    target = np.sin(5 * a * b) * np.log(b + c**2) + c
    path = tmp_path / "search.json"
    first = search(X, target, budget=4, state=path)
    assert path.exists()
    second = search(X, target, budget=4, state=path, resume=True)
    assert described(second.best, target) <= described(first.best, target) + 0.01 * len(target)
    with pytest.raises(ValueError, match="other data or options"):
        search(X, target + a, budget=1, state=path, resume=True)
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a search's state"):
        search(X, target, budget=1, state=path, resume=True)
    with pytest.raises(ValueError, match="resume needs state"):
        search(X, target, resume=True)


def test_the_front_is_sorted_and_tabled():
    found = search(X, np.exp(a) * b + 0.02 * RNG.normal(size=300))
    sizes = [formula.complexity for formula in found.front]
    assert sizes == sorted(sizes)
    table = found.table()
    assert len(table) == len(found.front)
    assert table["chosen"].sum() == 1
    assert found.plot().axes
    assert "formula" in str(found)


def test_only_the_functions_asked_for():
    found = search(X, np.sin(2 * a), library=["x", "x^2", "exp"], budget=15)
    for formula in found.front:
        assert not formula.expression.has(sympy.sin, sympy.cos, sympy.tanh)


def test_symmetries_bring_in_no_function_that_was_not_asked_for():
    found = search(X, b * np.exp(a), library=["x", "x^2"], budget=6)
    for formula in found.front:
        assert not formula.expression.has(sympy.exp, sympy.log)


def test_a_sum_of_four_inputs_is_found_through_noise():
    rng = np.random.default_rng(0)
    rows = rng.uniform(1, 3, (1000, 4))
    truth = rows[:, 0] * np.sin(rows[:, 1]) + rows[:, 2] / rows[:, 3]
    found = search(rows, truth + 0.1 * rng.normal(size=1000))
    assert found.verdict == "formula"
    assert np.abs(found.best.predict(rows) - truth).max() < 0.03


def test_one_outlier_is_no_law():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1, (600, 1)), rng.standard_t(1.5, 600)
    y[np.abs(y).argmax()] *= 5
    assert search(x, y, budget=20).verdict == "no signal"


def test_a_coefficient_that_varies_is_found():
    found = search(X, c * np.tan(a / 3) - b * c**2 / np.cos(a / 3) ** 2, budget=30)
    assert found.verdict == "formula"
    assert found.best.rmse < 1e-12


def test_complexity_is_limited():
    found = search(X, np.sin(5 * a * b) + c, max_complexity=9, budget=6)
    assert all(formula.complexity <= 9 for formula in found.front)


def test_a_formula_is_a_network_and_code():
    found = search(X, a * np.tanh(b / c))
    network = found.best.network
    import torch

    values = network(torch.tensor(X))[:, 0].detach().numpy()
    np.testing.assert_allclose(values, found.best.predict(X), rtol=1e-12)
    assert "np.tanh" in found.best.code("numpy")
    assert found.best.latex()
    assert found.best._repr_latex_().startswith("$")


def test_results_can_be_pickled():
    found = search(X, a * b)
    copy = pickle.loads(pickle.dumps(found))
    assert copy.verdict == found.verdict
    assert copy.verdict.reasons == found.verdict.reasons


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": X[:5], "y": a[:5]}, "at least 6 rows; got 5"),
        ({"X": np.where(X > 2.9, np.nan, X)}, "X"),
        ({"y": np.ones(300)}, "y is constant"),
        ({"y": a[:200]}, "equally many rows; got 300 and 200"),
        ({"X": np.zeros((300, 0))}, "at least one input"),
        ({"names": ["p", "q"]}, "one name for each of 3 columns; got 2"),
        ({"names": ["p", "q", "p"]}, "names must differ"),
        ({"y": X}, "y must have one column; got 3"),
        ({"budget": 0}, "budget"),
        ({"library": ["sinn"]}, "sinn"),
        ({"width": 0}, "width"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_bad_input(change, message):
    given = {"X": X, "y": a, "progress": False, **change}
    with pytest.raises((ValueError, TypeError), match=message):
        discover(given.pop("X"), given.pop("y"), **given)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (np.exp(np.sin(3 * a) * b) / c**2, {"max_complexity": 3}),
        (a * b, {"max_complexity": 1}),
        (np.random.default_rng(1).normal(size=300), {}),
        (1e200 * np.random.default_rng(2).normal(size=300), {}),
        (np.random.default_rng(3).normal(size=300), {"required": ["x_1"], "max_complexity": 2}),
    ],
    ids=["no short one", "one symbol", "noise", "huge noise", "noise and a wish"],
)
def test_the_mean_is_left_where_no_formula_is_worth_its_length(target, options):
    found = search(X, target, budget=2, **options)
    assert found.verdict != "formula"
    assert found.best is found.front[0]
    assert found.best.expression.is_number
    assert float(found.best.expression) == pytest.approx(target.mean(), rel=1e-9)
    np.testing.assert_allclose(found.best.predict(X), target.mean())
    (mean,) = found.best.constants
    unit = np.abs(target).max()
    error = unit * (target / unit).std() / np.sqrt(300)
    assert mean.standard_error == pytest.approx(error, rel=0.01)
    assert found.best.code("numpy")
    assert found.plot().axes
