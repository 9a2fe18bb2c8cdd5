from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from torch import Tensor

from knotwork import splines
from knotwork.knots import adaptive_breaks, extend_knots, uniform_breaks

EPS = torch.finfo(torch.float64).eps


class Case(NamedTuple):
    """Random splines: their order, knots (inputs, ...) and coefficients (inputs, ..., outputs)."""

    k: int
    knots: Tensor
    coefficients: Tensor
    uniform: bool
    generator: torch.Generator

    @property
    def breaks(self) -> Tensor:
        return self.knots[:, self.k : -self.k]

    @property
    def grid(self) -> int:
        return self.breaks.shape[1] - 1

    def inside(self, rows: int = 40) -> Tensor:
        """Return random points and all breakpoints, both ends among them."""
        low, high = splines.domain(self.knots, self.k)
        share = torch.rand(rows, len(low), generator=self.generator, dtype=low.dtype)
        return torch.cat([low + share * (high - low), self.breaks.T])

    def around(self, rows: int = 40) -> Tensor:
        """Return random points, most of them outside the knots."""
        low, high = splines.domain(self.knots, self.k)
        share = torch.randn(rows, len(low), generator=self.generator, dtype=low.dtype)
        return (low + high) / 2 + 2 * share * (high - low)

    def evaluate(self, x: Tensor, derivative: int = 0, policy: Any = "linear") -> Tensor:
        """Evaluate by the closed form where the knots are even, by the recurrence otherwise."""
        values = splines.basis(x, self.knots, self.k, derivative, policy, self.uniform)
        return torch.einsum("nif,ifo->nio", values, self.coefficients)

    def by_scipy(self, x: Tensor, derivative: int = 0) -> Tensor:
        """Evaluate with SciPy, the end polynomials continued."""
        columns = [
            BSpline(knots.numpy(), coefficients.numpy(), self.k)(column.numpy(), derivative)
            for knots, coefficients, column in zip(self.knots, self.coefficients, x.T, strict=True)
        ]
        return torch.from_numpy(np.stack(columns, axis=1))

    def slack(self, derivative: int = 0, digits: float = 1e-12) -> float:
        """Return what rounding may do to a derivative of splines of this size on these knots."""
        steepness = 2 * self.k / float(self.breaks.diff(dim=1).min())
        return digits * float(self.coefficients.abs().max()) * steepness**derivative


@st.composite
def cases(draw: st.DrawFn, uniform: bool | None = None, orders: tuple[int, int] = (1, 5)) -> Case:
    k, grid = draw(st.integers(*orders)), draw(st.integers(1, 8))
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    options: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    size = 10.0 ** draw(st.integers(-3, 3))
    low = size * torch.randn(inputs, **options)
    high = low + size * (0.1 + torch.rand(inputs, **options))
    even = draw(st.booleans()) if uniform is None else uniform
    if even:
        breaks = splines.uniform_breaks(low, high, grid)
    else:
        x = low + (high - low) * torch.rand(30, inputs, **options)
        breaks = splines.adaptive_breaks(x, low, high, grid, draw(st.sampled_from([0.0, 0.3])))
    knots = splines.extend_knots(breaks, k)
    scale = 10.0 ** draw(st.integers(-3, 3))
    coefficients = scale * torch.randn(inputs, grid + k, outputs, **options)
    return Case(k, knots, coefficients, even, generator)


def examples(count):
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def assert_near(actual, expected, slack):
    torch.testing.assert_close(actual, expected, rtol=0, atol=slack)


# -- values and derivatives ----------------------------------------------------------------------


@given(cases())
@examples(100)
def test_values_and_derivatives_are_scipys(case):
    x = case.inside()
    for derivative in range(3):
        # A derivative of order k jumps at the knots, where either side will do.
        at = x if derivative < case.k or not case.uniform else x[:40]
        actual = case.evaluate(at, derivative)
        assert_near(actual, case.by_scipy(at, derivative), case.slack(derivative))


@given(cases())
@examples(40)
def test_evaluate_is_the_same_by_recurrence(case):
    x = case.inside()
    for derivative in range(min(3, case.k)):
        actual = splines.evaluate(x, case.knots, case.coefficients, case.k, derivative)
        assert_near(actual, case.evaluate(x, derivative), case.slack(derivative))


@given(cases())
@examples(40)
def test_bases_are_a_partition_of_unity_and_not_negative(case):
    values = splines.basis(case.inside(), case.knots, case.k, uniform=case.uniform)
    assert_near(values.sum(dim=2), torch.ones_like(values[..., 0]), 1e-13)
    assert bool((values >= -1e-13).all())
    slopes = splines.basis(case.inside(), case.knots, case.k, 1, uniform=case.uniform)
    assert bool((slopes.sum(dim=2).abs() <= 1e-12 * (1 + slopes.abs().sum(dim=2))).all())


@given(cases())
@examples(40)
def test_a_coefficient_matters_only_on_its_support(case):
    x = case.inside()
    index = int(torch.randint(case.grid + case.k, (1,), generator=case.generator))
    changed = case.coefficients.clone()
    changed[:, index] += 1.0
    before, after = case.evaluate(x), case._replace(coefficients=changed).evaluate(x)
    low, high = case.knots[:, index], case.knots[:, index + case.k + 1]
    outside = (x <= low) | (x >= high)
    # A point on a knot may count to either side, where the basis is zero but for rounding.
    assert_near(after[outside], before[outside], case.slack())
    well_inside = (x > low + 0.1 * (high - low)) & (x < high - 0.1 * (high - low))
    assert bool((after[well_inside] > before[well_inside]).all())


def just_below(x):
    return torch.nextafter(x, torch.full_like(x, -torch.inf))


@given(cases())
@examples(40)
def test_derivatives_below_the_order_are_continuous(case):
    inner = case.breaks[:, 1:-1].T
    unit = EPS * float(case.knots.abs().max())
    for order in range(case.k):
        # From one number to the next the function moves on by its next derivative.
        slack = case.slack(order) + 8 * unit * case.slack(order + 1, digits=1.0)
        assert_near(case.evaluate(just_below(inner), order), case.evaluate(inner, order), slack)


@given(cases(uniform=False))
@examples(20)
def test_the_derivative_of_the_order_itself_jumps(case):
    inner = case.breaks[:, 1:-1].T
    before, after = (case.evaluate(x, case.k) for x in (just_below(inner), inner))
    assert bool(((after - before).abs() > 1e-6 * (after.abs() + before.abs())).all())


@given(cases(orders=(2, 5)))
@examples(20)
def test_autograd_gives_the_analytic_derivatives(case):
    x = case.around().requires_grad_()
    for policy in ("linear", "constant", "continue", "zero"):
        values = case.evaluate(x, 0, policy)[..., 0].sum()
        (slope,) = torch.autograd.grad(values, x, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), x)
        far = float((x.detach() - case.breaks.mean()).abs().max() / case.breaks.diff(dim=1).min())
        for order, actual in ((1, slope), (2, bend)):
            expected = case.evaluate(x, order, policy)[..., 0]
            # The end polynomials grow with the distance, and their rounding errors with them.
            growth = (1 + far) ** case.k if policy == "continue" else 1
            assert_near(actual.detach(), expected.detach(), case.slack(order) * growth)


@given(cases())
@examples(8)
def test_gradients_of_every_argument_and_their_gradients(case):
    size = float(case.breaks[0, -1] - case.breaks[0, 0])
    # In units of the range and of the coefficients, which finite differences need.
    knots = case.knots / size
    coefficients = (case.coefficients / case.coefficients.abs().max()).requires_grad_()
    x = (case.around(5) / size).requires_grad_()

    def evaluated(x, coefficients):
        return splines.evaluate(x, knots, coefficients, case.k)

    assert torch.autograd.gradcheck(evaluated, (x, coefficients))
    assert torch.autograd.gradgradcheck(evaluated, (x, coefficients))


@given(cases())
@examples(25)
def test_single_precision_is_as_good_as_it_can_be(case):
    x = case.inside()
    single = case._replace(knots=case.knots.float(), coefficients=case.coefficients.float())
    # Rounding of the argument and the knots moves the function along its slope.
    unit = 2.0**-23 * float(case.knots.abs().max())
    slack = case.slack(digits=1e-5) + 4 * unit * case.slack(1, digits=1.0)
    assert_near(single.evaluate(x.float()).double(), case.evaluate(x), slack)
    assert single.evaluate(x.float()).dtype == torch.float32


@given(cases())
@examples(20)
def test_any_number_of_rows(case):
    x = case.around(3)
    for policy in splines.EXTRAPOLATIONS:
        none = case.evaluate(x[:0], policy=policy)
        assert none.shape == (0, x.shape[1], case.coefficients.shape[2])
    one = case.evaluate(x[:1])
    assert_near(one, case.evaluate(x)[:1], case.slack() * float(1 + one.abs().max()))


# -- outside the knots ---------------------------------------------------------------------------


@given(cases())
@examples(25)
def test_extrapolation_keeps_its_promise(case):
    x = case.around()
    low, high = splines.domain(case.knots, case.k)
    outside = ((x < low) | (x > high))[..., None]
    ends = x.clamp(low, high)
    away = (x - ends)[..., None]
    # Rounding of the slope at the end is carried along.
    growth = 1 + float(away.abs().max() / case.breaks.diff(dim=1).min())
    value, slope = case.by_scipy(ends), case.by_scipy(ends, 1)
    zero = torch.zeros_like(value)
    promised = {
        "linear": (value + away * slope, slope, zero),
        "constant": (value, zero, zero),
        "zero": (zero, zero, zero),
        "continue": tuple(case.by_scipy(x, derivative) for derivative in range(3)),
    }
    for policy, derivatives in promised.items():
        for order, expected in enumerate(derivatives):
            inside = case.by_scipy(x, order)
            slack = case.slack(order) * (growth**case.k if policy == "continue" else growth)
            actual = case.evaluate(x, order, policy)
            assert_near(actual, torch.where(outside, expected, inside), slack)


def test_linear_extrapolation_meets_the_spline_at_both_ends():
    knots = splines.extend_knots(torch.tensor([[0.0, 1.0, 3.0]], dtype=torch.float64), 3)
    coefficients = torch.tensor([[[1.0], [-2.0], [0.5], [3.0], [1.0]]], dtype=torch.float64)
    case = Case(3, knots, coefficients, False, torch.Generator())
    for end in (0.0, 3.0):
        x = torch.tensor([[end - 1e-9], [end], [end + 1e-9]], dtype=torch.float64)
        for order in (0, 1):
            values = case.evaluate(x, order)[:, 0, 0]
            assert float(values.max() - values.min()) < 1e-7


@given(cases())
@examples(30)
def test_the_error_policy_names_the_column_and_its_range(case):
    inside = case.inside()
    assert_near(case.evaluate(inside, policy="error"), case.evaluate(inside), case.slack())
    low, high = splines.domain(case.knots, case.k)
    column = case.knots.shape[0] - 1
    outside = inside.clone()
    outside[3, column] = high[column] + 1e-6 * (high - low)[column]
    with pytest.raises(ValueError, match=rf"lies outside the knots in column {column}, .*'error'"):
        case.evaluate(outside, policy="error")


@given(cases())
@examples(30)
def test_nan_stays_where_it_is(case):
    x = case.around()
    x[::3, 0] = torch.nan
    low, high = splines.domain(case.knots, case.k)
    for policy in splines.EXTRAPOLATIONS:
        at = x.clamp(low, high) if policy == "error" else x
        # The derivative of order k no longer depends on x.
        for order in range(min(2, case.k)):
            values = case.evaluate(at, order, policy)
            assert torch.equal(values.isnan(), at.isnan()[..., None].expand_as(values))


# -- other knots ---------------------------------------------------------------------------------


@given(cases(), st.integers(0, 10))
@examples(40)
def test_inserting_knots_changes_nothing(case, more):
    low, high = splines.domain(case.knots, case.k)
    # Not random, since knots that all but coincide would only test how a division rounds.
    share = (torch.randperm(97, generator=case.generator)[:more] + 0.3) / 97
    added = low[:, None] + share.to(low) * (high - low)[:, None]
    breaks = torch.cat([case.breaks, added], dim=1).sort(dim=1).values
    finer = splines.extend_knots(breaks, case.k)
    for change in (splines.insert_knots, splines.refit):
        coefficients = change(case.knots, case.coefficients, finer, case.k)
        x = case.inside()
        new = case._replace(knots=finer, coefficients=coefficients, uniform=False)
        for order in range(min(2, case.k)):
            # Compared as polynomials, hence with the slack of the finer knots.
            assert_near(new.evaluate(x, order), case.evaluate(x, order), new.slack(order))


@given(cases(uniform=True), st.integers(2, 5))
@examples(25)
def test_a_multiple_of_an_even_grid_keeps_the_function(case, factor):
    breaks = splines.uniform_breaks(*splines.domain(case.knots, case.k), factor * case.grid)
    knots = splines.extend_knots(breaks, case.k)
    coefficients = splines.refit(case.knots, case.coefficients, knots, case.k)
    x = case.around()
    away = 1 + float(((x - case.breaks.mean()).abs() / case.breaks.diff(dim=1).min()).max())
    expected = case.evaluate(x)
    actual = case._replace(knots=knots, coefficients=coefficients).evaluate(x)
    assert_near(actual, expected, case.slack() * factor * away)


@given(cases(orders=(2, 5)), st.integers(12, 17), st.booleans())
@examples(12)
def test_refitting_on_other_knots_changes_little(case, grid, with_points):
    """Smooth functions stay what they are, on ranges inside and around the old one."""
    low, high = splines.domain(case.knots, case.k)
    phase = (splines.greville(case.knots, case.k) - low[:, None]) / (high - low)[:, None]
    smooth = case._replace(coefficients=torch.sin(3 * phase)[..., None])
    length = high - low
    for reach in (-0.11, 0.0, 0.13):
        breaks = splines.uniform_breaks(low - reach * length, high + reach * length, grid)
        knots = splines.extend_knots(breaks, case.k)
        points = smooth.inside() if with_points else None
        coefficients = splines.refit(case.knots, smooth.coefficients, knots, case.k, points)
        new = case._replace(knots=knots, coefficients=coefficients, uniform=True)
        x = new.inside()
        change = (new.evaluate(x) - smooth.evaluate(x)).square().mean().sqrt()
        assert float(change) < 2e-2


@given(cases())
@examples(30)
def test_refitting_reproduces_polynomials_exactly(case):
    """A straight line is in every spline space and continues itself, whatever the knots."""
    line = case._replace(coefficients=splines.greville(case.knots, case.k)[..., None])
    low, high = splines.domain(case.knots, case.k)
    breaks = splines.uniform_breaks(low - 0.3 * (high - low), high + 0.1 * (high - low), 7)
    knots = splines.extend_knots(breaks, case.k)
    coefficients = splines.refit(case.knots, line.coefficients, knots, case.k)
    size = float(knots.abs().max())
    assert_near(coefficients[..., 0], splines.greville(knots, case.k), 1e-10 * size)


@given(
    st.integers(1, 40),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    st.sampled_from([1, 2, 5]),
    st.integers(0, 10**6),
)
@examples(40)
def test_adaptive_breaks_increase_whatever_is_repeated(rows, grid, grid_eps, distinct, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(distinct, generator=generator, dtype=torch.float64)
    picks = torch.randint(distinct, (rows, 3), generator=generator)
    x = values[picks]
    low, high = x.amin(dim=0) - 0.1, x.amax(dim=0) + 0.1
    breaks = splines.adaptive_breaks(x, low, high, grid, grid_eps)
    assert breaks.shape == (3, grid + 1)
    assert bool((breaks.diff(dim=1) > 0).all())
    assert_near(breaks[:, 0], low, 1e-15 * float(1 + low.abs().max()))
    assert_near(breaks[:, -1], high, 1e-15 * float(1 + high.abs().max()))


def test_adaptive_breaks_follow_the_quantiles():
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None] ** 3
    low, high = torch.zeros(1, dtype=x.dtype), torch.ones(1, dtype=x.dtype)
    even, blended, adapted = (
        splines.adaptive_breaks(x, low, high, 10, share) for share in (1.0, 0.5, 0.0)
    )
    assert_near(even, torch.linspace(0, 1, 11, dtype=x.dtype)[None], 1e-15)
    quantiles = torch.quantile(x[:, 0], even[0])[None]
    assert_near(blended, (even + quantiles) / 2, 1e-12)
    assert_near(adapted, 0.02 * even + 0.98 * quantiles, 1e-12)


@given(cases())
@examples(25)
def test_greville_abscissae_are_the_coefficients_of_the_identity(case):
    x = case.around()
    line = case._replace(coefficients=splines.greville(case.knots, case.k)[..., None])
    away = 1 + float((x - case.breaks.mean()).abs().max() / case.breaks.diff(dim=1).min())
    assert_near(line.evaluate(x)[..., 0], x, line.slack() * away)
    assert_near(line.evaluate(x, 1)[..., 0], torch.ones_like(x), line.slack(1))


@given(cases())
@examples(25)
def test_the_difference_matrix_gives_scipys_derivative(case):
    low, high = splines.domain(case.knots, case.k)
    for order in range(case.k + 1):
        matrix = splines.difference_matrix(case.knots, case.k, order)
        assert matrix.shape[1:] == (case.grid + case.k - order, case.grid + case.k)
        for i, length in enumerate((high - low).tolist()):
            scaled = BSpline(
                case.knots[i].numpy() / length, case.coefficients[i].numpy(), case.k
            ).derivative(order)
            expected = torch.from_numpy(scaled.c[: matrix.shape[1]].copy())
            slack = 1e-11 * float(1 + expected.abs().max())
            slack *= 1 + float(case.knots.abs().max() / case.breaks.diff(dim=1).min())
            assert_near(matrix[i] @ case.coefficients[i], expected, slack)


@given(cases())
@examples(40)
def test_even_knots_are_recognised(case):
    assert splines.is_uniform(case.knots) == (case.uniform or case.grid == 1)


@given(cases(uniform=True))
@examples(25)
def test_uniform_breaks_have_exact_ends(case):
    low, high = splines.domain(case.knots, case.k)
    breaks = splines.uniform_breaks(low, high, 7)
    assert torch.equal(breaks[:, 0], low)
    assert torch.equal(breaks[:, -1], high)


def test_local_bases_are_the_nonzero_part_of_the_basis():
    case = Case(
        2,
        splines.extend_knots(torch.tensor([[0.0, 1.0, 2.0, 4.0]], dtype=torch.float64), 2),
        torch.zeros(1, 5, 1, dtype=torch.float64),
        False,
        torch.Generator(),
    )
    x = torch.tensor([[0.5], [1.0], [3.0], [4.0]], dtype=torch.float64)
    (local,) = splines.local_bases(x, case.knots, 2)
    assert local.start[:, 0].tolist() == [0, 1, 2, 2]
    assert local.values.shape == (4, 1, 3)
    assert torch.equal(splines.dense(local, 5), splines.basis(x, case.knots, 2))


@pytest.mark.parametrize("uniform", [False, True])
def test_derivatives_beyond_the_order_vanish(uniform):
    knots = splines.extend_knots(torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64), 1)
    x = torch.tensor([[0.3], [1.7]], dtype=torch.float64)
    values = splines.basis(x, knots, 1, 2, uniform=uniform)
    assert torch.equal(values, torch.zeros(2, 1, 3, dtype=torch.float64))


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_refitting_is_well_posed_for_heavy_tails(k):
    # Knots at the quantiles of such data leave intervals that no point spread over the range meets.
    points = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)).double() ** 7
    breaks = adaptive_breaks(points, points.amin(dim=0), points.amax(dim=0), 20, 0.1)
    old = extend_knots(uniform_breaks(-torch.ones(3), torch.ones(3), 5), k).double()
    coefficients = torch.randn(3, 5 + k, 2, generator=torch.Generator().manual_seed(1)).double()
    found = splines.refit(old, coefficients, extend_knots(breaks, k), k, points)
    assert bool(found.isfinite().all())


@pytest.mark.parametrize(("k", "extrapolation"), [(3, "linear"), (5, "continue")])
def test_refitting_trusts_the_rows_where_a_spline_is_huge_elsewhere(k, extrapolation):
    generator = torch.Generator().manual_seed(0)
    old, new = (
        extend_knots(uniform_breaks(-end.double(), end.double(), 10), k)
        for end in torch.tensor([[1.0], [1.1]])
    )
    coefficients = torch.randn(1, 10 + k, 2, generator=generator, dtype=torch.float64)
    coefficients[:, :3] *= 1e6
    points = torch.rand(300, 1, generator=generator, dtype=torch.float64) * 1.2 - 0.2
    found = splines.refit(old, coefficients, new, k, points, extrapolation)
    before = splines.evaluate(points, old, coefficients, k, 0, extrapolation)
    after = splines.evaluate(points, new, found, k, 0, extrapolation)
    assert float((after - before).abs().max()) < 0.3
