"""KANRegressor and KANClassifier: scikit-learn's own checks, and what they promise beyond."""

import datetime
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from knotwork import KANClassifier, KANRegressor

# scikit-learn's checks allow five steps, and several tests here few more.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([KANRegressor(), KANClassifier()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (120, 3))
y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + 0.05 * rng.normal(size=120)
LABELS = np.where(X[:, 0] ** 2 + X[:, 1] ** 2 < 0.5, "in", "out")
REGRESSOR, CLASSIFIER = KANRegressor(hidden_layer_sizes=()), KANClassifier(hidden_layer_sizes=())


@pytest.mark.parametrize("hidden", [(), (2,)])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("model", [KANRegressor(max_iter=20), KANClassifier(max_iter=20)])
def test_a_weight_is_a_row_so_often(model, early_stopping, hidden):
    model = clone(model).set_params(hidden_layer_sizes=hidden, early_stopping=early_stopping)
    target = y if isinstance(model, KANRegressor) else LABELS
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    order = np.random.default_rng(2).permutation(weights.sum())
    weighted = clone(model).fit(X, target, sample_weight=weights)
    repeated = clone(model).fit(X.repeat(weights, axis=0)[order], target.repeat(weights)[order])
    method = "predict" if isinstance(model, KANRegressor) else "predict_proba"
    np.testing.assert_array_equal(getattr(weighted, method)(X), getattr(repeated, method)(X))
    plain = clone(model).fit(X, target)
    assert np.abs(getattr(plain, method)(X) - getattr(weighted, method)(X)).max() > 1e-3


def test_weights_draw_the_fit_to_where_they_are():
    inputs, heavy = np.zeros((40, 1)), np.repeat([1.0, 3.0], 20)
    inputs[:, 0] = np.tile(np.linspace(0, 1, 20), 2)
    model = KANRegressor().fit(inputs, np.repeat([0.0, 1.0], 20), sample_weight=heavy)
    np.testing.assert_allclose(model.predict(inputs), 0.75, atol=0.01)


def test_weights_that_are_no_counts_are_taken_relatively():
    weights = np.random.default_rng(3).uniform(0.5, 1, len(X))
    first = clone(REGRESSOR).fit(X, y, sample_weight=weights / 10)
    second = clone(REGRESSOR).fit(X, y, sample_weight=weights / 1000)
    np.testing.assert_allclose(first.predict(X), second.predict(X), rtol=1e-6)


def test_a_sum_of_functions_is_found_and_an_interaction_too():
    assert REGRESSOR.fit(X, y).score(X, y) > 0.99
    assert KANRegressor().fit(X, y).hidden_layer_sizes_ == ()
    product = X[:, 0] * X[:, 1]
    model = KANRegressor().fit(X, product)
    assert model.hidden_layer_sizes_ != ()
    fresh = np.random.default_rng(4).uniform(-0.9, 0.9, (200, 3))
    assert model.score(fresh, fresh[:, 0] * fresh[:, 1]) > 0.99


def test_classes_that_only_an_interaction_tells_apart():
    labels = X[:, 0] * X[:, 1] > 0
    assert KANClassifier().fit(X, labels).score(X, labels) > 0.95


def test_an_input_without_influence_is_left_out():
    values = REGRESSOR.fit(X, y).predict(np.array([[0, 0, -0.9], [0, 0, 0.9]]))
    assert abs(np.diff(values)[0]) < 0.03


def test_units_do_not_matter():
    plain = KANRegressor(hidden_layer_sizes=(2,), max_iter=20).fit(X, y)
    shift, factor = np.array([5.0, -3e3, 0.0]), np.array([1e4, 1.0, 1e-5])
    other = clone(plain).fit(X * factor + shift, 1e6 * y - 7)
    np.testing.assert_allclose(other.predict(X * factor + shift), 1e6 * plain.predict(X) - 7, 1e-3)


def test_the_network_is_in_the_users_units():
    model = clone(REGRESSOR).fit(100 * X + 7, 1e3 * y)
    outputs = model.model_(torch.tensor(100 * X + 7)).detach().numpy()[:, 0]
    np.testing.assert_array_equal(outputs, model.predict(100 * X + 7))


def test_formula_in_the_users_units():
    inputs = np.random.default_rng(0).uniform(10, 20, (200, 2))
    target = 3 * inputs[:, 0] ** 2 - 5 * inputs[:, 1]
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(inputs, columns=["a", "b"])
    model = clone(REGRESSOR).fit(frame, target)
    formula = model.symbolic_formula(frame, lib=["x", "x^2"])
    assert {str(symbol) for symbol in formula.free_symbols} == {"a", "b"}
    assert float(formula.subs({"a": 12, "b": 15})) == pytest.approx(3 * 144 - 75, rel=1e-3)
    assert len(model.plot(frame).axes) > 0
    assert model.model_(torch.tensor(inputs)).shape == (200, 1)


def test_several_targets():
    targets = np.column_stack([y, X[:, 2]])
    model = clone(REGRESSOR).fit(X, targets)
    assert model.predict(X).shape == (120, 2)
    assert model.score(X, targets) > 0.98


def test_multi_class_probabilities():
    inputs, labels = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[labels]
    model = clone(CLASSIFIER).fit(inputs, names)
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    probabilities = model.predict_proba(inputs)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert model.score(inputs, names) > 0.95
    assert model.decision_function(inputs).shape == (150, 3)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_names_of_frames(library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame(dict(zip("abc", X.T, strict=True)))
    model = clone(REGRESSOR).fit(frame, y)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert model.model_.input_names == ("a", "b", "c")
    other = frames.DataFrame({"a": X[:, 0], "d": X[:, 1], "c": X[:, 2]})
    with pytest.raises(ValueError, match=r"(?s)unseen at fit time:\n- d.*now missing:\n- b"):
        model.predict(other)


def test_in_a_pipeline_with_set_output():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    pipeline = make_pipeline(StandardScaler(), clone(REGRESSOR)).set_output(transform="pandas")
    pipeline.fit(frame, y)
    assert list(pipeline[-1].feature_names_in_) == ["a", "b", "c"]
    assert pipeline.score(frame, y) > 0.99


def test_explanation_in_the_users_units():
    frame = pd.DataFrame(10 + 5 * X, columns=["a", "b", "c"])
    target = 100 + 40 * X[:, 0] - X[:, 1]
    regressor = clone(REGRESSOR).fit(frame, target)
    found = regressor.explain(frame)
    assert found.input_names == ("a", "b", "c")
    directions = [one.effects[0].direction for one in found.inputs]
    assert directions == ["increasing", "decreasing", "no effect"]
    row = found.row(0)
    assert row.base[0] == pytest.approx(regressor.predict(frame).mean())
    assert row.outputs[0] == pytest.approx(regressor.predict(frame)[0])
    with pytest.raises(ValueError, match="feature names"):
        regressor.explain(frame.rename(columns={"a": "d"}))


def test_explanation_of_classes_is_in_log_odds():
    two = clone(CLASSIFIER).fit(X, LABELS)
    found = two.explain(X)
    assert found.output_names == ("log-odds of out",)
    np.testing.assert_allclose(found.predictions[:, 0], two.decision_function(X))
    three = clone(CLASSIFIER).fit(*load_iris(return_X_y=True))
    names = three.explain(load_iris().data).output_names
    assert names == ("log-odds of 0", "log-odds of 1", "log-odds of 2")
    assert two.explain(X, output_names=["z"]).output_names == ("z",)


def test_search_and_inspection():
    search = GridSearchCV(clone(REGRESSOR), {"grid": [2, 5]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.95
    assert cross_val_score(clone(CLASSIFIER), X, LABELS, cv=3).mean() > 0.85
    importance = permutation_importance(search.best_estimator_, X, y, n_repeats=2, random_state=0)
    assert importance.importances_mean.argmin() == 2
    curve = partial_dependence(search.best_estimator_, X, [1], grid_resolution=10)
    assert curve["average"].shape == (1, 10)


def test_early_stopping():
    model = KANRegressor(early_stopping=True, n_iter_no_change=3).fit(X, y)
    assert len(model.validation_loss_curve_) <= model.n_iter_ < 60
    assert model.score(X, y) > 0.98


def test_early_stopping_without_rows_to_keep_aside():
    with pytest.raises(ValueError, match="early_stopping has no row to keep aside: of 2"):
        KANClassifier(early_stopping=True).fit([[0.0], [1.0]], [0, 1])


def test_warm_start_goes_on():
    model = KANRegressor(hidden_layer_sizes=(2,), warm_start=True, max_iter=16).fit(X, y)
    before = model.loss_curve_
    again = model.fit(X, y).loss_curve_
    assert again[0] < before[0] / 2
    with pytest.raises(ValueError, match="3 inputs and 1 outputs, but the data asks for 2 and 1"):
        model.fit(X[:, :2], y)
    classifier = KANClassifier(hidden_layer_sizes=(), warm_start=True).fit(X, LABELS)
    with pytest.raises(ValueError, match="never seen before: 'far'"):
        classifier.fit(X, np.where(X[:, 0] > 0.9, "far", LABELS))


def test_alpha_is_the_priors_precision():
    spread = [np.ptp(KANRegressor((), alpha=a).fit(X, y).predict(X)) for a in (1e-2, 1e4)]
    assert spread[1] < 0.2 * spread[0]


def test_warm_starts_of_single_steps_come_to_what_a_whole_fit_does():
    model = KANRegressor(hidden_layer_sizes=(), max_iter=1, warm_start=True)
    evidence = [model.fit(X, y).log_evidence_ for _ in range(12)]
    assert evidence[0] < evidence[-1] - 10
    assert evidence[-1] == pytest.approx(clone(REGRESSOR).fit(X, y).log_evidence_, abs=0.1)
    same = pickle.loads(pickle.dumps(model)).fit(X, y)
    np.testing.assert_array_equal(same.predict(X), model.fit(X, y).predict(X))


@pytest.mark.parametrize("model", [KANRegressor(max_iter=3), CLASSIFIER])
def test_persistence(model, tmp_path):
    target = y if isinstance(model, KANRegressor) else LABELS
    model = clone(model).fit(X, target)
    joblib.dump(model, tmp_path / "model.joblib")
    for same in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")):
        np.testing.assert_array_equal(same.predict(X), model.predict(X))


def test_skops(tmp_path):
    skops = pytest.importorskip("skops.io")
    model = clone(CLASSIFIER).fit(X, LABELS)
    skops.dump(model, tmp_path / "model.skops")
    unknown = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert unknown == ["knotwork.estimators.kan.KANClassifier"]
    same = skops.load(tmp_path / "model.skops", trusted=unknown)
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))


def test_strings_where_numbers_belong():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "colour": np.where(X[:, 1] > 0, "red", "blue")})
    message = r"column colour \('\w+'\) .*OneHotEncoder.*\['colour'\]"
    with pytest.raises(ValueError, match=message):
        clone(REGRESSOR).fit(frame, y)
    encoder = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["colour"]), remainder="passthrough"
    )
    assert make_pipeline(encoder, clone(REGRESSOR)).fit(frame, y).score(frame, y) > 0.5
    with pytest.raises(ValueError, match=r"y holds strings.*use KANClassifier"):
        clone(REGRESSOR).fit(X, LABELS)


def test_steps_that_ran_out_are_told_and_only_then():
    with pytest.warns(ConvergenceWarning, match=r"stopped at max_iter=3 .* more steps"):
        KANRegressor(max_iter=3).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="max_iter=1 "):
        clone(CLASSIFIER).set_params(max_iter=1).fit(X, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KANRegressor().fit(X, y)
        KANClassifier().fit(X, LABELS)
        # Without noise there is always another digit to be gained.
        KANRegressor((2,)).fit(X, X[:, 0] * X[:, 1])


def test_labels_never_seen_and_one_class():
    model = clone(CLASSIFIER).fit(X, LABELS)
    with pytest.warns(UserWarning, match="never seen in training, 'far': every row"):
        assert model.score(X, np.full(len(X), "far")) == 0
    half = np.where(np.arange(len(X)) % 2, LABELS, "far")
    weights = np.where(half == "far", 0.5, 2.0)
    with pytest.warns(UserWarning, match="'far'"):
        found = model.score(X, half, sample_weight=weights)
    right = model.predict(X) == LABELS
    assert found == pytest.approx(0.8 * right[1::2].mean())


@pytest.mark.parametrize(
    "strangers", [np.arange(120), np.array([None] * 120), np.full(120, np.nan)]
)
def test_labels_of_another_kind_count_as_wrong_too(strangers):
    model = clone(CLASSIFIER).fit(X, LABELS)
    with pytest.warns(UserWarning, match=r"never seen in training.*Known are 'in', 'out'"):
        assert model.score(X, strangers) == 0


def test_numbers_that_are_equal_are_the_same_label():
    labels = (X[:, 0] > 0).astype(int)
    model = clone(CLASSIFIER).fit(X, labels)
    assert model.score(X, labels.astype(float)) == model.score(X, labels) > 0.9


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, r"y has no label in row 3 \(counted from 0\): it is None. Drop"),
        (float("nan"), "y has no label in row 3 .*it is nan"),
        (7, r"y holds text and other labels, as 'out' and 7: .*astype\(str\)"),
    ],
)
def test_labels_that_are_missing_or_of_two_kinds(label, message):
    labels = np.array(np.where(np.arange(len(X)) == 3, None, LABELS), dtype=object)
    labels[3], labels[-1] = label, "out"
    with pytest.raises(ValueError, match=message):
        clone(CLASSIFIER).fit(X, labels)


def test_dates_beside_numbers():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": X[:, 0], "when": pd.date_range("2020-01-01", periods=len(X))})
    with pytest.raises(ValueError, match=r"'when' holds dates or times .*days since"):
        clone(REGRESSOR).fit(frame, y)


@pytest.mark.parametrize(
    "column",
    [
        pd.date_range("2020-01-01", periods=len(X)),
        pd.to_timedelta(np.arange(len(X)), unit="h"),
        np.array([datetime.date(2020, 1, 1)] * len(X), dtype=object),
    ],
)
def test_dates_and_nothing_else(column):
    # Their numbers depend on the unit that they are kept in, so predictions would too.
    error = TypeError if column.dtype == object else ValueError
    with pytest.raises(error, match=r"'when' holds dates or times .*days since"):
        clone(REGRESSOR).fit(pd.DataFrame({"when": column}), y)
    with pytest.raises(error, match="X holds dates or times"):
        clone(REGRESSOR).fit(np.asarray(column)[:, None], y)


def test_parameters_of_the_wrong_type():
    with pytest.raises(TypeError, match=r"hidden_layer_sizes must .* as \(5,\) .*; got 5\."):
        KANRegressor(hidden_layer_sizes=5).fit(X, y)
    with pytest.raises(TypeError, match=r"random_state must be a whole number, .*; got Generator"):
        KANRegressor(random_state=np.random.default_rng(0)).fit(X, y)


def test_columns_in_another_order_or_missing_are_named():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = clone(REGRESSOR).fit(frame, y)
    with pytest.raises(ValueError, match="same order"):
        model.predict(frame[["b", "a", "c"]])
    with pytest.raises(ValueError, match=r"(?s)now missing:\n- c"):
        model.plot(frame[["a", "b"]])


def test_one_class_and_classes_of_weight_zero():
    with pytest.raises(ValueError, match="one class only, 'in'"):
        clone(CLASSIFIER).fit(X, np.full(len(X), "in"))
    with pytest.raises(ValueError, match=r"one class only, 'out'.*weights above 0"):
        clone(CLASSIFIER).fit(X, LABELS, sample_weight=LABELS == "out")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": "big"}, "hidden_layer_sizes must be 'auto' or"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes"),
        ({"grid": "fine"}, "grid must be 'auto' or"),
        ({"grid": 0}, "grid"),
        ({"k": 9}, "k must"),
        ({"alpha": 0}, "alpha"),
        ({"max_iter": 0}, "max_iter"),
        ({"validation_fraction": 1.0}, "validation_fraction must be below 1"),
        ({"random_state": -1}, "random_state must be from 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        KANRegressor(**parameters).fit(X, y)


def test_bad_weights():
    for weights in (np.zeros(len(X)), -np.ones(len(X)), np.ones(3)):
        with pytest.raises(ValueError, match=r"(?i)weight"):
            clone(REGRESSOR).fit(X, y, sample_weight=weights)


def test_constant_columns_and_targets():
    inputs = np.column_stack([X, np.full(len(X), 1e9)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clone(REGRESSOR).fit(inputs, y).score(inputs, y) > 0.99
        model = KANRegressor().fit(X, np.full(len(X), 7.0))
    np.testing.assert_allclose(model.predict(X), 7)


def test_many_parameters_are_fitted_without_their_matrix():
    inputs = np.random.default_rng(0).normal(size=(200, 40))
    labels = (inputs[:, 0] > 0) + 2 * (inputs[:, 1] > 0)
    model = KANClassifier(hidden_layer_sizes=(20,), grid=3, max_iter=5).fit(inputs, labels)
    assert sum(p.numel() for p in model.model_.parameters()) > 1500
    assert model.score(inputs, labels) > 0.9
