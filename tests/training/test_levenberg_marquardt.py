import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from knotwork.training.levenberg_marquardt import LevenbergMarquardt, Step

Residuals = Callable[[Tensor], Tensor]


class Problem:
    """Half the sum of squared residuals, its Jacobian by autograd."""

    def __init__(self, residuals: Residuals, start: list[float]) -> None:
        self.residuals = residuals
        self.x = torch.tensor(start, dtype=torch.float64)

    def read(self) -> Tensor:
        return self.x.clone()

    def write(self, parameters: Tensor) -> None:
        self.x = parameters.clone()

    def objective(self) -> float:
        return 0.5 * float(self.residuals(self.x).square().sum())

    def normal_equations(self) -> tuple[float, Tensor, Tensor]:
        jacobian = torch.autograd.functional.jacobian(self.residuals, self.x)
        assert isinstance(jacobian, Tensor)
        residuals = self.residuals(self.x)
        return self.objective(), jacobian.T @ residuals, jacobian.T @ jacobian


def rosenbrock(x: Tensor) -> Tensor:
    return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def powell_singular(x: Tensor) -> Tensor:
    return torch.stack(
        [
            x[0] + 10 * x[1],
            math.sqrt(5) * (x[2] - x[3]),
            (x[1] - 2 * x[2]) ** 2,
            math.sqrt(10) * (x[0] - x[3]) ** 2,
        ]
    )


TIMES = torch.linspace(0, 4, 40, dtype=torch.float64)
NOISE = 0.02 * torch.sin(37 * TIMES)


def decay(x: Tensor) -> Tensor:
    return x[0] * torch.exp(-x[1] * TIMES) + x[2] - (2.5 * torch.exp(-1.3 * TIMES) + 0.5 + NOISE)


def solve(problem: Problem, steps: int) -> list[Step]:
    solver, taken = LevenbergMarquardt(problem), []
    for _ in range(steps):
        taken.append(solver.step())
        if taken[-1].stopped:
            break
    return taken


PROBLEMS = {
    "Rosenbrock": (rosenbrock, [-1.2, 1.0], 1e-8),
    "Powell singular": (powell_singular, [3.0, -1.0, 0.0, 1.0], 1e-3),
    "exponential": (decay, [1.0, 1.0, 0.0], 1e-7),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_classic_problems_end_where_scipy_ends(name: str) -> None:
    residuals, start, accuracy = PROBLEMS[name]
    problem = Problem(residuals, start)
    steps = solve(problem, 60)

    def numpy_residuals(x: np.ndarray) -> np.ndarray:
        return residuals(torch.from_numpy(x)).numpy()

    peer = least_squares(numpy_residuals, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert problem.read().numpy() == pytest.approx(peer.x, abs=accuracy)
    assert steps[-1].objective <= peer.cost * (1 + 1e-10) + 1e-16


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_step_taken_lowers_the_objective(name: str) -> None:
    residuals, start, _ = PROBLEMS[name]
    problem = Problem(residuals, start)
    before = problem.objective()
    for step in solve(problem, 60):
        if step.taken:
            assert step.objective < before
            before = step.objective
        assert step.objective == before
    assert problem.objective() == before


def test_linear_problem_takes_few_steps() -> None:
    matrix = torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    right = matrix.sum(dim=1) + 1
    problem = Problem(lambda x: matrix @ x - right, [0.0] * 5)
    solve(problem, 8)
    exact = torch.linalg.lstsq(matrix, right[:, None]).solution[:, 0]
    assert torch.allclose(problem.read(), exact, atol=1e-10)


def test_parameters_without_influence_stay() -> None:
    problem = Problem(lambda x: torch.stack([x[0] - 3, (x[0] - 3) * 2]), [0.0, 7.0])
    solve(problem, 20)
    assert float(problem.x[0]) == pytest.approx(3.0)
    assert float(problem.x[1]) == pytest.approx(7.0)


def test_scales_of_parameters_do_not_matter() -> None:
    scale = torch.tensor([10.0, 0.1], dtype=torch.float64)
    plain = Problem(rosenbrock, [-1.2, 1.0])
    scaled = Problem(lambda x: rosenbrock(x * scale), (plain.x / scale).tolist())
    for problem in (plain, scaled):
        solve(problem, 15)
    assert torch.allclose(scaled.x * scale, plain.x, atol=1e-6)


class Stuck(Problem):
    """Every trial point is worse than the start."""

    def objective(self) -> float:
        away = float((self.x - 1).abs().sum())
        return super().objective() if away == 0 else 1e9


def test_refused_steps_leave_the_parameters_unchanged() -> None:
    problem = Stuck(rosenbrock, [1.0, 1.0])
    problem.residuals = lambda x: x
    solver = LevenbergMarquardt(problem)
    damping = solver.damping
    step = solver.step()
    assert not step.taken
    assert "converged" in step.stopped
    assert torch.equal(problem.read(), torch.ones(2, dtype=torch.float64))
    assert solver.refused > 0
    assert solver.damping > damping


def test_steps_to_values_that_are_not_finite_are_refused() -> None:
    problem = Problem(lambda x: torch.stack([x[0].log() - 1, 3 * x[1]]), [20.0, 1.0])
    solver = LevenbergMarquardt(problem)
    step = solver.step()
    assert step.taken
    assert solver.refused > 0
    assert math.isfinite(problem.objective())
    solve(problem, 30)
    assert float(problem.x[0]) == pytest.approx(math.e)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_objective_that_is_not_finite_is_reported(value: float) -> None:
    problem = Problem(lambda x: torch.stack([x[0] * value, x[1]]), [1.0, 1.0])
    step = LevenbergMarquardt(problem).step()
    assert not step.taken
    assert "not finite" in step.stopped
    assert torch.equal(problem.read(), torch.ones(2, dtype=torch.float64))


def test_matrix_that_is_not_finite_is_reported() -> None:
    class Broken(Problem):
        def normal_equations(self) -> tuple[float, Tensor, Tensor]:
            objective, gradient, matrix = super().normal_equations()
            matrix[0, 0] = math.nan
            return objective, gradient, matrix

    problem = Broken(rosenbrock, [-1.2, 1.0])
    step = LevenbergMarquardt(problem).step()
    assert not step.taken
    assert step.stopped
    assert problem.read().tolist() == [-1.2, 1.0]


def test_solution_is_recognised() -> None:
    step = LevenbergMarquardt(Problem(rosenbrock, [1.0, 1.0])).step()
    assert not step.taken
    assert step.stopped.startswith("converged")
