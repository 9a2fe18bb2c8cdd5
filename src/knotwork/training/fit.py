"""The door to training: check everything, then run the loop."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from .._checks import check_integer
from .._threads import SMALL_WORK, one_thread
from ..data import Dataset, Samples, as_dataset
from ..network import KAN
from ..trainable import Trainable
from .batches import CHUNK_ROWS, Batches, LoaderBatches, TensorBatches
from .checkpoint import Checkpoint, Identity
from .course import Callback
from .grids import lenient_extrapolation
from .history import History
from .loop import Loop
from .options import FitOptions, check_options

_DEFAULT_BATCH_SIZE = 256


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
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
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
        adaptive count of edges; with L-BFGS and Adam the L1 and entropy penalty of the KAN paper.
    lamb_l1, lamb_entropy, lamb_coef, lamb_coefdiff : float
        L-BFGS and Adam only: what the terms of that penalty weigh, which are the edges' sizes, the
        entropy of their shares, and the size and differences of coefficients.
    smoothness : float, optional
        LM only: strength of a penalty on the roughness of the splines.  By default generalised
        cross-validation chooses it, so that neither fine grids nor noise
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
        which goes on; by default 4 for up to 1,000 parameters, else 1.  Networks of more than two
        layers try them longer, the worse half dropping out each time, and from a grid of 4 on as
        many on a grid of 2 intervals.  Needs `update_grid`.
    patience : int, optional
        Stop when the test loss has not improved for this many recorded steps, and keep the
        parameters that had the best test loss.
    callbacks : sequence of callables
        Each is called with a `Progress` after every recorded step; one that returns True stops
        the fit.
    progress : bool, optional
        Show progress: a bar on a terminal or in a notebook, and in a log file a line every ten
        seconds and at the end. By default there is only a bar on a terminal, if the fit takes
        longer than a second, and nothing stays of it.
    seed : int
        Order of Adam's mini-batches.
    checkpoint : path, optional
        File to keep the fit in while it runs and when it is done; what was there is replaced.  It
        holds all that the rest of the fit depends on, is written atomically, and nothing in it is
        ever executed.  Its folder must exist, and the data be in memory.
    checkpoint_every : int, optional
        Save after every so many steps; by default after a few seconds, and seldom enough that it
        hardly takes time.
    resume : bool
        Go on with the fit that is in ``checkpoint``, to the same parameters and history (its
        seconds apart), bit for bit, as if it had never been stopped.  Network, data and options
        must be the same as when that fit began; callbacks are yours to continue.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument or the data is not usable, before anything is changed.
    CheckpointError
        If ``checkpoint`` is to be resumed, but is damaged or of other data, another network or
        other options; a kind of ValueError.
    OSError
        If ``checkpoint`` cannot be written, or is to be resumed and does not exist.
    """
    if callable(callbacks):
        raise TypeError("callbacks must be a list of functions: put the function in a list.")
    options = check_options(
        model,
        opt=opt,
        loss=loss,
        steps=steps,
        penalties={
            "lamb": lamb,
            "lamb_l1": lamb_l1,
            "lamb_entropy": lamb_entropy,
            "lamb_coef": lamb_coef,
            "lamb_coefdiff": lamb_coefdiff,
        },
        smoothness=smoothness,
        lr=lr,
        batch_size=batch_size,
        starts=starts,
        patience=patience,
        update_grid=update_grid,
        seed=seed,
        callbacks=callbacks,
    )
    dataset, batches = _batches(model, data, weights, options)
    if options.patience is not None and (dataset is None or dataset.test is None):
        raise ValueError("patience needs test rows: give data with test_input and test_label.")
    kept = _checkpoint(model, dataset, options, checkpoint, checkpoint_every, resume)
    if kept is not None and resume:
        kept.load(next(model.parameters()).device)
    _warn_if_few_rows(model, dataset)

    # Least squares is solved in float64 whatever the network's own precision.
    work = model
    if options.method == "LM" and next(model.parameters()).dtype != torch.float64:
        work, batches = copy.deepcopy(model).double(), batches.double()
    loop = Loop(work, dataset, batches, options)
    try:
        with one_thread(_is_small(work, loop.sample)), lenient_extrapolation(work):
            history = loop.run(callbacks, progress, kept)
    finally:
        if work is not model:
            model.load_state_dict(work.state_dict())
    if isinstance(model, KAN):
        model.fresh = False
    if isinstance(model, Trainable):
        # Streamed rows are gone; rows of an earlier fit would be the wrong ones to look at.
        model.dataset = dataset
        if dataset is not None:
            model.input_names = dataset.input_names or model.input_names
            model.output_names = dataset.target_names or model.output_names
    return history


def _batches(
    model: Any, data: Any, weights: Any, options: FitOptions
) -> tuple[Dataset | None, Batches]:
    expected: dict[str, Any] = {
        "inputs": model.input_count,
        "outputs": model.output_count,
        "dtype": next(model.parameters()).dtype,
        "device": next(model.parameters()).device,
        "classes": options.loss.classes,
    }
    if isinstance(data, DataLoader):
        if weights is not None:
            raise ValueError("weights: with a DataLoader let its batches be (X, y, weights).")
        if options.batch_size is not None:
            raise ValueError("batch_size: a DataLoader has its own; leave this one out.")
        return None, LoaderBatches(data, **expected)
    dataset = as_dataset(data, weights=weights, **expected)
    # A row of weight zero is no row: not for grids, spreads or mini-batches either.
    samples, rows = dataset.train.counting(), CHUNK_ROWS
    if options.method == "Adam":
        rows = min(len(samples), options.batch_size or _DEFAULT_BATCH_SIZE)
    return dataset, TensorBatches(samples, rows)


def _checkpoint(
    model: nn.Module,
    dataset: Dataset | None,
    options: FitOptions,
    path: str | PathLike[str] | None,
    every: int | None,
    resume: bool,
) -> Checkpoint | None:
    if every is not None:
        every = check_integer(every, "checkpoint_every", low=1)
    if path is None:
        if resume or every is not None:
            name = "resume" if resume else "checkpoint_every"
            raise ValueError(f"{name} needs checkpoint, the file that the fit is kept in.")
        return None
    if dataset is None:
        raise ValueError(
            "checkpoint: the order of a DataLoader's rows cannot be kept; give the rows as (X, y), "
            "or leave checkpoint out."
        )
    return Checkpoint(Path(path), every, Identity.of(model, dataset, options))


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
