"""The benchmarks' tables and their judge."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import cases
from cases import Case, Variable

FEYNMAN, LAWS = cases.load("feynman"), cases.load("laws")
LINE = Case("line", "y", "2*a+b", (Variable("a", 0.0, 1.0), Variable("b", 0.0, 2.0)))

every_case = pytest.mark.parametrize("case", FEYNMAN + LAWS, ids=lambda case: case.id)


def test_tables_have_the_stated_sizes_and_no_id_twice():
    assert len(FEYNMAN) == 40
    assert len(LAWS) >= 40
    assert len({case.id for case in FEYNMAN + LAWS}) == len(FEYNMAN) + len(LAWS)


def test_laws_repeat_no_formula_of_the_other_table():
    assert not {case.formula for case in LAWS} & {case.formula for case in FEYNMAN}


@every_case
def test_case_is_finite_on_its_ranges_and_uses_every_variable(case):
    X = case.draw(300, np.random.default_rng(0))
    truth = case.truth(X)
    assert np.isfinite(truth).all()
    assert truth.std() > 0
    for column in range(X.shape[1]):
        moved = X.copy()
        moved[:, column] = np.roll(moved[:, column], 1)
        assert not np.allclose(case.truth(moved), truth, rtol=1e-9)


@every_case
def test_truth_is_recovered_and_a_near_miss_is_not(case):
    assert cases.recovered(case.truth, case) == (True, 0.0, 0.0)
    spread = case.truth(case.draw(cases.FRESH_ROWS, cases.generator(case, 0, "inside"))).std()
    right, inside, _ = cases.recovered(lambda X: case.truth(X) + 1e-5 * spread, case)
    assert not right
    assert inside == pytest.approx(1e-5)


@every_case
def test_most_rows_beyond_the_ranges_can_be_judged(case):
    X = case.draw(1_000, np.random.default_rng(2), beyond=True)
    assert np.isfinite(case.truth(X)).mean() > 0.5


def test_formula_right_inside_only_is_not_recovered():
    def clipped(X):
        return LINE.truth(np.minimum(X, [1.0, 2.0]))

    right, inside, beyond = cases.recovered(clipped, LINE)
    assert not right
    assert inside < 1e-12
    assert beyond > 0.01


def test_one_prediction_that_is_not_finite_fails():
    def broken(X):
        return np.where(np.arange(len(X)) == 7, np.nan, LINE.truth(X))

    assert cases.recovered(broken, LINE) == (False, np.inf, np.inf)


def test_rows_without_a_finite_truth_are_left_out():
    root = Case("root", "y", "sqrt(1-a)", (Variable("a", 0.0, 1.0),))
    assert cases.recovered(lambda X: np.sqrt(1 - X[:, 0]), root)[0]
    X = root.draw(1_000, np.random.default_rng(0), beyond=True)
    assert cases.relative_error(lambda X: np.sqrt(1 - X[:, 0]), root, X) == 0


def test_rows_depend_on_case_and_repeat_only():
    X, y = cases.training_rows(LINE, 50)
    again, noisy = cases.training_rows(LINE, 50, noise=0.1)
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(y, LINE.truth(X))
    assert np.std(noisy - y) == pytest.approx(0.1 * y.std(), rel=0.3)
    assert not np.array_equal(X, cases.training_rows(LINE, 50, repeat=1)[0])


@pytest.mark.parametrize(
    ("formula", "expected"),
    [("2^3^2", 512.0), ("-a^2", -9.0), ("1/2*a", 1.5), ("a^-1", 1 / 3), ("cos(pi)", -1.0)],
)
def test_plain_notation_has_the_usual_precedence(formula, expected):
    assert cases.evaluate(formula, {"a": np.array([3.0])}) == pytest.approx(expected)


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "a.real", "b", "exp(a, a)", "a if a else a", "'text'", "True"]
)
def test_anything_else_in_a_formula_is_refused(formula):
    with pytest.raises(ValueError, match="a formula may hold numbers, pi, the names a"):
        cases.evaluate(formula, {"a": np.array([3.0])})


def test_unknown_case_is_named():
    with pytest.raises(ValueError, match=r"feynman\.csv has no case I\.999"):
        cases.load("feynman", ["I.999"])
