r"""Fitting a network to equations: differential ones with their boundary values, and others.

What is minimised is half a weighted mean of squared residuals,

.. math:: F(\theta) = \frac{1}{2} \sum_e \frac{w_e}{n_e} \sum_{n=1}^{n_e} |r_e(u_\theta, x_n)|^2 ,

by Levenberg-Marquardt.  A point's residual depends on no other point, so the Jacobian is formed
row by row, by torch.func, at the cost of a few gradients of the loss.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .._checks import check_integer, check_number
from .._threads import one_thread
from ..network import KAN
from .batches import CHUNK_ROWS, block_rows
from .course import Callback, Course
from .dense import ModuleParameters
from .grids import follow_data, lenient_extrapolation
from .history import History
from .keeper import Evaluation, copy_of_state
from .methods import Method
from .options import MOST_SECOND_ORDER_PARAMETERS
from .second_order import DenseLevenbergMarquardt
from .start import is_fresh

# Entries of a Jacobian below which a second thread costs more than it gains: what forms it are
# many small operations.
_SMALL_JACOBIAN = 5_000_000
# Steps between looks at whether the knots still fit, and the share of the steps with such looks.
_GRID_STEPS = 4
_GRID_SHARE = 0.5
# How many times as large the objective may be once the knots have moved.
_MOST_RISE = 2.0


@dataclass(frozen=True)
class Equation:
    """Something that is to be zero at every one of some points.

    Attributes
    ----------
    residual : callable
        ``residual(model, x)`` takes rows of points, shape (rows, inputs), and returns what is to be
        zero there, shape (rows,) or (rows, values): written with torch, and so that no row depends
        on another.  `knotwork.derivatives` gives derivatives of the model.  Parameters that the
        model has beside its network, unknown constants for one, are fitted with it.
    points : Tensor of shape (rows, inputs)
        Where the equation holds.
    weight : float
        What the equation's mean square is multiplied by.
    """

    residual: Callable[[nn.Module, Tensor], Tensor]
    points: Tensor
    weight: float = 1.0

    def at(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return the residuals at rows x, shape (rows, values)."""
        found = self.residual(model, x)
        return found[:, None] if found.dim() == 1 else found

    def blocks(self, rows: int) -> Iterator[Tensor]:
        """Go through the points, at most so many at once."""
        return iter(self.points.split(rows))


def fit_equations(
    model: nn.Module,
    equations: Sequence[Equation],
    *,
    steps: int = 50,
    update_grid: bool = True,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
) -> History:
    """Fit a network to equations by Levenberg-Marquardt, in place.

    The network never ends worse than it started.  For a `KAN`, splines of order 4 or 5 are right
    where second derivatives occur: those of cubic ones have corners, which the fit gets stuck at.
    With ``extrapolation="continue"`` and ``residual=None`` there are no corners at all.

    Parameters
    ----------
    model : nn.Module
        A `KAN`, an `MLP` or any other module of at most 5,000 parameters.
    equations : sequence of Equation
        Their points are the data.
    steps : int
        Number of steps at the most.
    update_grid : bool
        `KAN` only: start an untrained network on the scale of the points, and let the knots follow
        what reaches them during the first half of the fit.
    callbacks : sequence of callables
        Each is called with a `Progress` after every step; one that returns True stops the fit.
    progress : bool, optional
        As in `fit`.

    Returns
    -------
    History
        Its `train_loss` is the root of the weighted sum of the equations' mean squares.

    Raises
    ------
    TypeError, ValueError
        If an argument is not usable, or a row's residual depends on other rows, before anything is
        changed.
    FloatingPointError
        If a residual is not finite at the start.

    Examples
    --------
    The equation u' = u with u(0) = 1, from 0 to 1:

    >>> from knotwork import KAN, Equation, derivatives, fit_equations
    >>> def growth(u, x):
    ...     found = derivatives(u, x)
    ...     return found.gradient[:, 0, 0] - found.value[:, 0]
    >>> def start(u, x):
    ...     return u(x) - 1
    >>> points = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None]
    >>> model = KAN([1, 1], grid=3, k=5, residual=None)
    >>> history = fit_equations(model, [Equation(growth, points), Equation(start, points[:1])])
    >>> torch.allclose(model(points).detach(), points.exp(), rtol=0, atol=1e-5)
    True
    """
    steps = check_integer(steps, "steps", low=0)
    if callable(callbacks):
        raise TypeError("callbacks must be a list of functions: put the function in a list.")
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks must be functions of a Progress; got {callback!r}.")
    equations = _check_equations(equations)
    like = _check_model(model)

    # Least squares is solved in float64 whatever the network's own precision.
    work = model if like.dtype == torch.float64 else copy.deepcopy(model).double()
    double = [
        Equation(e.residual, e.points.to(like.device, torch.float64), e.weight) for e in equations
    ]
    with lenient_extrapolation(work):
        numbers = _count_residuals(work, double)
        problem = EquationLeastSquares(work, double)
        if numbers < problem.size:
            warnings.warn(
                f"the network has {problem.size} parameters but the equations only {numbers} "
                "residuals, so it is free between the points: give more points, or use a smaller "
                "grid or width.",
                UserWarning,
                stacklevel=2,
            )
        try:
            with one_thread(numbers * problem.size <= _SMALL_JACOBIAN):
                course = _EquationCourse(problem, steps, update_grid)
                history = course.run(callbacks, progress)
        finally:
            if work is not model:
                model.load_state_dict(work.state_dict())
    if isinstance(model, KAN):
        model.fresh = False
    return history


class EquationLeastSquares(ModuleParameters):
    """Half the weighted sum of the equations' mean squares, for `LevenbergMarquardt`.

    Parameters
    ----------
    model : nn.Module, float64
    equations : sequence of Equation, their points float64
    """

    def __init__(self, model: nn.Module, equations: Sequence[Equation]) -> None:
        super().__init__(model)
        self.equations = equations

    @torch.no_grad()
    def objective(self) -> float:
        """Evaluate the objective."""
        total = 0.0
        for equation in self.equations:
            squares = sum(
                float(equation.at(self.model, x).square().sum())
                for x in equation.blocks(CHUNK_ROWS)
            )
            total += equation.weight / len(equation.points) * squares
        return 0.5 * total

    def normal_equations(self) -> tuple[float, Tensor, Tensor]:
        """Return the objective, its gradient and the Gauss-Newton matrix."""
        like = self.read()
        matrix, gradient = like.new_zeros(self.size, self.size), torch.zeros_like(like)
        total = 0.0
        for equation in self.equations:
            scale = equation.weight / len(equation.points)
            for x in equation.blocks(block_rows(self.size)):
                residual, jacobian = self.jacobian(equation.at, x)
                residual, jacobian = residual.flatten(), jacobian.flatten(0, 1)
                total += scale * float(residual @ residual)
                gradient += scale * (jacobian.T @ residual)
                matrix += scale * (jacobian.T @ jacobian)
        return 0.5 * total, gradient, matrix


class _EquationCourse(Course):
    """One fit to equations under way."""

    def __init__(self, problem: EquationLeastSquares, steps: int, update_grid: bool) -> None:
        super().__init__(problem.model, steps, metric="RMS residual", report=math.sqrt)
        self._problem = problem
        self._grid_model = None
        if update_grid and isinstance(problem.model, KAN):
            self._grid_model = problem.model
        self._points = torch.cat([equation.points for equation in problem.equations])

    def _method(self) -> Method:
        # The objective costs a fraction of the Jacobian, so refusals are cheap.
        return DenseLevenbergMarquardt(self._problem, bold=True)

    def _evaluate(self, method: Method | None = None) -> Evaluation:
        loss = 2 * self._problem.objective()
        return Evaluation(loss, math.nan, 0.0, loss, loss)

    def _start(self) -> None:
        """Bring an untrained network to the scale of the points."""
        if self._grid_model is not None and is_fresh(self._grid_model):
            self._grid_model.restart(self._points)

    def _follow(self, step: int) -> bool:
        """Move the knots to what reaches them, if they no longer fit it."""
        if self._grid_model is None or step % _GRID_STEPS or step > self.steps * _GRID_SHARE:
            return False
        before, state = self._problem.objective(), copy_of_state(self._grid_model)
        if not follow_data(self._grid_model, self._points):
            return False
        if self._problem.objective() <= _MOST_RISE * before:
            return True
        # Where no point lies a spline may be anything, and cost its re-fit accuracy elsewhere.
        self._grid_model.load_state_dict(state)
        return False


def _check_model(model: nn.Module) -> Tensor:
    """Return one of the model's free parameters, or raise if it has none or too many."""
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"model must be an nn.Module; got {type(model).__name__}.")
    free = [p for p in model.parameters() if p.requires_grad]
    count = sum(p.numel() for p in free)
    if not count:
        raise ValueError("model has no parameter that is free, so there is nothing to fit.")
    if count > MOST_SECOND_ORDER_PARAMETERS:
        raise ValueError(
            f"model has {count:,} parameters; Levenberg-Marquardt solves for at most "
            f"{MOST_SECOND_ORDER_PARAMETERS:,}: use a smaller network, or minimise the residuals' "
            "mean square with an optimiser of torch."
        )
    return free[0]


def _check_equations(equations: Sequence[Equation]) -> list[Equation]:
    if isinstance(equations, Equation):
        raise TypeError("equations must be a list of Equation: put the equation in a list.")
    found = list(equations)
    if not found:
        raise ValueError("equations is empty, so there is nothing to solve.")
    for place, equation in enumerate(found):
        name = f"equations[{place}]"
        if not isinstance(equation, Equation):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name} must be an Equation; got {type(equation).__name__}.")
        if not callable(equation.residual):
            raise TypeError(
                f"{name}.residual must be a function of (model, x); got {equation.residual!r}."
            )
        check_number(equation.weight, f"{name}.weight", low=0, strict=True)
        points = equation.points
        if not isinstance(points, Tensor) or not points.is_floating_point():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"{name}.points must be a tensor of floating-point numbers: use "
                "torch.as_tensor(points, dtype=torch.float64)."
            )
        if points.dim() != 2 or not len(points):
            raise ValueError(
                f"{name}.points must have shape (rows, inputs) with at least one row; got "
                f"{tuple(points.shape)}."
            )
        if not bool(points.isfinite().all()):
            raise ValueError(f"{name}.points holds numbers that are not finite: drop those rows.")
    if len({equation.points.shape[1] for equation in found}) > 1:
        raise ValueError("equations: all points must have the same number of columns.")
    return found


@torch.no_grad()
def _count_residuals(model: nn.Module, equations: Sequence[Equation]) -> int:
    """Return how many residuals there are; raise unless they come row by row."""
    numbers = 0
    for place, equation in enumerate(equations):
        x = equation.points[:CHUNK_ROWS]
        found = equation.residual(model, x)
        if not isinstance(found, Tensor) or found.dim() not in (1, 2) or len(found) != len(x):  # pyright: ignore[reportUnnecessaryIsInstance]
            came = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(
                f"equations[{place}].residual must return a tensor of shape ({len(x)},) or "
                f"({len(x)}, values) for {len(x)} points; it returned {came}."
            )
        alone = equation.residual(model, x[-1:])
        if not torch.allclose(alone[0], found[-1], rtol=1e-6, atol=1e-9, equal_nan=True):
            raise ValueError(
                f"equations[{place}].residual gives the last point another residual alone than "
                "among all points: compute every row from its own point, without means or sums "
                "over rows."
            )
        numbers += len(equation.points) * (found.shape[1] if found.dim() == 2 else 1)
    return numbers
