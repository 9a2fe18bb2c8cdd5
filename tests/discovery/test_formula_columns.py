"""A formula's predictions for data frames, whose columns have names."""

import dataclasses

import numpy as np
import pytest
import sympy

from knotwork import discover

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def formula():
    rows = np.random.default_rng(0).uniform(1, 3, (100, 2))
    return discover(rows, rows[:, 0] / rows[:, 1] ** 2, names=["m", "r"], budget=5).best


def frame(*columns):
    return pd.DataFrame(np.full((3, len(columns)), 2.0), columns=list(columns))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", "r"], "columns m, r in this order: it lacks 'm' and it has also 'a'"),
        (["r", "m"], "in this order: it has them in another"),
        (["m"], "it lacks 'r'"),
        (["m", "r", "z"], "it has also 'z'"),
    ],
)
def test_columns_that_are_not_those_of_the_formula_are_named(formula, columns, message):
    with pytest.raises(ValueError, match=message):
        formula.predict(frame(*columns))


def test_columns_of_the_right_names_and_those_without_names_are_taken(formula):
    np.testing.assert_allclose(formula.predict(frame("m", "r")), 0.5)
    np.testing.assert_allclose(formula.predict(np.full((3, 2), 2.0)), 0.5)


def test_variables_that_were_never_named_take_any_names(formula):
    unnamed = dataclasses.replace(formula, scaled=sympy.Symbol("x_1"), variables=("x_1", "x_2"))
    np.testing.assert_allclose(unnamed.predict(frame("m", "r")), 2.0)
