import copy
import math
import pickle

import numpy as np
import pytest
import scipy.special
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st

from knotwork.functions import DEFAULT_NAMES, LIBRARY, SymbolicFunction, get, resolve

FUNCTIONS = list(LIBRARY.values())
by_name = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)


def inside(function: SymbolicFunction, count: int = 41) -> torch.Tensor:
    """Return points well inside every interval of the domain, kinks at 0 left out."""
    points: list[torch.Tensor] = []
    for low, high in function.domain:
        if math.isinf(low):
            low = min(high - 4.0, -4.0)
        if math.isinf(high):
            high = max(low + 4.0, 4.0)
        margin = 0.05 * (high - low)
        points.append(torch.linspace(low + margin, high - margin, count, dtype=torch.float64))
    x = torch.cat(points)
    x = x[x.abs() > 1e-3]
    assert len(x) >= count // 2
    return x


@by_name
def test_derivative_is_that_of_autograd_and_of_finite_differences(function):
    x = inside(function).requires_grad_()
    (by_autograd,) = torch.autograd.grad(function.torch(x).sum(), x)
    derivative = function.derivative(x)
    step = 1e-6
    by_differences = (function.torch(x + step) - function.torch(x - step)) / (2 * step)
    torch.testing.assert_close(derivative, by_autograd, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(derivative, by_differences, rtol=1e-5, atol=1e-6)


@by_name
def test_first_and_second_derivatives_by_autograd(function):
    x = inside(function, 9).requires_grad_()
    assert torch.autograd.gradcheck(function.torch, x)
    assert torch.autograd.gradgradcheck(function.torch, x)
    assert torch.autograd.gradcheck(function.derivative, x)


@by_name
def test_torch_and_sympy_forms_agree(function):
    symbol = sympy.Symbol("x", real=True)
    x = inside(function)
    by_sympy = sympy.lambdify(symbol, function.sympy(symbol), modules=["scipy", "numpy"])(x.numpy())
    np.testing.assert_allclose(function.torch(x).numpy(), by_sympy, rtol=1e-12, atol=1e-13)


@by_name
def test_symmetry(function):
    x = inside(function)
    value = function.torch(x)
    if function.symmetry == "linear":
        torch.testing.assert_close(value, x)
    for t in (0.3, 2.0):
        if function.symmetry == "power":
            scaled = t**function.degree * value
            torch.testing.assert_close(function.torch(t * x), scaled, rtol=1e-13, atol=0)
        elif function.symmetry == "log":
            torch.testing.assert_close(function.torch(t * x), value + math.log(t))
        elif function.symmetry == "exp":
            torch.testing.assert_close(function.torch(x + t), math.exp(t) * value)


@by_name
def test_parity_and_period(function):
    x = inside(function)
    value = function.torch(x)
    if function.parity != "none":
        sign = 1.0 if function.parity == "even" else -1.0
        torch.testing.assert_close(function.torch(-x), sign * value, rtol=1e-13, atol=0)
        flipped = {(-high, -low) for low, high in function.domain}
        assert flipped == set(function.domain)
    if function.period is not None:
        torch.testing.assert_close(function.torch(x + function.period), value)
        if function.antiperiodic:
            torch.testing.assert_close(function.torch(x + function.period / 2), -value)


@by_name
def test_undeclared_laws_do_not_hold(function):
    x = inside(function)
    x = x[x > 0]
    ratio = function.torch(2 * x) / function.torch(x)
    if function.symmetry == "none":
        ratio = ratio[ratio.isfinite()]
        assert ratio.std() > 1e-3
    if function.parity == "none" and function.domain == ((-math.inf, math.inf),):
        value, mirrored = function.torch(x), function.torch(-x)
        assert not torch.allclose(value, mirrored)
        assert not torch.allclose(value, -mirrored)


@by_name
@given(data=st.data())
def test_normalise_keeps_the_function_and_its_domain(function, data):
    size = st.floats(0.05, 20.0)
    sign = st.sampled_from([-1.0, 1.0])
    low, high = data.draw(st.sampled_from(function.domain))
    if math.isinf(low) and math.isinf(high):
        z = torch.linspace(data.draw(st.floats(-9, 4)), 5.0, 30, dtype=torch.float64)
    else:
        first = data.draw(st.floats(0.05, 0.9))
        distance = torch.linspace(first, 0.95, 30, dtype=torch.float64)
        if math.isinf(high):
            z = low + 3 * distance
        elif math.isinf(low):
            z = high - 3 * distance
        else:
            z = low + (high - low) * distance
    a = data.draw(sign) * data.draw(size)
    b = data.draw(sign) * data.draw(size)
    c = data.draw(sign) * data.draw(size)
    x = (z - b) / a
    before = c * function.torch(a * x + b)
    a, b, c, d = function.normalise(a, b, c)
    argument = a * x + b
    after = c * function.torch(argument) + d
    # abs, sign and cbrt are not smooth at 0, where rounding of the argument is felt.
    keep = z.abs() > 1e-2
    size = (before - d).abs().max().item() + abs(d)
    slope = (c * function.derivative(argument) * (1 + argument.abs())).abs()[keep].max().item()
    assert (before - after)[keep].abs().max() <= 1e-12 * (1 + size + slope)
    assert any(((argument > low) & (argument < high)).all() for low, high in function.domain)
    if not function.free_a:
        assert abs(a) == 1.0
    if not function.free_b:
        assert b == 0.0
    if function.parity != "none":
        assert a > 0
    if function.period is not None:
        assert -function.period / 2 < b <= function.period / 2
    # Canonical constants stay as they are.
    assert function.normalise(a, b, c) == pytest.approx((a, b, c, 0.0), abs=1e-13)


def test_normalise_leaves_extreme_factors_and_zero_slopes():
    assert get("exp").normalise(1.0, -1000.0, 1.0) == (1.0, -1000.0, 1.0, 0.0)
    assert get("x^5").normalise(1e80, 0.0, 1.0) == (1e80, 0.0, 1.0, 0.0)
    assert get("log").normalise(0.0, 2.0, 3.0) == (0.0, 2.0, 3.0, 0.0)
    assert get("x").normalise(0.0, 2.0, 3.0) == (1.0, 0.0, 0.0, 6.0)
    assert get("exp").normalise(1.0, 2.0, 0.0) == (1.0, 0.0, 0.0, 0.0)


def test_free_constants():
    free = {f.name: (f.free_a, f.free_b) for f in FUNCTIONS}
    assert free["x"] == (False, False)
    assert free["sqrt"] == free["log"] == free["1/x"] == free["abs"] == (False, True)
    assert free["exp"] == (True, False)
    assert free["sin"] == free["tanh"] == free["arcsin"] == (True, True)


def test_values_at_zero():
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for name in ("cbrt", "abs", "J0"):
        value = get(name).torch(zero)
        (slope,) = torch.autograd.grad(value, zero)
        assert value.isfinite()
        assert slope.isfinite()
        assert get(name).derivative(zero).isfinite()
    assert get("cbrt").torch(torch.tensor([-8.0, 0.0, 27.0])).tolist() == pytest.approx([-2, 0, 3])


def test_bessel_function():
    j0 = get("J0")
    x = torch.linspace(-200.0, 200.0, 4001, dtype=torch.float64)
    np.testing.assert_allclose(j0.torch(x).numpy(), scipy.special.j0(x.numpy()), atol=1e-14)
    slope = -scipy.special.j1(x.numpy())
    np.testing.assert_allclose(j0.derivative(x).numpy(), slope, atol=1e-14)
    second = torch.func.vmap(torch.func.grad(torch.func.grad(j0.torch)))(x)
    expected = -scipy.special.jvp(1, x.numpy())
    np.testing.assert_allclose(second.numpy(), expected, atol=1e-14)
    at_zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(j0.torch, at_zero)


def test_the_library_is_cheapest_at_x_and_cannot_change():
    assert min(FUNCTIONS, key=lambda f: f.cost).name == "x"
    assert sum(f.cost == get("x").cost for f in FUNCTIONS) == 1
    assert set(DEFAULT_NAMES) <= set(LIBRARY)
    with pytest.raises(TypeError):
        LIBRARY["mine"] = get("x")  # type: ignore[index]


@by_name
def test_copies_are_the_same_record(function):
    assert copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(function)) is function


def test_function_of_a_user():
    mine = SymbolicFunction("mine", torch.exp, sympy.exp, cost=3.0)
    x = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(mine.derivative(x), x.exp())
    assert torch.autograd.gradcheck(mine.derivative, x)
    assert torch.func.vmap(mine.derivative)(x.detach()).tolist() == pytest.approx([1.0, math.e])
    assert copy.deepcopy(mine) == mine
    assert pickle.loads(pickle.dumps(mine)) == mine


def test_resolve():
    mine = SymbolicFunction("mine", torch.exp, sympy.exp)
    names = [f.name for f in resolve(["asin", mine, "x**2", "x^0.5", "1/sqrt(x)", "sgn", "sqrt"])]
    assert names == ["arcsin", "mine", "x^2", "sqrt", "1/sqrt", "sign"]
    assert tuple(f.name for f in resolve(None)) == DEFAULT_NAMES
    assert resolve([mine, SymbolicFunction("mine", torch.sin, sympy.sin)]) == (mine,)
    assert get(mine) is mine


def test_messages_of_resolve():
    with pytest.raises(ValueError, match=r"lib: there is no function 'sine'.*Did you mean 'sin'"):
        resolve(["sine"])
    with pytest.raises(ValueError, match="lib is empty"):
        resolve([])
    with pytest.raises(TypeError, match=r"lib must be a list.*write \['sin'\]"):
        resolve("sin")
    with pytest.raises(TypeError, match="lib must be the name"):
        resolve([3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="fun_name: there is no function 'snh'"):
        get("snh", "fun_name")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name must be a non-empty string"),
        ({"torch": 3}, "torch must be a function"),
        ({"derivative": "cos"}, "derivative must be a function"),
        ({"cost": 0.0}, "cost must be above 0"),
        ({"symmetry": "odd"}, "symmetry must be one of"),
        ({"parity": "od"}, "Did you mean 'odd'"),
        ({"domain": ()}, "domain must be intervals"),
        ({"domain": ((1.0, 0.0),)}, "domain must be intervals"),
        ({"domain": ((0.0, 2.0), (1.0, 3.0))}, "left to right"),
        ({"period": 1.0, "domain": ((0.0, 1.0),)}, "whole line"),
        ({"antiperiodic": True}, "needs a period"),
    ],
)
def test_messages_of_the_record(fields, message):
    with pytest.raises((TypeError, ValueError), match=message):
        SymbolicFunction(**{"name": "f", "torch": torch.sin, "sympy": sympy.sin, **fields})
