import math

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from knotwork.functions import DEFAULT_NAMES, LIBRARY, SymbolicFunction, get
from knotwork.symbolic.edge_fit import fit_edge, fit_edges

# sign has no slope to follow, and its threshold is known only up to the gap between two samples.
SMOOTH = [name for name in LIBRARY if name != "sign"]
# Each with the same shape under another name in the default library.
TWINS = {"cos": "sin", "arccos": "arcsin", "sigmoid": "tanh"}


def uniform(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64) * 2 - 1


@st.composite
def inner_constants(draw, name: str) -> tuple[float, float]:
    """Draw a and b for x from -1 to 1 that show what is particular to the function."""

    def between(low: float, high: float) -> float:
        return draw(st.floats(low, high))

    function = get(name)
    sign = draw(st.sampled_from([-1.0, 1.0]))
    low, high = draw(st.sampled_from(function.domain))
    if function.symmetry == "linear":
        return 1.0, 0.0
    if function.symmetry == "exp":
        return sign * between(0.3, 6.0), 0.0
    if math.isinf(low) and math.isinf(high):
        if not function.free_a:
            return 1.0, between(-0.9, 0.9) if name in ("abs", "cbrt") else between(-1.3, 1.3)
        if function.period is not None:
            return between(1.0, 30.0), between(-3.0, 3.0)
        a = between(1.0, 3.5)
        return a, a * between(-0.6, 0.6)
    if math.isinf(low):
        a = between(0.5, 2.0)
        return a, high - a * (1 + between(0.01, 1.0))
    if math.isinf(high):
        a = between(0.5, 2.0)
        gap = between(0.01, 0.1) if name == "arccosh" else between(0.01, 1.0)
        return sign * a, low + a * (1 + gap)
    width = high - low
    first, last = low + between(0.01, 0.3) * width, high - between(0.01, 0.3) * width
    return sign * (last - first) / 2, (first + last) / 2


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_each_function_is_recovered_from_clean_samples(name, data):
    function = get(name)
    a, b = data.draw(inner_constants(name))
    c, d, scale = data.draw(st.tuples(st.floats(0.1, 20), st.floats(-5, 5), st.floats(0.02, 50)))
    shift = data.draw(st.floats(-2, 2))
    z = uniform(200, 1)
    x = scale * (z + shift)
    y = c * function.torch(a * z + b) + d

    ranking = fit_edge(x, y, [*DEFAULT_NAMES, name])

    assert ranking[0].function.name == TWINS.get(name, name)
    fit = next(fit for fit in ranking if fit.function.name == name)
    assert fit.r2 > 1 - 1e-10
    assert (fit(x) - y).std() < 1e-7 * y.std()
    if name not in ("arccos", "sigmoid"):  # these have a mirror image besides the parity
        true_a, true_b, true_c, extra = function.normalise(a / scale, b - a * shift, c)
        assert (fit.a, fit.b, fit.c) == pytest.approx((true_a, true_b, true_c), rel=1e-5, abs=1e-5)
        assert fit.d == pytest.approx(d + extra, rel=1e-5, abs=1e-5 * (1 + y.std().item()))


def test_constants_on_clean_data_are_accurate_to_rounding():
    x = 3 * uniform(200) + 1
    fit = fit_edge(x, 2.5 * torch.sin(1.5 * x + 0.3) - 0.7)[0]
    assert (fit.a, fit.b, fit.c, fit.d) == pytest.approx((1.5, 0.3, 2.5, -0.7), rel=1e-13)
    fit = fit_edge(x, 4 * torch.exp(-0.7 * x) + 2)[0]
    assert (fit.a, fit.b, fit.c, fit.d) == pytest.approx((-0.7, 0.0, 4.0, 2.0), rel=1e-12)


@pytest.mark.parametrize(("name", "a", "b"), [
    ("sin", 2.5, 0.4), ("exp", 1.2, 0.0), ("x^2", 1.0, 0.3), ("x^2", 1.0, 1.2),
    ("sqrt", 1.0, 1.02), ("log", -1.0, 1.05), ("1/x", 1.0, 1.1), ("tanh", 2.0, 0.4),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_noise_of_one_percent(name, a, b, seed):
    x = uniform(200, seed)
    y = get(name).torch(a * x + b)
    generator = torch.Generator().manual_seed(seed)
    y = y + 0.01 * y.std() * torch.randn(200, generator=generator, dtype=torch.float64)
    assert name in [fit.function.name for fit in fit_edge(x, y)[:3]]


@pytest.mark.parametrize("gap", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("name", ["sqrt", "log", "1/x", "1/sqrt"])
def test_domain_that_ends_just_outside_the_data(name, gap):
    x = torch.linspace(2.0, 5.0, 200, dtype=torch.float64)
    for sign, argument in ((1.0, x - 2 + gap), (-1.0, 5 + gap - x)):
        fit = fit_edge(x, get(name).torch(argument))[0]
        assert fit.function.name == name
        # The odd 1/x has the sign in c.
        b = (gap - 2 if sign == 1.0 else 5 + gap) * (sign if name == "1/x" else 1.0)
        assert fit.b == pytest.approx(b, abs=1e-8)


def test_arguments_stay_in_one_interval_of_the_domain():
    x = torch.stack([uniform(50, seed) for seed in range(6)])
    y = torch.stack([uniform(50, 10 + seed).cumsum(0) for seed in range(6)])
    for row, ranking in zip(x, fit_edges(x, y, list(LIBRARY)), strict=True):
        assert len(ranking) >= len(LIBRARY) - 1
        for fit in ranking:
            argument = fit.a * row + fit.b
            intervals = fit.function.domain
            assert any(((argument > low) & (argument < high)).all() for low, high in intervals)
            assert fit(row).isfinite().all()


def test_units_of_x_and_y_do_not_matter():
    x = uniform(120)
    y = torch.exp(1.3 * x) + 0.02 * uniform(120, 1)
    before = fit_edge(x, y)
    after = fit_edge(1e-6 * x + 3e-6, -1e7 * y + 2e8)
    assert [fit.function for fit in before] == [fit.function for fit in after]
    for one, other in zip(before[:10], after, strict=False):
        assert one.r2 == pytest.approx(other.r2, rel=1e-9)
        assert one.score == pytest.approx(other.score, abs=1e-6)


def test_weights_count_as_repetitions():
    x, y = uniform(60), torch.tanh(2 * uniform(60)) + 0.05 * uniform(60, 1)
    times = torch.arange(60) % 3 + 1
    weighted = fit_edge(x, y, weights=times)
    repeated = fit_edge(x.repeat_interleave(times), y.repeat_interleave(times))
    for one, other in zip(weighted[:3], repeated, strict=False):
        assert one.function == other.function
        assert one.r2 == pytest.approx(other.r2, abs=1e-9)
        assert (one.a, one.c) == pytest.approx((other.a, other.c), rel=1e-3)


def test_r2_is_that_of_the_fit():
    x, weights = uniform(80), uniform(80, 2).square()
    y = x.square() + 0.1 * uniform(80, 1)
    for fit in fit_edge(x, y, list(LIBRARY), weights):
        mean = (weights * y).sum() / weights.sum()
        error, total = (weights * (fit(x) - y) ** 2).sum(), (weights * (y - mean) ** 2).sum()
        assert fit.r2 == pytest.approx(1 - (error / total).item(), abs=1e-9)


def test_edges_do_not_influence_each_other():
    x = torch.stack([uniform(70, seed) for seed in range(4)])
    y = torch.stack([x[0].sin(), (3 * x[1]).exp(), torch.full((70,), 2.0), x[3].abs()])
    together = fit_edges(x, y)
    for row in range(4):
        alone = fit_edge(x[row], y[row])
        best = [fits[0].function.name if fits else None for fits in (alone, together[row])]
        assert best == [["sin", "exp", None, "abs"][row]] * 2


def test_rankings_are_sorted_and_imitations_lose():
    x = uniform(200)
    parabola = fit_edge(x, x.square() + 1e-4 * uniform(200, 1), ["sin", "cosh", "x^2"])
    assert parabola[0].function.name == "x^2"
    assert [fit.score for fit in parabola] == sorted(fit.score for fit in parabola)
    growth = fit_edge(x, torch.exp(2 * x) + 1e-4 * uniform(200, 1), ["tanh", "exp", "softplus"])
    assert growth[0].function.name == "exp"
    line = fit_edge(x, 2 * x + 1e-3 * uniform(200, 1), list(LIBRARY))
    assert line[0].function.name == "x"


def test_edges_without_fits():
    x, ones = uniform(20), torch.ones(20, dtype=torch.float64)
    assert fit_edge(x, 3 * ones) == []
    assert fit_edge(ones, x) == []
    nowhere = SymbolicFunction("nowhere", lambda x: x * math.nan, sympy.sin)
    assert fit_edge(x, x, [nowhere]) == []


def test_function_of_a_user_in_single_precision():
    softsign = SymbolicFunction(
        "softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + sympy.Abs(x)), parity="odd"
    )
    x = uniform(200).float()
    fit = fit_edge(x, 2 * softsign.torch(4 * x - 1), ["tanh", softsign])[0]
    assert fit.function is softsign
    assert (fit.a, fit.b, fit.c) == pytest.approx((4.0, -1.0, 2.0), rel=1e-4)


def test_the_number_of_threads_is_left_as_it_was():
    before = torch.get_num_threads()
    fit_edge(uniform(20), uniform(20, 1))
    assert torch.get_num_threads() == before


def test_messages():
    x = uniform(20)
    with pytest.raises(ValueError, match=r"x must have shape \(samples,\)"):
        fit_edge(x[None], x[None])
    with pytest.raises(ValueError, match="at least 5 samples"):
        fit_edges(x[None, :4], x[None, :4])
    with pytest.raises(ValueError, match="y must have the shape of x"):
        fit_edge(x, x[:-1])
    with pytest.raises(ValueError, match="y must be finite"):
        fit_edge(x, x.log())
    with pytest.raises(ValueError, match="weights must not be negative"):
        fit_edge(x, x, weights=x)
    with pytest.raises(ValueError, match="Did you mean 'sin'"):
        fit_edge(x, x, ["sine"])
