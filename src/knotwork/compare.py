"""Fit several networks to the same data and set the results side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ._tables import Table, page_part
from .training import fit
from .training.methods import parameter_count


@dataclass(frozen=True)
class Result:
    """One network of a comparison, after its fit.

    Attributes
    ----------
    name : str
    parameters : int
        Number of its free parameters.
    train_loss, test_loss : float
        Its losses; `test_loss` is nan without test rows.
    seconds : float
        Time that the fit took.
    """

    name: str
    parameters: int
    train_loss: float
    test_loss: float
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Networks fitted to the same data; prints as a table.

    Attributes
    ----------
    metric : str
        What the losses are: "RMSE" for least squares.
    results : tuple of Result
        In the order that the networks were given in.
    """

    metric: str
    results: tuple[Result, ...]

    def _table(self) -> Table:
        header = ("", "parameters", f"train {self.metric}", f"test {self.metric}", "seconds")
        rows = [
            (
                r.name,
                f"{r.parameters:,}",
                f"{r.train_loss:.3g}",
                f"{r.test_loss:.3g}",
                f"{r.seconds:.2f}",
            )
            for r in self.results
        ]
        return Table(header, rows, code=(0,))

    def __str__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return page_part(self._table().html())


def compare(models: Mapping[str, nn.Module], data: Any, **options: Any) -> Comparison:
    """Fit every network to the same data with the same options, in place, and compare them.

    Parameters
    ----------
    models : mapping of str to nn.Module
        Networks that `knotwork.training.fit` takes, by name.
    data : dict, (X, y), Dataset or DataLoader
    **options
        Those of `knotwork.training.fit`.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> from knotwork import KAN, create_dataset
    >>> from knotwork.mlp import MLP
    >>> data = create_dataset(lambda x: x[:, 0] * x[:, 1], n_var=2, train_num=200)
    >>> comparison = compare({"KAN": KAN([2, 2, 1]), "MLP": MLP([2, 16, 1])}, data, steps=10)
    >>> [(result.name, result.parameters) for result in comparison.results]
    [('KAN', 57), ('MLP', 65)]
    """
    if not models:
        raise ValueError("models is empty: give at least one network, as {'KAN': KAN([2, 5, 1])}.")
    metric, results = "", list[Result]()
    for name, model in models.items():
        history = fit(model, data, **options)
        metric, best = history.metric, history.steps.index(history.best_step)
        results.append(
            Result(
                name,
                parameter_count(model),
                history.train_loss[best],
                history.test_loss[best] if history.test_loss else float("nan"),
                history.seconds[-1],
            )
        )
    return Comparison(metric, tuple(results))
