"""Callbacks of a fit that log its course: to TensorBoard, or to MLflow.

Nothing is logged unless one of them is among the ``callbacks`` of `fit`.  The packages that they
need are those of the extra ``knotwork[logging]``.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from importlib.util import find_spec
from os import PathLike
from typing import Any

from .training import History, Progress

__all__ = ["MLflowCallback", "TensorBoardCallback"]


class _HistoryCallback(ABC):
    """Logs every entry of a history once, the start of a fit included.

    Steps of a further fit go on counting where those of the one before ended.
    """

    def __init__(self) -> None:
        self._history: History | None = None
        self._logged = self._offset = 0

    def __call__(self, progress: Progress) -> None:
        """Log what was recorded since the last call."""
        history = progress.history
        if history is not self._history:
            if self._history is not None:
                self._offset += self._history.steps[-1]
            self._history, self._logged = history, 0
        began = time.time() - history.seconds[-1]
        for entry in range(self._logged, len(history.steps)):
            step = self._offset + history.steps[entry]
            self._log(_values(history, entry), step, began + history.seconds[entry])
        self._logged = len(history.steps)

    @abstractmethod
    def _log(self, values: dict[str, float], step: int, at: float) -> None:
        """Log the values of one step, recorded `at` seconds since the epoch."""


def _values(history: History, entry: int) -> dict[str, float]:
    """Return what an entry of a history holds, under the names it has there."""
    values = {
        "train_loss": history.train_loss[entry],
        "penalty": history.penalty[entry],
        "grid": float(history.grid[entry]),
    }
    if history.test_loss and math.isfinite(history.test_loss[entry]):
        values["test_loss"] = history.test_loss[entry]
    return values


def _need(package: str, callback: str) -> None:
    if find_spec(package) is None:
        raise ImportError(
            f"{callback} needs the package {package}: install it with pip install "
            '"knotwork[logging]".'
        )


class TensorBoardCallback(_HistoryCallback):
    """Logs a fit to TensorBoard: ``train_loss``, ``test_loss``, ``penalty`` and ``grid``.

    Several fits, as before and after pruning, go into one curve if they have the same callback.
    All is on disk after every step; `close`, or a ``with`` block, closes the file.

    Parameters
    ----------
    log_dir : str or path
        Folder of the event file; made if it is not there.

    Raises
    ------
    ImportError
        If tensorboard is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from knotwork import KAN, create_dataset
    >>> data = create_dataset(lambda x: x[:, 0] ** 2, n_var=1, train_num=100)
    >>> with tempfile.TemporaryDirectory() as folder, TensorBoardCallback(folder) as log:
    ...     history = KAN([1, 1]).fit(data, steps=5, callbacks=[log])
    """

    def __init__(self, log_dir: str | PathLike[str]) -> None:
        _need("tensorboard", "TensorBoardCallback")
        from torch.utils.tensorboard import SummaryWriter

        super().__init__()
        self._writer = SummaryWriter(log_dir)

    def _log(self, values: dict[str, float], step: int, at: float) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=at)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file; a later fit would open another one in the same folder."""
        self._writer.close()

    def __enter__(self) -> TensorBoardCallback:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class MLflowCallback(_HistoryCallback):
    """Logs a fit to a run of MLflow: ``train_loss``, ``test_loss``, ``penalty`` and ``grid``.

    Parameters
    ----------
    run_id : str, optional
        The run to log to; by default the one that is active where the callback is made.

    Raises
    ------
    ImportError
        If mlflow is not installed.
    ValueError
        If no run is active and none is given; MLflow would start one of its own.
    """

    def __init__(self, run_id: str | None = None) -> None:
        _need("mlflow", "MLflowCallback")
        import mlflow  # pyright: ignore[reportMissingImports]

        super().__init__()
        if run_id is None:
            run = mlflow.active_run()
            if run is None:
                raise ValueError(
                    "run_id is None, but no run of MLflow is active: make the callback inside "
                    "`with mlflow.start_run():`, or give a run_id."
                )
            run_id = run.info.run_id
        self._mlflow, self._run_id = mlflow, run_id

    def _log(self, values: dict[str, float], step: int, at: float) -> None:
        self._mlflow.log_metrics(values, step=step, run_id=self._run_id, timestamp=round(1000 * at))
