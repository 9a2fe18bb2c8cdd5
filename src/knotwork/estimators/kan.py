"""Regression and classification by Kolmogorov-Arnold networks, as scikit-learn estimators."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from .._checks import check_integer, check_number
from .._threads import SMALL_WORK, one_thread
from ..data import Samples
from ..layers import MAX_ORDER
from ..network import KAN
from ..training.evidence import EvidenceFit, fit_by_evidence
from ..training.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood
from ..training.posterior import Posterior
from .checks import checked, checked_weights, seed_of
from .packing import packed, unpacked
from .rows import DistinctRows, distinct_rows, divided
from .scaling import Standard, from_standard, to_standard
from .structure import grid_for, hidden_sizes, start

if TYPE_CHECKING:
    import sympy
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

# Gain in the logarithm of the evidence that a larger network must bring, "strong" in the words of
# R. E. Kass and A. E. Raftery, "Bayes factors", JASA 90 (1995) 773-795.
_STRONG_EVIDENCE = 3.0
# Labels that a message lists.
_LISTED = 5


class _KANEstimator(BaseEstimator, ABC):
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
            if len(rows.X) < 2:
                raise ValueError("early_stopping needs at least 2 different rows; got 1.")
            chosen, held = divided(len(rows.X), self.validation_fraction, labels, seed)
            train, judges = (
                DistinctRows(*(part[which] for part in rows)) for which in (chosen, held)
            )
        goes_on = self.warm_start and hasattr(self, "model_")
        if not goes_on:
            self._inputs = Standard.of(train.X, train.weights)
            self._targets = self._target_units(train.y, train.weights)
        samples = self._samples(train)
        validation = None if judges is None else self._samples(judges)
        work = len(train.X) * train.X.shape[1]
        with one_thread(work <= SMALL_WORK):
            model, fit = self._best_network(
                self._resumed() if goes_on else self._starts(train, seed),
                samples,
                validation,
                settled=goes_on,
            )
        model.input_names = self._names()
        from_standard(model, self._inputs, self._targets)
        self.model_ = model
        self.hidden_layer_sizes_ = tuple(nodes.count for nodes in model.nodes[:-1])
        self.n_iter_ = len(fit.losses)
        self.loss_curve_ = fit.losses
        self.log_evidence_ = fit.evidence
        self.effective_parameters_ = fit.freedom
        if validation is not None:
            self.validation_loss_curve_ = fit.validation_losses

    def _best_network(
        self, models: list[KAN], samples: Samples, validation: Samples | None, *, settled: bool
    ) -> tuple[KAN, EvidenceFit]:
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
    ) -> tuple[KAN, EvidenceFit]:
        posterior = Posterior(model, samples, self._likelihood())
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
        return model, fit

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

    def _resumed(self) -> list[KAN]:
        model = self.model_.copy()
        to_standard(model, self._inputs, self._targets)
        return [model]

    def _check_parameters(self) -> None:
        if isinstance(self.hidden_layer_sizes, str):
            if self.hidden_layer_sizes != "auto":
                raise ValueError(
                    "hidden_layer_sizes must be 'auto' or a sequence of sizes, () for a sum of "
                    f"functions; got {self.hidden_layer_sizes!r}."
                )
        else:
            for size in self.hidden_layer_sizes:
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


class KANRegressor(MultiOutputMixin, RegressorMixin, _KANEstimator):
    """Regression by a Kolmogorov-Arnold network.

    Inputs and targets are standardised for the fit; `model_` is in your units.  How small and
    smooth the function of each input is, is chosen by the marginal likelihood of the data
    (Bayesian regularisation), and so is the size of the network.

    Parameters
    ----------
    hidden_layer_sizes : "auto" or sequence of int
        Nodes of the hidden layers; () is a sum of functions, one of each input.  By default a sum
        is fitted, then networks with one hidden layer of 2, 4 and 8 nodes for as long as there is
        strong evidence for the larger one; only the sum where there are fewer than 50 rows or very many inputs.
    grid : "auto" or int
        Intervals of the splines' grids; by default 6, fewer with few rows or very many edges.
    k : int
        Order of the splines; 3 is cubic.
    alpha : float, optional
        Precision of the prior on the size of functions, as in ridge regression.  By default the
        evidence chooses one for each input, and another for its roughness.
    max_iter : int
        Steps of Levenberg-Marquardt at the most; with more than 1,500 parameters, of 30 iterations
        of L-BFGS.
    tol : float
        Stop when the evidence changes by less than this a row.
    early_stopping : bool
        Keep rows aside, and stop when the loss on them has not fallen for `n_iter_no_change`
        steps; the network is then the one of least loss on them.
    validation_fraction : float
        The share of different rows to keep aside.
    n_iter_no_change : int
        Patience of early stopping.
    warm_start : bool
        Go on from the fitted network rather than from a new start.
    random_state : int, RandomState or None
        Starts of networks with hidden nodes, and rows that are kept aside; None is 0.

    Attributes
    ----------
    model_ : KAN
        The network, from inputs to targets as they were given.
    hidden_layer_sizes_ : tuple of int
        Of the network chosen.
    n_iter_ : int
    loss_curve_ : list of float
        Half the mean squared error after every step, of standardised targets.
    validation_loss_curve_ : list of float
        The same on rows kept aside; only with early stopping.
    log_evidence_ : float
        Logarithm of the marginal likelihood.
    effective_parameters_ : float
        How many parameters the data determines.
    n_features_in_ : int
    feature_names_in_ : array of str
        Only where X has names for its columns.

    Notes
    -----
    A weight says how often a row counts: a row of weight 2 is the row twice, and the order of
    rows does not matter, to the last digit.

    Examples
    --------
    >>> X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> model = KANRegressor().fit(X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2)
    >>> model.hidden_layer_sizes_
    ()
    >>> bool(model.score(X, np.sin(3 * X[:, 0]) + X[:, 1] ** 2) > 0.999)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
            Numbers, finite.
        y : array-like of shape (rows,) or (rows, targets)
        sample_weight : array-like of shape (rows,), optional
            How often each row counts, at least 0.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used.
        """
        inputs, targets = checked(
            self, X, y, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        weights = checked_weights(sample_weight, inputs)
        self._single = targets.ndim == 1
        self._fit_rows(distinct_rows(inputs, targets, weights))
        return self

    def _likelihood(self) -> Likelihood:
        return Gaussian()

    def _target_units(self, y: Array, weights: Array) -> Standard:
        return Standard.of(y, weights)

    def predict(self, X: Any) -> Array:
        """Return predictions, shape (rows,) or (rows, targets).

        Raises
        ------
        ValueError
            If the columns of X are not those of the fit; it names the missing and the extra ones.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self._single else outputs


class KANClassifier(ClassifierMixin, _KANEstimator):
    """Classification by a Kolmogorov-Arnold network, of two classes or more.

    The network gives log-odds, so it reads as a sum of what speaks for and against each class.
    Inputs are standardised for the fit; `model_` is in your units.

    Parameters
    ----------
    hidden_layer_sizes : "auto" or sequence of int
        Nodes of the hidden layers; () is a sum of functions, one of each input.  By default a sum
        is fitted, then networks with one hidden layer of 2, 4 and 8 nodes for as long as there is
        strong evidence for the larger one; only the sum where there are fewer than 50 rows or very many inputs.
    grid : "auto" or int
        Intervals of the splines' grids; by default 6, fewer with few rows or very many edges.
    k : int
        Order of the splines; 3 is cubic.
    alpha : float, optional
        Precision of the prior on the size of functions, as in ridge regression.  By default the
        evidence chooses one for each input, and another for its roughness.
    max_iter : int
        Steps of Levenberg-Marquardt at the most; with more than 1,500 parameters, of 30 iterations
        of L-BFGS.
    tol : float
        Stop when the evidence changes by less than this a row.
    early_stopping : bool
        Keep rows aside, and stop when the loss on them has not fallen for `n_iter_no_change`
        steps; the network is then the one of least loss on them.
    validation_fraction : float
        The share of different rows to keep aside.
    n_iter_no_change : int
        Patience of early stopping.
    warm_start : bool
        Go on from the fitted network rather than from a new start.
    random_state : int, RandomState or None
        Starts of networks with hidden nodes, and rows that are kept aside; None is 0.

    Attributes
    ----------
    model_ : KAN
        The network, from inputs as they were given to log-odds: one output for two classes,
        otherwise one a class.
    classes_ : array of shape (classes,)
    hidden_layer_sizes_ : tuple of int
        Of the network chosen.
    n_iter_ : int
    loss_curve_ : list of float
        Mean cross-entropy after every step.
    validation_loss_curve_ : list of float
        The same on rows kept aside; only with early stopping.
    log_evidence_ : float
        Logarithm of the marginal likelihood.
    effective_parameters_ : float
        How many parameters the data determines.
    n_features_in_ : int
    feature_names_in_ : array of str
        Only where X has names for its columns.

    Notes
    -----
    A weight says how often a row counts: a row of weight 2 is the row twice, and the order of
    rows does not matter, to the last digit.

    Examples
    --------
    >>> X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> y = np.where(X[:, 0] ** 2 + X[:, 1] ** 2 < 0.5, "in", "out")
    >>> model = KANClassifier().fit(X, y)
    >>> model.predict([[0, 0], [1, 1]])
    array(['in', 'out'], dtype='<U3')
    """

    classes_: NDArray[Any]

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
            Numbers, finite.
        y : array-like of shape (rows,)
            Labels of any kind; at least two classes.
        sample_weight : array-like of shape (rows,), optional
            How often each row counts, at least 0.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used.
        """
        inputs, labels = checked(self, X, y, ensure_min_samples=2)
        check_classification_targets(labels)
        labels = column_or_1d(labels, warn=True)
        weights = checked_weights(sample_weight, inputs)
        counting = slice(None) if weights is None else weights > 0
        classes = np.unique(labels[counting])
        if self.warm_start and hasattr(self, "model_"):
            unseen = np.setdiff1d(classes, self.classes_)
            if len(unseen):
                raise ValueError(
                    f"y holds classes that were never seen before: {_listed(unseen)}. A warm start "
                    "goes on with the same classes; fit with warm_start=False to learn new ones."
                )
            classes = self.classes_
        if len(classes) < 2:
            raise ValueError(
                f"y holds one class only, {_listed(classes)}: give rows of at least two classes"
                f"{'' if weights is None else ' with weights above 0'}."
            )
        self.classes_ = classes
        places = np.searchsorted(classes, labels[counting]).astype(np.float64)
        weights = None if weights is None else weights[counting]
        self._fit_rows(distinct_rows(inputs[counting], places, weights))
        return self

    def _likelihood(self) -> Likelihood:
        classes = len(self.classes_)
        return Bernoulli() if classes == 2 else Categorical(classes)

    def _target_units(self, y: Array, weights: Array) -> Standard:
        return Standard.unit(1)

    def decision_function(self, X: Any) -> Array:
        """Return log-odds: shape (rows,) for two classes, otherwise (rows, classes)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, shape (rows, classes)."""
        outputs = torch.from_numpy(self._outputs(X))
        if len(self.classes_) == 2:
            outputs = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
        return outputs.softmax(dim=1).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row, shape (rows,)."""
        outputs = self._outputs(X)
        places = outputs[:, 0] > 0 if len(self.classes_) == 2 else outputs.argmax(axis=1)
        return self.classes_[places.astype(np.intp)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy.

        Warns
        -----
        UserWarning
            If y holds labels that were not there in training: each of their rows counts as wrong.
        """
        predicted = self.predict(X)
        unseen = np.setdiff1d(np.asarray(y), self.classes_)
        if len(unseen):
            warnings.warn(
                f"y holds labels that were never seen in training, {_listed(unseen)}: every row of "
                "theirs counts as wrong. Known are " + _listed(self.classes_) + ".",
                UserWarning,
                stacklevel=2,
            )
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))


def _listed(labels: NDArray[Any]) -> str:
    shown = ", ".join(repr(label) for label in labels[:_LISTED].tolist())
    return shown + (f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else "")
