"""What regression and classification by networks have in common: the fit, and looking at it."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from .._checks import check_integer, check_number
from .._threads import SMALL_WORK, one_thread
from ..data import Samples
from ..layers import MAX_ORDER
from ..network import KAN
from ..training.evidence import EvidenceFit, fit_by_evidence
from ..training.likelihoods import Likelihood
from ..training.posterior import Posterior
from .checks import checked, seed_of
from .packing import packed, unpacked
from .rows import DistinctRows, divided
from .scaling import Standard, from_standard, to_standard
from .structure import grid_for, hidden_sizes, start

if TYPE_CHECKING:
    import sympy
    from matplotlib.figure import Figure

    from ..explanation import Explanation

Array = NDArray[np.float64]

# Gain in the logarithm of the evidence that a larger network must bring, "strong" in the words of
# R. E. Kass and A. E. Raftery, "Bayes factors", JASA 90 (1995) 773-795.
_STRONG_EVIDENCE = 3.0


class KANEstimator(BaseEstimator, ABC):
    """What both estimators do: a fit, and looking at what was fitted."""

    model_: KAN

    def __init__(
        self,
        hidden_layer_sizes: str | Sequence[int] = "auto",
        grid: str | int = "auto",
        k: int = 3,
        alpha: float | None = None,
        max_iter: int = 60,
        tol: float = 1e-3,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state: Any = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.grid = grid
        self.k = k
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state

    # -- fitting ---------------------------------------------------------------------------------

    @abstractmethod
    def _likelihood(self) -> Likelihood:
        """Return what outputs say about targets."""

    @abstractmethod
    def _target_units(self, y: Array, weights: Array) -> Standard:
        """Return the units in which the network's outputs are fitted."""

    def _samples(self, rows: DistinctRows) -> Samples:
        y = self._targets.standardised(rows.y)
        targets = torch.from_numpy(y)
        if isinstance(self, ClassifierMixin):
            targets = targets[:, 0].long()
        return Samples(
            torch.from_numpy(self._inputs.standardised(rows.X)),
            targets,
            torch.from_numpy(rows.weights),
        )

    def _fit_rows(self, rows: DistinctRows) -> None:
        self._check_parameters()
        seed = seed_of(self.random_state)
        train, judges = rows, None
        if self.early_stopping:
            labels = rows.y[:, 0] if isinstance(self, ClassifierMixin) else None
            chosen, held = divided(len(rows.X), self.validation_fraction, labels, seed)
            if len(held) == 0:
                raise ValueError(
                    f"early_stopping has no row to keep aside: of {len(rows.X)} different rows "
                    "none has another of its kind. Give more rows, or set early_stopping=False."
                )
            train, judges = (
                DistinctRows(*(part[which] for part in rows)) for which in (chosen, held)
            )
        goes_on = self.warm_start and hasattr(self, "model_")
        if goes_on:
            self._check_same_shape(train)
        else:
            self._inputs = Standard.of(train.X, train.weights)
            self._targets = self._target_units(train.y, train.weights)
        samples = self._samples(train)
        validation = None if judges is None else self._samples(judges)
        work = len(train.X) * train.X.shape[1]
        with one_thread(work <= SMALL_WORK):
            posterior, fit = self._best_network(
                self._resumed() if goes_on else self._starts(train, seed),
                samples,
                validation,
                settled=goes_on,
            )
        model = posterior.model
        if fit.unfinished(self.tol):
            warnings.warn(
                f"the fit stopped at max_iter={self.max_iter} steps before it converged: give it "
                "more steps, or set a larger tol to stop earlier without this warning.",
                ConvergenceWarning,
                stacklevel=3,
            )
        model.input_names = self._names()
        from_standard(model, self._inputs, self._targets)
        self.model_ = model
        # What a warm start goes on with, beside the network.
        self._dispersion = posterior.dispersion
        self._precisions = [prior.precisions.numpy() for prior in posterior.priors]
        self.hidden_layer_sizes_ = tuple(nodes.count for nodes in model.nodes[:-1])
        self.n_iter_ = len(fit.losses)
        self.loss_curve_ = fit.losses
        self.log_evidence_ = fit.evidence
        self.effective_parameters_ = fit.freedom
        if validation is not None:
            self.validation_loss_curve_ = fit.validation_losses

    def _best_network(
        self, models: list[KAN], samples: Samples, validation: Samples | None, *, settled: bool
    ) -> tuple[Posterior, EvidenceFit]:
        """Fit networks, simplest first, for as long as the next one is better."""
        best = self._fit_network(models[0], samples, validation, settled=settled)
        for model in models[1:]:
            larger = self._fit_network(model, samples, validation, settled=settled)
            gain = _worth(larger[1]) - _worth(best[1])
            if gain <= (_STRONG_EVIDENCE if validation is None else 0.0):
                break
            best = larger
        return best

    def _fit_network(
        self, model: KAN, samples: Samples, validation: Samples | None, *, settled: bool
    ) -> tuple[Posterior, EvidenceFit]:
        posterior = Posterior(model, samples, self._likelihood())
        if settled:
            posterior.dispersion = self._dispersion
            for prior, precisions in zip(posterior.priors, self._precisions, strict=True):
                prior.precisions = torch.tensor(precisions)
        if self.alpha is not None:
            for prior in posterior.priors:
                prior.fix(self.alpha)
        fit = fit_by_evidence(
            posterior,
            steps=self.max_iter,
            tolerance=self.tol,
            settled=settled,
            renew=self.alpha is None,
            validation=validation,
            patience=self.n_iter_no_change,
        )
        return posterior, fit

    def _starts(self, rows: DistinctRows, seed: int) -> list[KAN]:
        """Return the networks to fit, simplest first."""
        inputs, outputs = rows.X.shape[1], self._output_count(rows)
        grid = self.grid
        if isinstance(grid, str):
            grid = grid_for(inputs, outputs, self.k, len(rows.X))
        if isinstance(self.hidden_layer_sizes, str):
            sizes = hidden_sizes(inputs, outputs, grid, self.k, len(rows.X))
        else:
            sizes = [tuple(self.hidden_layer_sizes)]
        Z = self._inputs.standardised(rows.X)
        return [start(Z, rows.weights, size, outputs, grid, self.k, seed) for size in sizes]

    def _output_count(self, rows: DistinctRows) -> int:
        return self._likelihood().outputs(torch.from_numpy(rows.y))

    def _check_same_shape(self, rows: DistinctRows) -> None:
        had = self.model_.input_count, self.model_.output_count
        now = rows.X.shape[1], self._output_count(rows)
        if had != now:
            raise ValueError(
                f"warm_start goes on with a network of {had[0]} inputs and {had[1]} outputs, but "
                f"the data asks for {now[0]} and {now[1]}: give the same columns, or set "
                "warm_start=False."
            )

    def _resumed(self) -> list[KAN]:
        model = self.model_.copy()
        to_standard(model, self._inputs, self._targets)
        return [model]

    def _check_parameters(self) -> None:
        sizes: Any = self.hidden_layer_sizes
        if isinstance(sizes, str):
            if sizes != "auto":
                raise ValueError(
                    "hidden_layer_sizes must be 'auto' or a sequence of sizes, () for a sum of "
                    f"functions; got {sizes!r}."
                )
        elif not isinstance(sizes, Iterable):
            raise TypeError(
                "hidden_layer_sizes must be 'auto' or a sequence of sizes, as (5,) for one hidden "
                f"layer; got {sizes!r}."
            )
        else:
            for size in cast("Iterable[Any]", sizes):
                check_integer(size, "hidden_layer_sizes", low=1)
        if isinstance(self.grid, str):
            if self.grid != "auto":
                raise ValueError(f"grid must be 'auto' or a whole number; got {self.grid!r}.")
        else:
            check_integer(self.grid, "grid", low=1)
        check_integer(self.k, "k", low=1, high=MAX_ORDER)
        if self.alpha is not None:
            check_number(self.alpha, "alpha", low=0, strict=True)
        check_integer(self.max_iter, "max_iter", low=1)
        check_number(self.tol, "tol", low=0)
        check_integer(self.n_iter_no_change, "n_iter_no_change", low=1)
        fraction = check_number(self.validation_fraction, "validation_fraction", low=0, strict=True)
        if fraction >= 1:
            raise ValueError(f"validation_fraction must be below 1; got {fraction}.")

    # -- using -----------------------------------------------------------------------------------

    @torch.no_grad()
    def _outputs(self, X: Any) -> Array:
        """Return the network's outputs in the user's units, shape (rows, outputs)."""
        check_is_fitted(self)
        inputs = torch.tensor(checked(self, X, reset=False))
        with one_thread(inputs.numel() <= SMALL_WORK):
            return self.model_(inputs).numpy()

    def _names(self) -> tuple[str, ...] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else tuple(str(name) for name in names)

    def symbolic_formula(
        self, X: Any, lib: Sequence[Any] | None = None
    ) -> sympy.Expr | list[sympy.Expr]:
        """Return the network as a formula in the inputs' own units.

        Edges that do not matter are pruned, and the others replaced by functions of a library
        that follow the network over the rows of X.  `model_` stays as it is.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
            Where the formula is to hold; the training rows, as a rule.
        lib : sequence of str or SymbolicFunction, optional
            Functions to choose from; those of `KAN.auto_symbolic` by default.

        Returns
        -------
        sympy.Expr, or list of them for several outputs
            Of a classifier the log-odds: of the second class of two, or of every class.

        Raises
        ------
        ValueError
            If X does not fit the network, or the network is constant over it.
        """
        outputs = torch.from_numpy(self._outputs(X))
        inputs = torch.tensor(checked(self, X, reset=False))
        model = self.model_.prune(X=inputs)
        model.auto_symbolic(lib, data=(inputs, outputs))
        expressions, _ = model.symbolic_formula(self._names())
        return expressions[0] if len(expressions) == 1 else expressions

    def plot(self, X: Any, **options: Any) -> Figure:
        """Draw the network with every edge's function over the rows of X.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
        **options
            Of `knotwork.plotting.plot_network`.

        Returns
        -------
        Figure
        """
        check_is_fitted(self)
        return self.model_.plot(torch.tensor(checked(self, X, reset=False)), **options)

    def explain(self, X: Any, **options: Any) -> Explanation:
        """Say what inputs and edges do over the rows of X, in your units.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
        **options
            Of `knotwork.explanation.explain`.

        Returns
        -------
        Explanation
            Of a classifier the log-odds: of the second class of two, or of every class.
        """
        check_is_fitted(self)
        rows = checked(self, X, reset=False)
        return self.model_.explain(rows, **{"output_names": self._output_names(), **options})

    def _output_names(self) -> list[str] | None:
        """Return what the network's outputs are called, None for no names."""
        return None

    # -- persistence -----------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        # Arrays and plain values only, so that skops needs to trust nothing but the class.
        state: dict[str, Any] = {**cast("dict[str, Any]", super().__getstate__())}
        for name, pack in _PACKED.items():
            if name in state:
                state[name] = pack(state[name])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        for name, unpack in _UNPACKED.items():
            if name in state:
                state[name] = unpack(state[name])
        super().__setstate__(state)


def _pack_units(units: Standard) -> dict[str, Array]:
    return {"mean": units.mean, "spread": units.spread}


def _unpack_units(state: dict[str, Array]) -> Standard:
    return Standard(**state)


_PACKED: dict[str, Callable[[Any], Any]] = {
    "model_": packed,
    "_inputs": _pack_units,
    "_targets": _pack_units,
}
_UNPACKED: dict[str, Callable[[Any], Any]] = {
    "model_": unpacked,
    "_inputs": _unpack_units,
    "_targets": _unpack_units,
}


def _worth(fit: EvidenceFit) -> float:
    """Return what networks of different sizes are compared by."""
    return -min(fit.validation_losses) if fit.validation_losses else fit.evidence
