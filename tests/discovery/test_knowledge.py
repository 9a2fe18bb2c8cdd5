"""What the user knows: it holds in every formula, helps the search, and is checked first."""

import numpy as np
import pytest
import sympy

from knotwork import discover
from knotwork.discovery.groups import dimensionless_groups
from knotwork.discovery.knowledge import Knowledge, Rules
from knotwork.discovery.refit import fit_constants
from knotwork.discovery.rounding import round_constants
from knotwork.discovery.screening import screened
from knotwork.symbolic.dimensions import consistent
from knotwork.symbolic.units import DIMENSIONLESS, parse_units

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 3, (300, 3))
a, b, c = X.T
NOISE = 0.01 * np.random.default_rng(1).normal(size=300)


def search(X, y, **options):
    return discover(X, y, **{"progress": False, "budget": 10.0, **options})


def rules(names="x y z", rows=X, scales=(1.0, 1.0, 1.0), **options):
    said = dict.fromkeys(["units", "target_units", "required", "forbidden", "symmetries"])
    knowledge = Knowledge.read(names.split(), **{**said, **options})
    symbols = tuple(sympy.Symbol(name, real=True) for name in names.split())
    return Rules(knowledge, symbols, rows, np.array(scales), 1.0)


x, y, z = (sympy.Symbol(name, real=True) for name in "xyz")


# Units


def test_a_constant_that_is_1_stays_as_what_carries_the_dimension():
    units = {"m": "kg", "r": "m"}
    found = search(X[:, :2], a / b**2, names=["m", "r"], units=units, target_units="m/s^2")
    assert str(found.best) == "1.0*m/r**2"
    dimensions = {name: parse_units(text) for name, text in units.items()}
    for formula in found.front:
        assert consistent(formula.expression, dimensions, parse_units("m/s^2"))


def test_a_law_without_hidden_constants_stays_exact():
    period = 2 * np.pi * np.sqrt(a / b)
    units = {"l": "m", "g": "m/s^2"}
    found = search(X[:, :2], period, names=["l", "g"], units=units, target_units="s")
    l, g = sympy.symbols("l g", positive=True)
    truth = 2 * sympy.pi * sympy.sqrt(l / g)
    assert sympy.simplify(found.best.expression.subs({"l": l, "g": g}) - truth) == 0
    assert not found.best.constants


def test_extreme_columns_keep_their_dimensions():
    scaled = X[:, :2] * np.array([1e-9, 1e12])
    units = {"m": "kg", "v": "m/s"}
    energy = scaled[:, 0] * scaled[:, 1] ** 2 / 2
    found = search(scaled, energy, names=["m", "v"], units=units, target_units="J")
    assert found.verdict == "formula"
    np.testing.assert_allclose(found.best.predict(scaled), energy, rtol=1e-9)


def test_dimensionless_groups():
    symbols = sympy.symbols("h v g k", positive=True)
    dimensions = [parse_units(text) for text in ("m", "m/s", "m/s^2", "")]
    found = dimensionless_groups(symbols, np.ones((9, 4)), dimensions, parse_units("s"))
    units = dict(zip([s.name for s in symbols], dimensions, strict=True))
    assert len(found) > 1
    assert len({reduction.prefactor for reduction in found}) == len(found)
    for reduction in found:
        assert len(reduction.features) == 2
        assert consistent(reduction.prefactor, units, parse_units("s"))
        for feature in reduction.features:
            assert consistent(feature, units, DIMENSIONLESS)


def test_groups_only_where_they_can_be_made_and_evaluated():
    units = [parse_units("m"), parse_units("m^2")]
    assert dimensionless_groups((x, y), X[:, :2], units, parse_units("s")) == ()
    assert dimensionless_groups((x, y), X[:, :2], [DIMENSIONLESS] * 2, DIMENSIONLESS) == ()
    # x has both signs: no root of it may be taken, and it must not be divided by.
    mixed = np.column_stack([X[:, 0] - 2, X[:, 1]])
    mixed[0, 0] = 0.0
    (found,) = dimensionless_groups((x, y), mixed, units, parse_units("m"))
    assert found.prefactor == sympy.sqrt(y)
    assert found.features == (x / sympy.sqrt(y),)


def test_groups_are_proposed_only_if_all_units_are_known():
    units = {"x": "m", "y": "m", "z": "s"}
    assert len(rules(units=units, target_units="m/s").reductions()) >= 1
    assert rules(units=units).reductions() == ()
    assert rules(units={"x": "m"}, target_units="m/s").reductions() == ()


def test_rounding_keeps_a_constant_that_carries_a_dimension():
    known = rules(units={"x": "m"}, target_units="s")
    fit = fit_constants(2.00000001 * x, (x, y, z), X, 2 * a)
    assert round_constants(fit, X, 2 * a).expression == 2 * x
    kept = round_constants(fit, X, 2 * a, allowed=known.admits).expression
    assert kept.has(sympy.Float)


# Inputs


def test_forbidden_inputs_do_not_occur_but_stay_columns():
    found = search(X, a * b + c, forbidden=["x_3"], budget=4)
    assert all(sympy.Symbol("x_3") not in f.expression.free_symbols for f in found.front)
    assert found.best.predict(X).shape == (300,)


def test_required_inputs_are_in_every_formula():
    found = search(X, a * b + 0.1 * c + NOISE, required=["x_3"])
    assert len(found.front) >= 1
    assert all(sympy.Symbol("x_3") in f.expression.free_symbols for f in found.front)
    assert {"x_1", "x_2"} <= {s.name for s in found.best.expression.free_symbols}


def test_an_input_that_makes_no_difference_is_not_there():
    known = rules(required=["z"])
    assert known.admits(x + 1e-3 * z)
    assert not known.admits(x)
    assert not known.admits(x + 1e-17 * z)


def test_screening_keeps_what_is_needed():
    wide = np.random.default_rng(2).uniform(1, 3, (400, 30))
    target = wide[:, 3] * wide[:, 4]
    assert set(screened(wide, target, [], [20])) >= {3, 4, 20}
    assert 3 not in screened(wide, target, [3])


# Symmetries


@pytest.mark.parametrize(
    ("law", "right", "wrong"),
    [
        ("even in x", [sympy.cos(x), x**2 * z, y], [x, sympy.log(x), sympy.cos(x + 0.1)]),
        ("odd in x", [x, y * sympy.sin(2.5 * x)], [x**2, y, x + 1.0, sympy.sqrt(x)]),
        ("symmetric in x, y", [x * y + z, sympy.Abs(x - y)], [x, x - y, 2.1 * x + 2.2 * y]),
        ("symmetric in x, y, z", [x * y * z], [x * y + z, x * y]),
    ],
)
def test_which_formulas_obey(law, right, wrong):
    known = rules(symmetries=[law])
    assert all(known.admits(formula) for formula in right)
    assert not any(known.admits(formula) for formula in wrong)


def test_an_exchange_of_columns_in_different_scales():
    known = rules(symmetries=["symmetric in x, y"], scales=(1.0, 1e7, 1.0))
    assert known.admits(x * y)
    assert known.admits(x + 10**7 * y)
    assert not known.admits(x + y)
    assert known.reductions() == ()


def test_symmetries_give_variables_in_which_they_hold():
    known = rules(symmetries=["odd in x", "symmetric in y, z"])
    (found,) = known.reductions()
    assert found.prefactor == x
    assert found.features == (x**2, y + z, y * z)


def test_a_symmetric_law_is_found_under_noise():
    target = 2.3 * (a + b) / c + NOISE
    found = search(X, target, symmetries=["symmetric in x_1, x_2"], budget=30)
    swapped = X[:, [1, 0, 2]]
    for formula in found.front:
        np.testing.assert_allclose(formula.predict(X), formula.predict(swapped), rtol=1e-5)
    np.testing.assert_allclose(found.best.predict(X), target, atol=0.05)


# Bad input

WRONG = [
    ({"units": {"q": "m"}}, ValueError, "units names 'q', which is no input; there are x_1"),
    ({"units": {"x_1": "2*m"}}, ValueError, r"units\['x_1'\]: unit '2\*m'.*character 1"),
    ({"units": {"x_1": 3}}, TypeError, r"units\['x_1'\]: .*string"),
    ({"units": ["m"]}, TypeError, "units must map"),
    ({"target_units": "m/"}, ValueError, "target_units: unit 'm/'"),
    ({"required": ["x_9"]}, ValueError, "required names 'x_9'.*Did you mean"),
    ({"required": "x_1"}, TypeError, "required must be a list of strings; got 'x_1'"),
    ({"required": [["x_1"]]}, ValueError, "required names"),
    ({"forbidden": ["mass"]}, ValueError, "forbidden names 'mass'"),
    ({"forbidden": ["x_1", "x_2", "x_3"]}, ValueError, "forbidden names every input"),
    ({"required": ["x_1"], "forbidden": ["x_1"]}, ValueError, "both name 'x_1'"),
    ({"symmetries": "even in x_1"}, TypeError, "symmetries must be a list"),
    ({"symmetries": [1]}, TypeError, "symmetries must be strings"),
    ({"symmetries": ["evn in x_1"]}, ValueError, "must be 'even in x'.*Did you mean 'even'"),
    ({"symmetries": ["even in "]}, ValueError, "must be 'even in x'"),
    ({"symmetries": ["odd in q"]}, ValueError, "symmetries names 'q'"),
    ({"symmetries": ["symmetric in x_1"]}, ValueError, "two different inputs or more"),
    ({"symmetries": ["symmetric in x_1, x_1"]}, ValueError, "two different inputs or more"),
    ({"symmetries": ["odd in x_1"], "forbidden": ["x_1"]}, ValueError, "a forbidden input"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_what_cannot_be_right_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        search(X, a * b, **options)


def test_columns_that_do_not_vary():
    table = np.column_stack([a, np.full(300, 2.0)])
    with pytest.raises(ValueError, match=r"required names 'x_2', which is the same in all rows"):
        search(table, a**2, required=["x_2"])
    with pytest.raises(ValueError, match=r"symmetries names 'x_2', which is the same"):
        search(table, a**2, symmetries=["odd in x_2"])
    with pytest.raises(ValueError, match=r"forbidden leaves no input that varies"):
        search(table, a**2, forbidden=["x_1"])


def test_other_knowledge_is_another_search(tmp_path):
    path = tmp_path / "state.json"
    first = search(X, a * b, state=path, symmetries=["symmetric in x_1, x_2"])
    same = search(X, a * b, state=path, resume=True, symmetries=["symmetric in x_1, x_2"])
    assert str(same.best) == str(first.best)
    with pytest.raises(ValueError, match=r"other data or options"):
        search(X, a * b, state=path, resume=True)
