"""Trained networks as oracles: smooth stand-ins for the unknown function, with gradients.

A KAN with two hidden layers is fitted to the target or to its logarithm, from a few starts, and
judged on rows held out. Its values and gradients then answer questions that rows alone do not:
whether inputs matter, come apart, or act only in a certain combination.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from .._threads import one_thread
from ..data import Samples
from ..network import KAN
from ..training.polish import polish
from .clock import Clock, OutOfTime
from .sampling import evenly, robust_spread
from .weighted import Rows, mean_of, median_of, root_mean_square, spread_of
from .workers import in_workers

__all__ = ["Surrogate", "fit_surrogate"]

Array = NDArray[np.float64]

_HIDDEN = (4, 2)
_GRID = 4
_STEPS = 40
_SLICE = 5
# Seconds of search before worker processes are worth their start.
_PATIENCE = 4.0
_ROWS = 1200
_HELD_OUT = 5
# A start this good needs no other beside it.
_GOOD = 1e-3
# The largest target beside the typical one from which on it is stretched.
_DECADES = 10.0
# Of a number that is still finite.
_LARGEST_EXPONENT = 700.0

Kind = Literal["plain", "logarithm", "stretched"]


@dataclass(frozen=True)
class Surrogate:
    """A network fitted to standardised columns.

    Attributes
    ----------
    model : KAN
    kind : Kind
        What the network was fitted to.
    error : float
        Median absolute error on held-out rows, relative to the spread of what it stands for, both
        measured by medians: a few huge targets must not make a poor fit look good.
    rmse : float
        Root mean squared error of y itself on held-out rows, relative to its standard deviation.
    spread : float
        Of y or log|y|.
    """

    model: KAN
    kind: Kind
    error: float
    rmse: float
    centre: Array
    scale: Array
    offset: float
    reach: float
    spread: float
    unit: float = 1.0
    sign: float = 1.0

    @property
    def logarithm(self) -> bool:
        """Whether it stands for log|y| instead of y."""
        return self.kind == "logarithm"

    def values(self, X: Array) -> Array:
        """Return the values of y or log|y| that the network gives, shape (rows,)."""
        with torch.no_grad(), one_thread():
            inputs = torch.from_numpy((X - self.centre) / self.scale)
            values = self.model(inputs)[:, 0].numpy() * self.reach + self.offset
        return _unstretched(values, self.unit) if self.kind == "stretched" else values

    def of_logarithm(self) -> Surrogate:
        """Return the network of log|y| as one of a target that is this logarithm."""
        return replace(self, kind="plain", rmse=self.error)

    def predictions(self, X: Array) -> Array:
        """Return predictions of y itself, the sign of a logarithm being that of all targets."""
        values = self.values(X)
        return _exponential(values, self.sign) if self.logarithm else values

    def values_and_gradients(self, X: Array) -> tuple[Array, Array]:
        """Return values, shape (rows,), and their derivatives by the inputs, (rows, inputs)."""
        with one_thread():
            inputs = torch.from_numpy((X - self.centre) / self.scale).requires_grad_()
            values = self.model(inputs)[:, 0]
            (gradients,) = torch.autograd.grad(values.sum(), inputs)
        found = values.detach().numpy() * self.reach + self.offset
        slopes = gradients.numpy() * self.reach / self.scale
        if self.kind == "stretched":
            slopes = slopes * (self.unit * np.cosh(found))[:, None]
            found = _unstretched(found, self.unit)
        return found, slopes


def fit_surrogate(
    X: Array,
    y: Array,
    weights: Array | None = None,
    *,
    starts: int = 2,
    seed: int = 0,
    clock: Clock,
    hidden: tuple[int, ...] = _HIDDEN,
    good: float = _GOOD,
    hopeless: float = np.inf,
    n_jobs: int | None = None,
    logarithms: bool = True,
    unfinished: bool = False,
) -> list[Surrogate]:
    """Fit networks to y and to its logarithm or the like; return the best of each, best first.

    The logarithm is that of |y| where y has one sign. Where it has both and spans decades, it is
    ``arsinh(y / typical |y|)``, a logarithm to either side of 0.

    Parameters
    ----------
    X, y : arrays of shape (rows, inputs) and (rows,)
    weights : array of shape (rows,), optional
        Of the rows, in the fit and in what is said of errors.
    starts : int
        Random starts for each.
    seed : int
    clock : Clock
        Checked every few steps.
    hidden : tuple of int
        Hidden widths.
    good : float
        A kind of target fitted with this median error gets no more starts.
    hopeless : float
        With an error above this after the first start there are no more.
    n_jobs : int, optional
        Worker processes, through joblib; the result does not depend on it.
    logarithms : bool
        Whether to try log|y| too.
    unfinished : bool
        Whether networks that the clock stops in their training are better than none.

    Raises
    ------
    OutOfTime
        If the clock runs out, unless unfinished networks are wanted.
    """
    rows = Rows(X, y, weights).take(evenly(len(y), _ROWS))
    y = rows.y
    held_out = np.arange(len(y)) % _HELD_OUT == _HELD_OUT - 1
    held_out[-1] |= not held_out.any()
    best: dict[Kind, Surrogate] = {}
    kinds: list[Kind] = ["plain"]
    if logarithms and (y.min() > 0 or y.max() < 0):
        kinds.append("logarithm")
    elif logarithms and float(np.abs(y).max()) > _DECADES * _typical(y):
        kinds.append("stretched")
    for start in range(starts):
        wanted: list[Kind] = [
            kind for kind in kinds if kind not in best or best[kind].error >= good
        ]
        settings: list[tuple[Any, ...]] = [
            (rows, held_out, kind, seed + start, clock.left, hidden, unfinished) for kind in wanted
        ]
        # Worker processes take seconds to start: not for searches that may be over by then.
        if n_jobs in (None, 1) or clock.elapsed < _PATIENCE or len(wanted) < 2:
            results = [_fit_one(*setting) for setting in settings]
        else:
            results = in_workers(_fit_one, settings, n_jobs)
        for kind, found in zip(wanted, results, strict=True):
            if found is None:
                raise OutOfTime
            if kind not in best or found.error < best[kind].error:
                best[kind] = found
        if not best or min(surrogate.error for surrogate in best.values()) > hopeless:
            break
    return sorted(best.values(), key=lambda surrogate: surrogate.error)


def _fit_one(
    rows: Rows,
    held_out: NDArray[np.bool_],
    kind: Kind,
    seed: int,
    seconds: float,
    hidden: tuple[int, ...],
    unfinished: bool,
) -> Surrogate | None:
    """Fit one network; None if the seconds were not enough and it must be finished."""
    clock = Clock(seconds)
    X, y, weights = rows
    unit = _typical(y)
    target = y
    if kind == "logarithm":
        target = np.log(np.abs(y))
    elif kind == "stretched":
        target = np.arcsinh(y / unit)
    centre, scale = X.mean(0), X.std(0)
    scale[scale == 0] = 1.0
    offset, spread = mean_of(target, weights), spread_of(target, weights) or 1.0
    inputs = torch.from_numpy((X - centre) / scale)
    targets = torch.from_numpy((target - offset) / spread)[:, None]
    train = torch.from_numpy(~held_out)
    count = int(train.sum())
    # A few rows to a parameter at the least, else a smaller network.
    while len(hidden) > 1 and 7 * (X.shape[1] * hidden[0] + hidden[0] * hidden[1]) > count:
        hidden = (max(1, hidden[0] - 1), *hidden[1:]) if hidden[0] > 2 else hidden[1:]
    model = KAN([X.shape[1], *hidden, 1], grid=_GRID if count > 200 else 2, seed=seed)
    counted = None if weights is None else torch.from_numpy(weights)
    samples = Samples(inputs, targets, counted).take(train)
    with one_thread():
        model.restart(samples.inputs, seed)
        for _ in range(0, _STEPS, _SLICE):
            if clock.left == 0:
                if unfinished:
                    break
                return None
            polish(model, samples, _SLICE)
        with torch.no_grad():
            errors = (model(inputs) - targets)[:, 0].numpy()[held_out]
            values = (errors + targets[:, 0].numpy()[held_out]) * spread + offset
    if kind == "logarithm":
        values = _exponential(values, float(np.sign(y[0])))
    elif kind == "stretched":
        values = _unstretched(values, unit)
    held = None if weights is None else weights[held_out]
    with np.errstate(over="ignore"):
        rmse = root_mean_square(values - y[held_out], held) / (spread_of(y, weights) or 1.0)
    standard = targets[:, 0].numpy()
    error = median_of(np.abs(errors), held) / robust_spread(standard, weights)
    return Surrogate(
        model,
        kind,
        error,
        rmse,
        centre,
        scale,
        offset,
        reach=spread,
        spread=robust_spread(y, weights) if kind == "stretched" else spread,
        unit=unit,
        sign=float(np.sign(y[0])),
    )


def _exponential(logarithms: Array, sign: float) -> Array:
    return sign * np.exp(np.minimum(logarithms, _LARGEST_EXPONENT))


def _unstretched(values: Array, unit: float) -> Array:
    return unit * np.sinh(np.clip(values, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def _typical(y: Array) -> float:
    return float(np.median(np.abs(y))) or 1.0
