"""Estimators: scikit-learn's own checks, and formulas for several targets."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from knotwork import FormulaRegressor


@parametrize_with_checks([FormulaRegressor(budget=8.0)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


X = np.random.default_rng(0).uniform(1, 3, (200, 2))


def test_several_targets():
    targets = np.column_stack([X[:, 0] * X[:, 1], X[:, 0] / X[:, 1] ** 2])
    model = FormulaRegressor(budget=20).fit(X, targets)
    assert [str(expression) for expression in model.expression_] == ["x_1*x_2", "x_1/x_2**2"]
    assert model.verdict_ == ["formula", "formula"]
    assert model.predict(X).shape == (200, 2)
    assert model.score(X, targets) == pytest.approx(1)


def test_names_of_a_frame():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["mass", "speed"])
    model = clone(FormulaRegressor(budget=20)).fit(frame, X[:, 0] * X[:, 1] ** 2)
    assert str(model.expression_) == "mass*speed**2"
    assert list(model.feature_names_in_) == ["mass", "speed"]
    assert len(model.front_) >= 1


def test_what_is_known_goes_into_the_search():
    known = {"units": {"x_1": "kg", "x_2": "m"}, "required": ["x_2"]}
    targets = np.column_stack([X[:, 0] * X[:, 1], X[:, 0] / X[:, 1] ** 2])
    model = FormulaRegressor(budget=10, target_units=["kg*m", "m/s^2"], **known).fit(X, targets)
    assert [str(formula) for formula in model.formula_] == ["x_1*x_2", "1.0*x_1/x_2**2"]
    with pytest.raises(ValueError, match=r"target_units .* each of 2 targets; got 1"):
        FormulaRegressor(target_units=["kg"]).fit(X, targets)


def test_without_a_signal_the_mean_is_predicted():
    y = 7 + np.random.default_rng(5).normal(size=200)
    model = FormulaRegressor(budget=10).fit(X, y)
    assert model.verdict_ == "no signal"
    assert model.formula_ is model.discovery_.best
    assert float(model.expression_) == pytest.approx(y.mean())
    np.testing.assert_allclose(model.predict(X), y.mean())


def test_options_reach_the_search(monkeypatch):
    seen = {}

    def search(X, y, **options):
        seen.update(options)
        raise ZeroDivisionError

    monkeypatch.setattr("knotwork.estimators.formula.discover", search)
    with pytest.raises(ZeroDivisionError):
        FormulaRegressor(width=3, robust=True, integers=True).fit(X, X[:, 0])
    assert (seen["width"], seen["robust"], seen["integers"]) == (3, True, True)


def test_a_weight_is_a_row_so_often():
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 4, len(X))
    y = X[:, 0] * X[:, 1]
    y[weights == 0] = rng.normal(size=(weights == 0).sum())
    order = rng.permutation(weights.sum())
    weighted = FormulaRegressor(budget=20).fit(X, y, sample_weight=weights)
    repeated = FormulaRegressor(budget=20).fit(
        X.repeat(weights, axis=0)[order], y.repeat(weights)[order]
    )
    assert str(weighted.expression_) == "x_1*x_2"
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_weights_with_a_fraction_are_inverse_variances():
    rng = np.random.default_rng(3)
    sigma = np.where(np.arange(len(X)) % 5 == 0, 30.0, 0.03)
    targets = np.column_stack([X[:, 0] * X[:, 1], X[:, 0] / X[:, 1]])
    targets += sigma[:, None] * rng.normal(size=targets.shape)
    model = FormulaRegressor(budget=20).fit(X, targets, sample_weight=0.3 / sigma**2)
    assert [str(expression) for expression in model.expression_] == ["x_1*x_2", "x_1/x_2"]
    assert model.verdict_ == ["formula", "formula"]


@pytest.mark.parametrize("factor", [1.0, 1e-9, 37.3])
def test_relative_weights_reach_the_search_whatever_their_factor(factor, monkeypatch):
    seen = {}

    def search(X, y, *, weights, **options):
        seen.update(X=X, y=y, weights=weights)
        raise ZeroDivisionError

    monkeypatch.setattr("knotwork.estimators.formula.discover", search)
    weights = factor * np.random.default_rng(4).uniform(0.1, 5, len(X))
    weights[3] = 0
    with pytest.raises(ZeroDivisionError):
        FormulaRegressor().fit(X, X[:, 0], sample_weight=weights)
    by_target = dict(zip(X[:, 0].tolist(), weights.tolist(), strict=True))
    assert [by_target[y] for y in seen["y"].tolist()] == seen["weights"].tolist()
    np.testing.assert_array_equal(seen["X"][:, 0], seen["y"])
    assert len(seen["y"]) == len(X) - 1


def test_counts_that_come_to_too_many_rows():
    with pytest.raises(ValueError, match=r"sample_weight .*2e\+08 of them.*divided by the largest"):
        FormulaRegressor().fit(X, X[:, 0], sample_weight=np.full(len(X), 1e6))


def test_few_rows_are_described_by_their_weighted_mean():
    model = FormulaRegressor().fit([[1.0], [2.0]], [0.0, 4.0], sample_weight=[3, 1])
    np.testing.assert_array_equal(model.predict([[1.0]]), [1.0])
    model = FormulaRegressor().fit([[1.0], [2.0]], [0.0, 4.0], sample_weight=[0.75, 0.25])
    np.testing.assert_allclose(model.predict([[1.0]]), [1.0])


def test_what_was_found_survives_every_way_of_keeping_it(tmp_path):
    skops = pytest.importorskip("skops.io")
    model = FormulaRegressor(budget=5).fit(X, np.column_stack([X[:, 0] / X[:, 1], np.ones(200)]))
    skops.dump(model, tmp_path / "model.skops")
    unknown = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert unknown == ["knotwork.estimators.formula.FormulaRegressor"]
    read = skops.load(tmp_path / "model.skops", trusted=unknown)
    for same in (read, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(same.predict(X), model.predict(X))
        assert same.expression_ == model.expression_
        assert same.formula_[1] is None
        found, kept = model.discovery_[0], same.discovery_[0]
        assert str(kept) == str(found)
        assert (kept.verdict, kept.verdict.reasons) == (found.verdict, found.verdict.reasons)
        assert kept.records() == found.records()
        assert kept.best is same.formula_[0]
        assert kept.front[0] is same.front_[0][0]
        assert kept.best.constants == found.best.constants
        assert kept.data.symbols == found.data.symbols
        np.testing.assert_array_equal(kept.data.X_held, found.data.X_held)
        rows = found.network_rows()
        np.testing.assert_array_equal(kept.network_rows(), rows)
        assert (kept.network(torch.tensor(rows)) == found.network(torch.tensor(rows))).all()
