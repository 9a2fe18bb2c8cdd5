"""Rows that count more and less: what is said of them, and searches with weights."""

import numpy as np
import pytest
import sympy

from knotwork import discover
from knotwork.discovery.additive import additive_candidates
from knotwork.discovery.clock import Clock
from knotwork.discovery.outliers import ordinary_rows
from knotwork.discovery.problem import Problem
from knotwork.discovery.refit import fit_constants, relative_error, uncertainty
from knotwork.discovery.residue import correlation_test, predictable_share, smooth_share
from knotwork.discovery.rounding import round_constants
from knotwork.discovery.rows import prepare, read_columns
from knotwork.discovery.screening import screened
from knotwork.discovery.state import SearchState
from knotwork.discovery.sums import near_sums
from knotwork.discovery.surrogate import fit_surrogate
from knotwork.discovery.task import Settings, Task
from knotwork.discovery.univariate import univariate_candidates
from knotwork.discovery.varying import varying_candidates
from knotwork.discovery.weighted import (
    Rows,
    mean_of,
    median_of,
    relative_weights,
    root_mean_square,
    spread_of,
    telling_rows,
)
from knotwork.functions import resolve

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 3, (300, 3))
a, b, c = X.T
LAW = a * b**2 / c
# A tenth of the rows are wild, and known to be.
SIGMA = np.where(np.arange(300) % 10 == 3, 200.0, 0.05)
WILD = LAW + SIGMA * RNG.normal(size=300)
WEIGHTS = 1 / SIGMA**2
x_1, x_2, x_3 = sympy.symbols("x_1 x_2 x_3", positive=True)
SYMBOLS = (x_1, x_2, x_3)
FUNCTIONS = resolve(["x", "x^2", "1/x", "log", "exp", "sin"])


def search(X, y, **options):
    return discover(X, y, **{"progress": False, "budget": 60.0, **options})


def problem(y, weights, rows=240):
    return Problem(
        X[:rows],
        y[:rows],
        X[rows:],
        y[rows:],
        SYMBOLS,
        Clock(60.0),
        weights=weights[:rows],
        weights_held=weights[rows:],
    )


def same(expression, truth, tolerance=0.02):
    values = sympy.lambdify(SYMBOLS, expression)(a, b, c)
    return np.sqrt(np.mean((values - truth) ** 2)) < tolerance * np.std(truth)


def test_means_and_spreads_are_those_of_repeated_rows():
    values, counts = RNG.normal(size=50), RNG.integers(1, 5, 50)
    counts[0] += 1 - counts.sum() % 2
    repeated, weights = values.repeat(counts), counts.astype(float)
    for measure in (mean_of, spread_of, root_mean_square, median_of):
        assert measure(values, weights) == pytest.approx(measure(repeated, None), rel=1e-12)
    predicted = values + RNG.normal(size=50)
    error = relative_error(predicted.repeat(counts), repeated)
    assert relative_error(predicted, values, 7 * weights) == pytest.approx(error, rel=1e-12)


def test_equal_weights_are_none_and_others_have_a_mean_of_one():
    assert relative_weights(np.full(5, 0.3)) is None
    extreme = relative_weights(np.array([1e300, 3e300, 2e-300]))
    np.testing.assert_allclose(extreme, [0.75, 2.25, 0], rtol=1e-12, atol=1e-50)
    assert (extreme > 0).all()


def test_light_rows_tell_if_they_are_far_off():
    # Relative errors: all rows say as much, though weights span eight decades.
    y = 10.0 ** np.linspace(0, 4, 60)
    assert len(telling_rows(Rows(y[:, None], y, y**-2.0)).y) == 60
    kept = telling_rows(Rows(X, WILD, WEIGHTS))
    assert not set(WILD[SIGMA > 1]) & set(kept.y)
    assert set(WILD[SIGMA < 1]) == set(kept.y)
    # Where nearly all weight is on few rows half of the rows stay.
    assert len(telling_rows(Rows(X, LAW, np.r_[np.full(10, 1e6), np.ones(290)])).y) == 150


def test_constants_and_error_bars_are_those_of_weighted_least_squares():
    y = 1.7 * a + 0.4 * b * c + SIGMA * RNG.normal(size=300)
    start = sympy.Float(1.0, 17) * x_1 + sympy.Float(2.0, 17) * x_2 * x_3
    table = np.column_stack([a, b * c])
    normal = table.T @ (WEIGHTS[:, None] * table)
    values = np.linalg.solve(normal, table.T @ (WEIGHTS * y))
    rest = y - table @ values
    errors = np.sqrt(np.diag(np.linalg.inv(normal)) * (WEIGHTS @ rest**2) / 298)
    for factor in (1.0, 1e-5, 3e4):
        fit = fit_constants(start, SYMBOLS, X, y, factor * WEIGHTS)
        np.testing.assert_allclose(np.sort(fit.constants), np.sort(values), rtol=1e-7)
        stated, effects = uncertainty(fit, X, y, factor * WEIGHTS)
        order = np.argsort(fit.constants)
        np.testing.assert_allclose(stated[order], errors[np.argsort(values)], rtol=1e-6)
        shares = np.sqrt(np.average(table**2, axis=0, weights=WEIGHTS))
        spread = spread_of(y, WEIGHTS)
        np.testing.assert_allclose(effects[order], shares[np.argsort(values)] / spread)


def test_error_bars_hold_the_truth():
    """Of standardised errors of many fits the spread is 1; without weights fits are far worse."""
    start = sympy.Float(1.0, 17) * x_1 / x_2
    found, plain = [], []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        rows, sigma = X[:60], 10 ** rng.uniform(-2, 0.5, 60)
        y = 2.5 * rows[:, 0] / rows[:, 1] + sigma * rng.normal(size=60)
        fit = fit_constants(start, SYMBOLS, rows, y, sigma**-2.0)
        errors, _ = uncertainty(fit, rows, y, sigma**-2.0)
        found.append((fit.constants[0] - 2.5, errors[0]))
        plain.append(fit_constants(start, SYMBOLS, rows, y).constants[0] - 2.5)
    off, errors = np.array(found).T
    # Eighty numbers tell a standard deviation to a twelfth.
    assert 0.75 < np.std(off / errors) < 1.3
    assert np.std(plain) > 5 * np.std(off)


def test_constants_are_rounded_by_what_weights_leave_open():
    y = 3.0 * a + SIGMA * RNG.normal(size=300)
    fit = fit_constants(sympy.Float(1.0, 17) * x_1, SYMBOLS, X, y, WEIGHTS)
    assert round_constants(fit, X, y, WEIGHTS).expression == 3 * x_1
    off = fit_constants(sympy.Float(1.0, 17) * x_1, SYMBOLS, X, y + 0.05 * a, WEIGHTS)
    assert round_constants(off, X, y + 0.05 * a, WEIGHTS).expression.has(sympy.Float)


def test_a_robust_fit_weighs_too():
    y = 2 * a + 0.01 * RNG.normal(size=300)
    y[SIGMA > 1] = -5 * a[SIGMA > 1]
    # Outliers by the rows' own scale are as many as four in ten, but nearly without weight.
    many = np.arange(300) % 5 < 2
    y[many] = -5 * a[many]
    weights = np.where(many | (SIGMA > 1), 1e-6, 1.0)
    fit = fit_constants(1.0 * x_1, SYMBOLS, X, y, weights, robust=True)
    assert fit.constants[0] == pytest.approx(2, abs=0.01)


def test_the_test_of_correlation_sees_through_noisy_rows():
    y = LAW + SIGMA * np.random.default_rng(2).normal(size=300)
    few = np.r_[np.flatnonzero(SIGMA > 1)[:20], np.flatnonzero(SIGMA < 1)[:10]]
    assert correlation_test(LAW[few], y[few]) > 0.01
    assert correlation_test(LAW[few], y[few], WEIGHTS[few]) < 1e-4
    # Without a signal p-values are uniform, whatever the weights.
    values = [
        correlation_test(LAW, SIGMA * np.random.default_rng(seed).normal(size=300), WEIGHTS)
        for seed in range(200)
    ]
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.07)
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)


def test_what_a_formula_leaves_is_seen_beside_wild_rows():
    y = a + 0.2 * np.sin(4 * b) + SIGMA * RNG.normal(size=300)
    for expression, left in ((x_1, True), (x_1 + 0.2 * sympy.sin(4 * x_2), False)):
        share = predictable_share(problem(y, WEIGHTS), expression, Clock(60.0))
        assert (share > 0.2) == left
    bent = a + 0.2 * b**2 + SIGMA * RNG.normal(size=300)
    assert smooth_share(problem(bent, WEIGHTS), x_1) > 0.5
    assert smooth_share(problem(bent, np.ones(300)), x_1) == 0


def test_networks_follow_the_weights():
    found = fit_surrogate(X, WILD, WEIGHTS, starts=1, clock=Clock(60.0), logarithms=False)
    assert found[0].error < 0.1
    # Light rows count in the RMSE by their own noise only.
    assert found[0].rmse < 0.1
    assert np.median(np.abs(found[0].values(X) - LAW)) < 0.1
    plain = fit_surrogate(X, WILD, starts=1, clock=Clock(60.0), logarithms=False)
    assert np.median(np.abs(plain[0].values(X) - LAW)) > 1


@pytest.mark.parametrize(
    ("propose", "truth"),
    [(additive_candidates, a**2 + np.exp(b)), (varying_candidates, a**2 * b + np.exp(a))],
)
def test_splines_follow_the_weights(propose, truth):
    functions = resolve(["x", "x^2", "exp"])
    y = truth + np.where(SIGMA > 1, 30.0, 0.0) * RNG.normal(size=300)
    weights = np.where(SIGMA > 1, 1e-9, 1.0)

    def found(rows):
        return any(
            same(fit_constants(e, SYMBOLS, X, truth).expression, truth)
            for e in propose(SYMBOLS[:2], rows, functions, 0.1)
        )

    assert found(Rows(X[:, :2], y, weights))
    assert not found(Rows(X[:, :2], y))


def test_functions_of_one_variable_follow_the_weights():
    y = 2 * np.exp(a) + np.where(SIGMA > 1, 50.0, 0.0) * RNG.normal(size=300)
    weights = np.where(SIGMA > 1, 1e-9, 1.0)
    (error, best), *_ = univariate_candidates(x_1, a, y, FUNCTIONS, powers=False, weights=weights)
    assert error < 1e-3
    assert same(best, 2 * np.exp(a), 1e-3)


def test_sums_follow_the_weights():
    truth = a * b + 2 * np.sin(c)
    y = truth + SIGMA * RNG.normal(size=300)
    whole = problem(y, WEIGHTS, 240)
    task = Task(SYMBOLS, whole.X, whole.y, lambda e: e, 0.05, 0.05, weights=whole.weights)
    near_sums(task, whole, Settings(FUNCTIONS))
    assert any(same(candidate.expression, truth) for candidate in whole.pool)


def test_columns_show_beside_wild_rows():
    wide = np.random.default_rng(1).uniform(1, 3, (600, 20))
    sigma = np.where(np.arange(600) % 10 == 3, 1000.0, 0.1)
    y = wide[:, 4] * wide[:, 11] + sigma * np.random.default_rng(2).normal(size=600)
    assert set(screened(wide, y, [], weights=sigma**-2.0)) == {4, 11}


def test_only_rows_far_off_by_their_weights_are_outliers():
    y = LAW + np.where(SIGMA > 1, 2.0, 0.01) * RNG.normal(size=300)
    y[0] += 2.0
    weights = np.where(SIGMA > 1, 2.0, 0.01) ** -2.0
    usual = ordinary_rows(Rows(X, y, weights), 0, Clock(60.0))
    assert not usual[0]
    assert usual[SIGMA > 1].mean() > 0.8


def test_a_law_is_found_in_spite_of_rows_that_are_known_to_be_wild():
    found = search(X, WILD, weights=WEIGHTS)
    assert found.verdict == "formula"
    assert str(found.best) == "x_1*x_2**2/x_3"
    assert found.best.r2 > 0.99
    assert found.network_error < 0.2
    # Wild rows that are known to be so are no outliers.
    assert found.largest_errors < 0.4
    blind = search(X, WILD, budget=2)
    values = blind.best.predict(X)
    assert np.sqrt(np.mean((values - LAW) ** 2)) > 0.3 * LAW.std()


def test_noise_alone_is_no_signal_whatever_the_weights():
    sigma = 10 ** np.random.default_rng(3).uniform(-2, 2, 60)
    noise = 5 + sigma * np.random.default_rng(4).normal(size=60)
    found = search(X[:60], noise, weights=1 / sigma**2, budget=20)
    assert found.verdict == "no signal"
    assert found.best.expression.is_number
    weights = 1 / sigma**2
    assert float(found.best.expression) == pytest.approx(np.average(noise, weights=weights))
    (mean,) = found.best.constants
    assert abs(mean.value - 5) < 4 * mean.standard_error
    assert mean.standard_error == pytest.approx(weights.sum() ** -0.5, rel=0.3)


def test_a_row_of_weight_zero_is_no_row():
    dirty, table = LAW.copy(), X.copy()
    dirty[::4], table[::4] = np.nan, -np.inf
    weights = np.where(np.arange(300) % 4 == 0, 0.0, 2.5)
    found = search(table, dirty, weights=weights)
    kept = weights > 0
    clean = search(X[kept], LAW[kept])
    assert str(found.best) == "x_1*x_2**2/x_3"
    assert [str(f) for f in found.front] == [str(f) for f in clean.front]
    assert found.best.rmse == clean.best.rmse
    assert len(found.data.every.y) == kept.sum()


def test_neither_a_common_factor_nor_the_order_of_rows_matters():
    rng = np.random.default_rng(5)
    # The second half repeats the first with other weights.
    table, y = np.vstack([X[:60], X[:60]]), np.tile(LAW[:60], 2)
    weights, order = rng.uniform(0.05, 0.5, 120), rng.permutation(120)

    def prepared(places, factor):
        inputs, targets, relative, names = read_columns(
            table[places], y[places], None, factor * weights[places]
        )
        return prepare(inputs, targets[:, 0], names, 0, relative)

    first = prepared(np.arange(120), 1.0)
    for factor, tolerance in ((4096.0, 0.0), (1e-300, 1e-12), (700.0, 1e-12)):
        second = prepared(order, factor)
        for one, other in zip(first.every, second.every, strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance)


def test_rows_keep_their_weights_when_they_are_divided():
    weights = np.arange(1.0, 301.0)
    inputs, targets, relative, names = read_columns(X, LAW, None, weights)
    data = prepare(inputs, targets[:, 0], names, 0, relative)
    by_target = dict(zip(LAW.tolist(), weights / weights.mean(), strict=True))
    for rows in (data.train, data.held, data.every):
        np.testing.assert_allclose(rows.weights, [by_target[y] for y in rows.y.tolist()])
    assert len(data.every.y) == 300
    plain = prepare(inputs, targets[:, 0], names, 0)
    np.testing.assert_array_equal(plain.y_held, data.y_held)


def test_a_search_goes_on_with_its_own_weights_only(tmp_path):
    options = {"state": tmp_path / "search.json", "budget": 30}
    y = a * b
    weights = RNG.uniform(1, 2, 300)
    first = search(X, y, weights=weights, **options)
    second = search(X, y, weights=weights, resume=True, **options)
    assert str(second.best) == str(first.best) == "x_1*x_2"
    for other in (None, weights[::-1]):
        with pytest.raises(ValueError, match="other data or options"):
            search(X, y, weights=other, resume=True, **options)


def test_a_kept_formula_is_judged_by_weights_when_it_is_taken_up(tmp_path):
    first, second = problem(WILD, WEIGHTS), problem(WILD, WEIGHTS)
    state = SearchState.of(tmp_path / "search.json", first, ())
    state.begin(first, resume=False)
    first.offer(sympy.Float(1.5, 17) * x_1 * x_2**2 / x_3)
    state.save(first)
    SearchState.of(tmp_path / "search.json", second, ()).begin(second, resume=True)
    (before,), (after,) = first.pool, second.pool
    assert after.rmse == pytest.approx(before.rmse)
    assert after.held_out == pytest.approx(before.held_out)
    assert max(after.rmse, after.held_out) < 0.1


@pytest.mark.parametrize("rows", [6, 7, 12])
@pytest.mark.parametrize("inputs", [1, 2])
def test_few_rows_of_the_strangest_weights_have_an_answer(rows, inputs):
    y = np.exp(a[:rows]) + 0.3 * np.random.default_rng(6).normal(size=rows)
    weights = 10.0 ** np.random.default_rng(rows).uniform(-300, 300, rows)
    found = search(X[:rows, :inputs], y, weights=weights, budget=0.5)
    assert np.isfinite(found.best.predict(X[:rows, :inputs])).all()
    assert len(found.records()) >= 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(299), "X has 300 rows, but weights has 299"),
        (np.where(np.arange(300) == 7, -1.0, 1.0), r"weights has -1 in row 7 .*at least 0"),
        (np.full(300, np.nan), "weights has nan .*finite"),
        (np.full(300, np.inf), "weights has inf .*finite"),
        (np.zeros(300), "weights are all 0"),
        (np.ones((300, 2)), r"weights must hold one weight a row"),
        (["heavy"] * 300, "weights .*text"),
        (np.arange(300) < 5.0, "weights .*booleans"),
        ((np.arange(300) < 5) * 1.0, "6 rows with a weight above 0; got 5"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises((ValueError, TypeError), match=message):
        discover(X, LAW, weights=weights, progress=False)


def test_rows_that_are_not_finite_are_counted_as_they_came():
    y = LAW.copy()
    y[20] = np.nan
    with pytest.raises(ValueError, match="y must be finite; row 20"):
        discover(X, y, weights=(np.arange(300) > 9) * 1.0, progress=False)
