"""Regression and classification by Kolmogorov-Arnold networks, as scikit-learn estimators."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from ..training.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood
from .base import KANEstimator
from .checks import check_labels, checked, checked_weights
from .rows import distinct_rows
from .scaling import Standard

Array = NDArray[np.float64]

# Labels that a message lists.
_LISTED = 5


class KANRegressor(MultiOutputMixin, RegressorMixin, KANEstimator):
    """Regression by a Kolmogorov-Arnold network.

    Inputs and targets are standardised for the fit; `model_` is in your units.  How small and
    smooth the function of each input is, is chosen by the marginal likelihood of the data
    (Bayesian regularisation), and so is the size of the network.

    Parameters
    ----------
    hidden_layer_sizes : "auto" or sequence of int
        Nodes of the hidden layers; () is a sum of functions, one of each input.  By default a sum
        is fitted, then networks with one hidden layer of 2, 4 and 8 nodes for as long as there is
        strong evidence for the larger one; only the sum where there are fewer than 50 rows or
        very many inputs.
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
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (200, 2))
    >>> y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=200)
    >>> model = KANRegressor().fit(X, y)
    >>> model.hidden_layer_sizes_
    ()
    >>> bool(model.score(X, y) > 0.97)
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

        Warns
        -----
        ConvergenceWarning
            If the fit reached `max_iter` while its loss still changed by more than `tol`.
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


class KANClassifier(ClassifierMixin, KANEstimator):
    """Classification by a Kolmogorov-Arnold network, of two classes or more.

    The network gives log-odds, so it reads as a sum of what speaks for and against each class.
    Inputs are standardised for the fit; `model_` is in your units.

    Parameters
    ----------
    hidden_layer_sizes : "auto" or sequence of int
        Nodes of the hidden layers; () is a sum of functions, one of each input.  By default a sum
        is fitted, then networks with one hidden layer of 2, 4 and 8 nodes for as long as there is
        strong evidence for the larger one; only the sum where there are fewer than 50 rows or
        very many inputs.
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

        Warns
        -----
        ConvergenceWarning
            If the fit reached `max_iter` while its loss still changed by more than `tol`.
        """
        check_labels(y)
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
                    f"y holds classes that were never seen before: {_listed(unseen.tolist())}. A "
                    "warm start goes on with the same classes; fit with warm_start=False to learn "
                    "new ones."
                )
            classes = self.classes_
        if len(classes) < 2:
            raise ValueError(
                f"y holds one class only, {_listed(classes.tolist())}: give rows of at least two "
                f"classes{'' if weights is None else ' with weights above 0'}."
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
        # Labels of another kind cannot be compared with those known, so places stand for them.
        places = {label: place for place, label in enumerate(self.classes_.tolist())}
        labels: list[Any] = column_or_1d(y, warn=True).tolist()
        unseen = [label for label in dict.fromkeys(labels) if label not in places]
        if unseen:
            warnings.warn(
                f"y holds labels that were never seen in training, {_listed(unseen)}: every row of "
                f"theirs counts as wrong. Known are {_listed(list(places))}.",
                UserWarning,
                stacklevel=2,
            )
        true = [places.get(label, len(places)) for label in labels]
        guessed = [places[label] for label in predicted.tolist()]
        return float(accuracy_score(true, guessed, sample_weight=sample_weight))


def _listed(labels: Sequence[Any]) -> str:
    shown = ", ".join(repr(label) for label in labels[:_LISTED])
    return shown + (f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else "")
