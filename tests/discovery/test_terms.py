"""Sums of products, and quotients of them."""

import numpy as np
import pytest
import sympy

from knotwork.discovery.dictionary import Dictionary
from knotwork.discovery.tape import Tape
from knotwork.discovery.terms import select_terms

symbols = sympy.symbols("x y z", positive=True)
x, y, z = symbols
X = np.random.default_rng(0).uniform(1, 3, (600, 3))
a, b, c = X.T

CASES = {
    "two of many": (0, False, 0.5 * (1 + a**2 * (1 + b))),
    "with a sine": (1, False, a * b - 2.5 * b * np.cos(c) + c**2 / a + 1),
    "half powers": (2, False, 2 * np.sqrt(a) * b + np.log(b) / a),
    "a quotient": (0, True, (a + b * c) / (1 + b)),
}


@pytest.mark.parametrize("name", CASES)
def test_exact_sums_are_found(name):
    rich, quotients, target = CASES[name]
    columns = [0, 1] if name in ("two of many", "half powers") else [0, 1, 2]
    chosen = [symbols[k] for k in columns]
    dictionary = Dictionary.of(chosen, X[:, columns], rich=rich)
    if quotients:
        dictionary = dictionary.with_quotients(target)
    found = select_terms(dictionary, target)
    best = min(found, key=lambda terms: terms.rmse)
    assert best.rmse < 1e-9
    values = Tape(best.expression, chosen).values(X[:, columns])
    np.testing.assert_allclose(values, target, rtol=1e-7)


def test_a_target_that_is_known_to_so_much_gets_no_more_terms():
    noise = 0.01 * np.random.default_rng(1).normal(size=600)
    found = select_terms(
        Dictionary.of(symbols[:2], X[:, :2], rich=2), 2 * a * b + noise, floor=0.01
    )
    assert max(terms.size for terms in found) <= 2


def test_only_allowed_functions_are_used():
    dictionary = Dictionary.of(symbols[:1], X[:, :1], rich=2, allowed=frozenset({"log"}))
    found = select_terms(dictionary, np.exp(a))
    assert not any(terms.expression.has(sympy.exp, sympy.sin, sympy.cos) for terms in found)


def test_a_span_tells_whether_a_target_is_one_of_its_sums():
    dictionary = Dictionary.of(symbols[:2], X[:, :2], rich=2)
    assert dictionary.telling
    inside, outside = a * b - 2.5 * np.cos(b) / a, np.abs(a - b)
    np.testing.assert_allclose(dictionary.projected(inside), inside, atol=1e-9)
    assert np.std(dictionary.projected(outside) - outside) > 1e-3 * np.std(outside)


def test_columns_are_the_products_that_their_terms_say():
    dictionary = Dictionary.of(symbols[:2], X[:, :2], rich=1).with_quotients(c)
    for column in (0, 5, 20, dictionary.values.shape[1] - 1):
        values = Tape(dictionary.factor(column), symbols[:2]).values(X[:, :2])
        below = c if dictionary.below[column] else 1.0
        np.testing.assert_allclose(values * below, dictionary.values[:, column])


def test_the_simplest_columns_of_a_dictionary_tell():
    whole = Dictionary.of(symbols, X, rich=2)
    simplest = whole.simplest()
    assert not whole.telling
    assert simplest.telling
    assert simplest.costs.max() <= np.sort(whole.costs)[len(simplest.costs)]
    terms = [simplest.factor(column) for column in range(len(simplest.costs))]
    assert set(terms) <= {whole.factor(column) for column in range(len(whole.costs))}
    assert {x, y, z, x * y, sympy.sin(x)} <= set(terms)
