"""The fit loop: start, step, follow the data with the grids, record, keep the best."""

from __future__ import annotations

import copy
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from .._checks import check_choice, check_integer, check_number
from .._threads import SMALL_WORK, one_thread
from ..data import Dataset, Samples, as_dataset
from ..network import KAN
from .batches import CHUNK_ROWS, Batches, LoaderBatches, TensorBatches
from .dense import DenseLeastSquares
from .grids import grid_misfits
from .history import History
from .losses import Loss, resolve_loss, target_variance, total_weight
from .methods import (
    STATISTICS_ROWS,
    AdamMethod,
    DenseLevenbergMarquardt,
    FirstOrderObjective,
    LevenbergMarquardtMethod,
    Method,
    QuasiNewtonMethod,
    parameter_count,
)
from .penalties import PenaltyWeights, sparsity_measure, sparsity_penalty
from .start import is_fresh, start_on_data

OPTIMIZERS = ("LM", "LBFGS", "Adam")
# Beyond this many parameters a Cholesky solve costs more than it gains.
MOST_SECOND_ORDER_PARAMETERS = 5000
_DEFAULT_STEPS = {"LM": 50, "LBFGS": 20, "Adam": 1000}
_DEFAULT_RATES = {"LBFGS": 1.0, "Adam": 1e-3}
# Up to this many parameters several starts cost next to nothing.
_MANY_STARTS_PARAMETERS = 1000
# The grid follows the data until this share of the steps is done, so that the rest can settle.
_GRID_SHARE = 0.5
_MOST_GRID_STEPS = 50
# While smoothness is chosen from the data, the training loss may rise by this factor.
_SMOOTHING_SLACK = 1.5


@dataclass(frozen=True)
class Progress:
    """What a callback is given after every recorded step.

    Attributes
    ----------
    model : nn.Module
    history : History
        With this step already recorded.
    step, steps : int
        The step just done and the number asked for.
    """

    model: nn.Module
    history: History
    step: int
    steps: int


Callback = Callable[[Progress], bool | None]


def fit(
    model: nn.Module,
    data: Any,
    *,
    opt: str | None = None,
    steps: int | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] = "mse",
    weights: Any = None,
    lamb: float = 0.0,
    lamb_l1: float = 1.0,
    lamb_entropy: float = 2.0,
    lamb_coef: float = 0.0,
    lamb_coefdiff: float = 0.0,
    smoothness: float | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    update_grid: bool = True,
    starts: int | None = None,
    patience: int | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    seed: int = 0,
) -> History:
    """Fit a network to data, in place.

    The network never ends worse than it started: the best parameters met are kept, and a step to
    values that are not finite is refused.

    Parameters
    ----------
    model : nn.Module
        A `KAN`, an `MLP`, or any module that maps (rows, inputs) to (rows, outputs) and has the
        attributes ``input_count`` and ``output_count``.
    data : dict, (X, y), Dataset or DataLoader
        The dict of `create_dataset`; a pair of tensors, arrays, frames or lists, X of shape
        (rows, inputs) and y of shape (rows,) or (rows, outputs); or a DataLoader over (X, y) or
        (X, y, weights), of any length: no more than a batch of it is held at once.
    opt : {"LM", "LBFGS", "Adam"}, optional
        Levenberg-Marquardt, the default while the loss is "mse" and parameters are at most 5,000;
        L-BFGS with a strong Wolfe line search (a step is up to 20 iterations), the default
        beyond; or Adam (a step is one mini-batch).
    steps : int, optional
        Number of steps at the most; 50 for LM, 20 for L-BFGS, 1,000 for Adam.
    loss : str or callable
        "mse", "huber", "cross_entropy" (y holds class labels 0, 1, ...), or a function of
        (prediction, target) that returns the loss of each row, or their mean.  All but "mse" need
        L-BFGS or Adam.
    weights : array of shape (rows,), optional
        Weight of every training row.
    lamb : float
        Strength of the sparsity penalty, relative to the targets' variance.  With LM it is the
        adaptive count of edges; with L-BFGS and Adam the L1 and entropy penalty of the KAN paper,
        whose terms `lamb_l1`, `lamb_entropy`, `lamb_coef` and `lamb_coefdiff` weigh.
    smoothness : float, optional
        LM only: strength of a penalty on the roughness of the splines.  By default generalised
        cross-validation chooses it (unless `lamb` is given), so that neither fine grids nor noise
        are followed where the data does not support it; 0 switches it off.
    lr : float, optional
        Step length of L-BFGS (1) or Adam (0.001).
    batch_size : int, optional
        Rows of a mini-batch; Adam only, by default 256 or all there are.
    update_grid : bool
        Let the knots follow the data during the first half of the fit, and start an untrained
        network on the data's own scale.
    starts : int, optional
        LM only: how many random starts of an untrained network to try for a few steps, the best of
        which goes on; by default 4 for up to 1,000 parameters, else 1.  Needs `update_grid`.
    patience : int, optional
        Stop when the test loss has not improved for this many recorded steps, and keep the
        parameters that had the best test loss.
    callbacks : sequence of callables
        Each is called with a `Progress` after every recorded step; one that returns True stops
        the fit.
    progress : bool, optional
        Show a progress bar on standard error; by default only if that is a terminal and the fit
        takes longer than a second.
    seed : int
        Order of Adam's mini-batches.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument or the data is not usable, before anything is changed.
    """
    record = resolve_loss(loss)
    method_name = _choose_method(model, opt, record)
    steps = _DEFAULT_STEPS[method_name] if steps is None else steps
    steps = check_integer(steps, "steps", low=0)
    terms = {
        "lamb": lamb,
        "l1": lamb_l1,
        "entropy": lamb_entropy,
        "coefficients": lamb_coef,
        "differences": lamb_coefdiff,
    }
    if smoothness is not None:
        terms["smoothness"] = smoothness
    names = {"l1": "lamb_l1", "entropy": "lamb_entropy", "coefficients": "lamb_coef"}
    names["differences"] = "lamb_coefdiff"
    checked = {
        term: check_number(value, names.get(term, term), low=0) for term, value in terms.items()
    }
    penalty = PenaltyWeights(**{"smoothness": None, **checked})
    if smoothness and method_name != "LM":
        raise ValueError("smoothness works with opt='LM' only; use lamb_coefdiff with the others.")
    if lamb and not isinstance(model, KAN):
        raise ValueError("lamb penalises the edges of a KAN; this model has none: use lamb=0.")
    rate = _DEFAULT_RATES.get(method_name, 1.0) if lr is None else lr
    rate = check_number(rate, "lr", low=0, strict=True)
    if batch_size is not None:
        batch_size = check_integer(batch_size, "batch_size", low=1)
        if method_name != "Adam":
            raise ValueError(
                f"batch_size needs opt='Adam'; {method_name} uses all rows in every step."
            )
    few = method_name == "LM" and parameter_count(model) <= _MANY_STARTS_PARAMETERS
    starts = check_integer((4 if few else 1) if starts is None else starts, "starts", low=1)
    if patience is not None:
        patience = check_integer(patience, "patience", low=1)
    dataset, batches = _batches(model, data, weights, record, batch_size, method_name)
    if patience is not None and (dataset is None or dataset.test is None):
        raise ValueError("patience needs test rows: give data with test_input and test_label.")
    _warn_if_few_rows(model, dataset)

    # Least squares is solved in float64 whatever the network's own precision.
    work = model
    if method_name == "LM" and model.dtype != torch.float64:
        work = _in_double(model)
        batches = _in_double_batches(batches)
    loop = _Loop(work, dataset, batches, record, penalty, method_name, rate, seed)
    show = sys.stderr.isatty() if progress is None else progress
    with one_thread(_is_small(work, loop.sample)):
        history = loop.run(
            steps, update_grid, starts, patience, callbacks, show, delay=progress is None
        )
    if work is not model:
        model.load_state_dict(work.state_dict())
    if isinstance(model, KAN):
        model.fresh = False
        if dataset is not None:
            model.dataset = dataset
            model.input_names = dataset.input_names or model.input_names
            model.output_names = dataset.target_names or model.output_names
    return history


def _choose_method(model: nn.Module, opt: str | None, loss: Loss) -> str:
    for attribute in ("input_count", "output_count"):
        if not hasattr(model, attribute):
            raise TypeError(
                f"model must have the attribute {attribute} so that data can be checked against "
                f"it; {type(model).__name__} has none."
            )
    if opt is None:
        small = parameter_count(model) <= MOST_SECOND_ORDER_PARAMETERS
        return "LM" if loss.name == "mse" and small else "LBFGS"
    name = check_choice(opt, "opt", OPTIMIZERS)
    if name == "LM" and loss.name != "mse":
        raise ValueError(
            f"opt='LM' solves least squares, so it needs loss='mse'; got loss={loss.name!r}: use "
            "opt='LBFGS' or 'Adam'."
        )
    return name


def _batches(
    model: Any, data: Any, weights: Any, loss: Loss, batch_size: int | None, method: str
) -> tuple[Dataset | None, Batches]:
    options: dict[str, Any] = {
        "inputs": model.input_count,
        "outputs": model.output_count,
        "dtype": model.dtype,
        "device": model.device,
        "classes": loss.classes,
    }
    if isinstance(data, DataLoader):
        if weights is not None:
            raise ValueError("weights: with a DataLoader let its batches be (X, y, weights).")
        if batch_size is not None:
            raise ValueError("batch_size: a DataLoader has its own; leave this one out.")
        return None, LoaderBatches(data, **options)
    dataset = as_dataset(data, weights=weights, **options)
    rows = CHUNK_ROWS
    if method == "Adam":
        rows = min(len(dataset.train), batch_size or 256)
    return dataset, TensorBatches(dataset.train, rows)


def _warn_if_few_rows(model: nn.Module, dataset: Dataset | None) -> None:
    if dataset is None or not isinstance(model, KAN):
        return
    rows, free = len(dataset.train) * model.output_count, model.parameter_count()
    if rows < free:
        warnings.warn(
            f"the network has {free} parameters but the data only {rows} numbers to fit, so it "
            "can follow noise: use a smaller grid or width, or a penalty (lamb, smoothness).",
            UserWarning,
            stacklevel=4,
        )


def _is_small(model: nn.Module, sample: Samples) -> bool:
    return len(sample) * sum(p.numel() for p in model.parameters()) <= SMALL_WORK


def _in_double(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).double()


def _in_double_batches(batches: Batches) -> Batches:
    if isinstance(batches, TensorBatches):
        return TensorBatches(batches.samples.to(torch.float64))
    assert isinstance(batches, LoaderBatches)
    return batches.double()


class _Loop:
    """One fit under way."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset | None,
        batches: Batches,
        loss: Loss,
        penalty: PenaltyWeights,
        method_name: str,
        rate: float,
        seed: int,
    ) -> None:
        self.model = model
        self.batches = batches
        self.loss = loss
        self.penalty = penalty
        self.sample = batches.sample(STATISTICS_ROWS)
        self.variance = target_variance(self.sample, loss)
        self.test = None
        if dataset is not None and dataset.test is not None:
            self.test = TensorBatches(dataset.test.to(self.sample.inputs.dtype))
        self.method_name = method_name
        self._rate, self._seed = rate, seed
        self.history = History(metric=loss.metric)

    def _method(self) -> Method:
        if self.method_name == "LM" and isinstance(self.model, KAN):
            return LevenbergMarquardtMethod(self.model, self.batches, self.variance, self.penalty)
        if self.method_name == "LM":
            return DenseLevenbergMarquardt(
                DenseLeastSquares(self.model, self.batches, self.variance)
            )
        objective = FirstOrderObjective(
            self.model, self.batches, self.loss, self.variance, self.penalty
        )
        if self.method_name == "LBFGS":
            return QuasiNewtonMethod(objective, self._rate)
        generator = torch.Generator().manual_seed(self._seed)
        return AdamMethod(objective, self._rate, generator)

    def run(
        self,
        steps: int,
        update_grid: bool,
        starts: int,
        patience: int | None,
        callbacks: Sequence[Callback],
        show: bool,
        delay: bool,
    ) -> History:
        history, began = self.history, time.perf_counter()
        every = _record_every(self.method_name, steps, self.batches)
        first = self._evaluate()
        if not math.isfinite(first.objective):
            raise FloatingPointError(
                "the loss is not finite at the start: check the network's parameters and that the "
                "inputs lie where its functions are defined."
            )
        best, best_state = first, self._state()
        if update_grid and isinstance(self.model, KAN) and is_fresh(self.model):
            tries = starts if self.method_name == "LM" else 1
            start_on_data(self.model, self.sample, self.loss, tries)
            started = self._evaluate()
            # A start drawn on the data's scale counts as the start.
            if math.isfinite(started.objective):
                first, best, best_state = started, started, self._state()
            else:
                self._restore(best_state)
        first_state = best_state
        self._record(0, first, began)
        method = self._method()
        idle = 0
        history.status = "all steps done"
        with tqdm(
            total=steps, disable=not show, delay=1.0 if delay else 0.0, leave=False, unit="step"
        ) as bar:
            for step in range(1, steps + 1):
                if update_grid and self._follow(step, steps, every):
                    method.reset()
                stopped = method.step()
                bar.update()
                if step % every and step != steps and not stopped:
                    continue
                now = self._evaluate()
                self._record(step, now, began)
                bar.set_postfix_str(f"{history.metric} {history.train_loss[-1]:.3g}", refresh=False)
                # Smoothing gives up a little of the training loss for what lies between the rows.
                slack = _SMOOTHING_SLACK if method.smooths and patience is None else 1.0
                better = now.judged(patience) < best.judged(patience) * slack
                idle = 0 if better else idle + 1
                if better:
                    best, best_state, history.best_step = now, self._state(), step
                if self._asked_to_stop(callbacks, step, steps):
                    history.status = "stopped by a callback"
                    break
                if patience is not None and idle >= patience:
                    history.status = f"stopped early: no better test loss for {patience} records"
                    break
                if stopped:
                    history.status = stopped
                    break
        if first.objective < best.objective:
            best_state, history.best_step = first_state, 0
        self._restore(best_state)
        history.refused = method.refused
        return history

    def _asked_to_stop(self, callbacks: Sequence[Callback], step: int, steps: int) -> bool:
        progress = Progress(self.model, self.history, step, steps)
        return any([callback(progress) is True for callback in callbacks])

    def _follow(self, step: int, steps: int, every: int) -> bool:
        """Move the knots to the data if they no longer fit it; tell whether they moved."""
        model = self.model
        interval = every if self.method_name == "Adam" else 4 if self.method_name == "LM" else 2
        last = min(_MOST_GRID_STEPS * every, int(steps * _GRID_SHARE))
        if not isinstance(model, KAN) or step % interval or step > last:
            return False
        if not grid_misfits(model, self.sample.inputs):
            return False
        model.update_grid(self.sample.inputs)
        return True

    def _evaluate(self) -> _Evaluation:
        train = self._mean_loss(self.batches)
        test = math.nan if self.test is None else self._mean_loss(self.test)
        penalty = 0.0
        if self.penalty.lamb and isinstance(self.model, KAN):
            with torch.no_grad():
                rows = self.sample.inputs
                if self.method_name == "LM":
                    penalty = float(sparsity_measure(self.model, rows, self.penalty))
                else:
                    penalty = float(sparsity_penalty(self.model, rows, self.penalty)[0])
        return _Evaluation(train, test, penalty, train / self.variance + penalty)

    @torch.no_grad()
    def _mean_loss(self, batches: Batches) -> float:
        total = weight = 0.0
        for batch in batches:
            total += float(self.loss.total(self.model(batch.inputs), batch))
            weight += total_weight(batch)
        return total / weight

    def _record(self, step: int, now: _Evaluation, began: float) -> None:
        history = self.history
        history.steps.append(step)
        history.train_loss.append(self.loss.report(now.train))
        if self.test is not None:
            history.test_loss.append(self.loss.report(now.test))
        history.penalty.append(now.penalty)
        history.grid.append(self.model.grid if isinstance(self.model, KAN) else 0)
        history.seconds.append(time.perf_counter() - began)

    def _state(self) -> dict[str, Any]:
        return {
            name: value.detach().clone() if isinstance(value, Tensor) else value
            for name, value in self.model.state_dict().items()
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state)


@dataclass(frozen=True)
class _Evaluation:
    """Mean losses, the penalty, and the objective they make."""

    train: float
    test: float
    penalty: float
    objective: float

    def judged(self, patience: int | None) -> float:
        """Return what the best is chosen by, infinite where it is not finite."""
        value = self.objective if patience is None else self.test
        return value if math.isfinite(value) else math.inf


def _record_every(method: str, steps: int, batches: Batches) -> int:
    """Return how many steps lie between records: about an epoch for Adam, else 1."""
    if method != "Adam":
        return 1
    if isinstance(batches, TensorBatches):
        return max(1, min(len(list(range(0, len(batches.samples), batches.rows))), steps))
    return max(1, min(steps // 20, 100))
