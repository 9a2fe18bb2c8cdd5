"""Derivatives of networks by their inputs: against SymPy, finite differences and torch itself."""

import pytest
import sympy
import torch
from torch import nn
from torch.func import jacrev, vmap

from knotwork import KAN, MLP, derivatives

X = 2 * torch.rand(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1


def networks():
    return {
        "quintic": KAN([2, 3, 2], k=5, seed=1),
        "products": KAN([2, (1, 1), 1], k=4, residual=None, extrapolation="continue"),
        "perceptron": MLP([2, 6, 2], activation="tanh"),
        "torch's own": nn.Sequential(nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 1)).double(),
    }


def test_against_sympy():
    x, y = sympy.symbols("x y")
    formula = sympy.exp(x * y) * sympy.sin(x + 2 * y)
    found = derivatives(lambda r: (r.prod(1).exp() * torch.sin(r[:, 0] + 2 * r[:, 1]))[:, None], X)
    for row, (a, b) in enumerate(X.tolist()):
        at = {x: a, y: b}
        assert found.value[row].item() == pytest.approx(float(formula.subs(at)))
        for i, by in enumerate((x, y)):
            slope = float(sympy.diff(formula, by).subs(at))
            assert found.gradient[row, 0, i].item() == pytest.approx(slope)
            for j, again in enumerate((x, y)):
                curvature = float(sympy.diff(formula, by, again).subs(at))
                assert found.hessian[row, 0, i, j].item() == pytest.approx(curvature)


@pytest.mark.parametrize("name", networks())
def test_against_finite_differences_and_torch(name):
    model = networks()[name]
    found = derivatives(model, X)
    h = 1e-5
    for i in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[i] = h
        slope = (model(X + step) - model(X - step)) / (2 * h)
        torch.testing.assert_close(found.gradient[..., i], slope, rtol=1e-6, atol=1e-7)
        curvature = (
            derivatives(model, X + step).gradient - derivatives(model, X - step).gradient
        ) / (2 * h)
        torch.testing.assert_close(found.hessian[..., i], curvature, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.value, model(X))
    torch.testing.assert_close(found.gradient, vmap(jacrev(model))(X))
    torch.testing.assert_close(found.hessian, vmap(jacrev(jacrev(model)))(X))
    torch.testing.assert_close(found.laplacian, found.hessian[..., 0, 0] + found.hessian[..., 1, 1])


def test_laplacian_can_be_differentiated_by_the_parameters():
    model = KAN([2, 2, 1], k=5, seed=3)
    weight = model.layer(0).coefficients
    (found,) = torch.autograd.grad(derivatives(model, X).laplacian.square().sum(), weight)
    h = 1e-5
    for place in ((0, 3, 1), (1, 5, 0)):
        sums = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * h
                sums.append(float(derivatives(model, X).laplacian.square().sum()))
                weight[place] -= sign * h
        assert found[place].item() == pytest.approx((sums[0] - sums[1]) / (2 * h), rel=1e-5)


def test_what_is_no_network_of_rows_is_refused():
    with pytest.raises(ValueError, match="u must return shape \\(rows, outputs\\)"):
        derivatives(lambda x: x.sum(), X)
