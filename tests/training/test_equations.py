"""Fits to equations: solutions that are known, the Jacobian, and what is refused."""

import pytest
import torch
from torch import nn

from knotwork import KAN, MLP, Equation, derivatives, fit_equations
from knotwork.training.equations import EquationLeastSquares

T = torch.linspace(0, 2, 40, dtype=torch.float64)[:, None]
SQUARE = 2 * torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1


def oscillation(u, t):
    found = derivatives(u, t)
    return found.hessian[:, 0, 0] + 4 * found.value


def start(u, t):
    found = derivatives(u, t)
    return torch.stack([found.value[:, 0] - 1, found.gradient[:, 0, 0]], dim=1)


OSCILLATOR = [Equation(oscillation, T), Equation(start, T[:1])]


def laplace(u, x):
    return derivatives(u, x).laplacian


def value(u, x):
    return u(x)


@pytest.mark.parametrize(
    ("model", "steps"),
    [
        (KAN([1, 1], grid=8, k=5, residual=None), 6),
        (MLP([1, 8, 1], activation="tanh"), 40),
    ],
    ids=["KAN", "MLP"],
)
def test_an_oscillator(model, steps):
    history = fit_equations(model, OSCILLATOR, steps=steps)
    error = (model(T) - torch.cos(2 * T)).abs().max().item()
    assert error < 1e-3
    assert history.metric == "RMS residual"
    assert history.train_loss[-1] <= history.train_loss[0]


@pytest.mark.filterwarnings("ignore:the network has")
def test_normal_equations_are_those_of_the_objective():
    model = KAN([2, 2, 1], grid=3, k=5, seed=2)
    problem = EquationLeastSquares(
        model, [Equation(laplace, SQUARE, 0.1), Equation(value, SQUARE[:9], 2.0)]
    )
    objective, gradient, matrix = problem.normal_equations()
    assert objective == pytest.approx(problem.objective())
    origin = problem.read()
    direction = torch.randn(len(origin), generator=torch.Generator().manual_seed(1)).double()
    values = []
    for h in (1e-5, -1e-5):
        problem.write(origin + h * direction)
        values.append(problem.objective())
    assert float(gradient @ direction) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)
    problem.write(origin)
    torch.testing.assert_close(matrix, matrix.T)

    def residuals(h):
        problem.write(origin + h * direction)
        found = [
            (e.weight / len(e.points)) ** 0.5 * e.at(model, e.points) for e in problem.equations
        ]
        return torch.cat(found).detach()

    slope = (residuals(1e-5) - residuals(-1e-5)) / 2e-5
    assert float(direction @ matrix @ direction) == pytest.approx(
        float(slope.square().sum()), rel=1e-5
    )


class Decay(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = KAN([1, 1], grid=5, k=5, residual=None, grid_range=(0.0, 2.0))
        self.rate = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, t):
        return self.network(t)


def test_an_unknown_constant_is_found():
    model = Decay()
    seen = T[::4]

    def decay(u, t):
        found = derivatives(u, t)
        return found.gradient[:, 0, 0] + u.rate * found.value[:, 0]

    def measured(u, t):
        return u(t) - torch.exp(-1.7 * t)

    fit_equations(model, [Equation(decay, T), Equation(measured, seen)], steps=20)
    assert model.rate.item() == pytest.approx(1.7, abs=1e-4)


def test_callbacks_precision_and_repeats():
    steps = []
    single = KAN([1, 1], grid=8, k=5, residual=None, dtype=torch.float32)

    def stop(progress):
        steps.append(progress.step)
        return progress.step == 2

    history = fit_equations(single, OSCILLATOR, steps=9, callbacks=[stop])
    assert steps == [1, 2]
    assert history.status == "stopped by a callback"
    assert single.dtype == torch.float32
    twins = [KAN([1, 1], grid=8, k=5, residual=None) for _ in range(2)]
    for twin in twins:
        fit_equations(twin, OSCILLATOR, steps=2)
    assert torch.equal(twins[0](T), twins[1](T))


def test_few_points_are_warned_of():
    with pytest.warns(UserWarning, match="free between the points"):
        fit_equations(KAN([1, 1], k=5), [Equation(value, T[:3])], steps=1)


@pytest.mark.parametrize(
    ("equations", "error", "words"),
    [
        ([], ValueError, "equations is empty"),
        (Equation(value, T), TypeError, "put the equation in a list"),
        ([3], TypeError, "equations\\[0\\] must be an Equation"),
        ([Equation(None, T)], TypeError, "residual must be a function of \\(model, x\\)"),
        ([Equation(value, T, -1.0)], ValueError, "equations\\[0\\].weight must be above 0"),
        ([Equation(value, T.long())], TypeError, "points must be a tensor of floating-point"),
        ([Equation(value, T[:, 0])], ValueError, "points must have shape \\(rows, inputs\\)"),
        ([Equation(value, T / 0)], ValueError, "points holds numbers that are not finite"),
        ([Equation(lambda u, x: u(x).sum(), T)], ValueError, "must return a tensor of shape"),
        ([Equation(lambda u, x: x - x.mean(), T)], ValueError, "without means or sums over rows"),
        ([Equation(value, T), Equation(value, SQUARE)], ValueError, "same number of columns"),
    ],
)
def test_what_cannot_be_used_is_refused(equations, error, words):
    model = KAN([1, 1], k=5)
    before = model(T)
    with pytest.raises(error, match=words):
        fit_equations(model, equations)
    assert torch.equal(model(T), before)


def test_models_that_cannot_be_fitted_are_refused():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module"):
        fit_equations(value, OSCILLATOR)
    with pytest.raises(ValueError, match="no parameter that is free"):
        fit_equations(nn.Tanh(), OSCILLATOR)
    with pytest.raises(ValueError, match="at most 5,000"):
        fit_equations(MLP([1, 100, 100, 1]), OSCILLATOR)
    with pytest.raises(TypeError, match="put the function in a list"):
        fit_equations(KAN([1, 1]), OSCILLATOR, callbacks=print)
