"""Regression by a formula, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import sympy
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from ..discovery import Discovery, Formula, discover
from ..discovery.rows import FEWEST_ROWS
from ..discovery.verdict import NO_SIGNAL
from .checks import checked, checked_weights, seed_of
from .packing import Packing
from .rows import repeated_rows

__all__ = ["FormulaRegressor"]

Array = NDArray[np.float64]

# What was found, which pickle and skops get as plain values.
_PACKED = ("discovery_", "expression_", "formula_", "front_")


class FormulaRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Regression by a formula that `discover` finds, or by the mean if there is no signal.

    Parameters
    ----------
    budget : float
        Seconds that the search for each target may take.
    random_state : int, RandomState or None
        Chooses held-out rows and starts of networks.
    n_jobs : int, optional
        Worker processes; see `discover`.
    library : sequence of str, optional
        Functions that formulas may contain.
    max_complexity : int, optional
        The most complex formula to consider.
    width : int, optional
        Hidden nodes of the networks' first layer.
    robust : bool
        Set outliers aside.
    integers : bool
        Round constants to whole numbers only.
    units : mapping of str to str, optional
        Units of inputs by name; see `discover`, as for all that follow.
    target_units : str, optional
        Or a list of them, one for each target.
    required, forbidden : sequences of str, optional
        Inputs that must matter in every formula, and inputs that must not occur.
    symmetries : sequence of str, optional
        As ``"even in x_1"``.

    Attributes
    ----------
    expression_ : sympy.Expr, or list of them for several targets
    front_ : list of Formula, or list of such lists
    formula_ : Formula or list of Formula
        The mean of the targets where there is no signal. None where there was nothing to search,
        because of fewer than 6 different rows of inputs or a constant target; `expression_` is
        then the mean too.
    discovery_ : Discovery or list of Discovery
    verdict_ : str or list of str
    n_features_in_ : int
    feature_names_in_ : array of str
        Only where X has names for its columns.

    Examples
    --------
    >>> X = np.random.default_rng(0).uniform(1, 3, (100, 2))
    >>> model = FormulaRegressor(budget=20).fit(X, X[:, 0] * X[:, 1] ** 2)
    >>> model.expression_
    x_1*x_2**2
    """

    def __init__(
        self,
        budget: float = 60.0,
        random_state: Any = 0,
        n_jobs: int | None = None,
        library: Sequence[str] | None = None,
        max_complexity: int | None = None,
        width: int | None = None,
        robust: bool = False,
        integers: bool = False,
        units: Mapping[str, str] | None = None,
        target_units: str | Sequence[str] | None = None,
        required: Sequence[str] | None = None,
        forbidden: Sequence[str] | None = None,
        symmetries: Sequence[str] | None = None,
    ) -> None:
        self.budget = budget
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.library = library
        self.max_complexity = max_complexity
        self.width = width
        self.robust = robust
        self.integers = integers
        self.units = units
        self.target_units = target_units
        self.required = required
        self.forbidden = forbidden
        self.symmetries = symmetries

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FormulaRegressor:
        """Search for a formula for each target.

        Parameters
        ----------
        X : array-like of shape (rows, inputs)
        y : array-like of shape (rows,) or (rows, targets)
        sample_weight : array-like of shape (rows,), optional
            At least 0. Whole numbers say how often each row counts: 2 is the row twice. If there
            is a fraction among them, they are one over the variances of the targets, as
            ``1 / sigma**2``, and only their ratios matter; see `weights` of `discover`. Divide
            weights by the largest of them to have whole ones taken so, too.

        Raises
        ------
        ValueError
            If the data, the weights or a parameter cannot be used.
        """
        inputs, targets = checked(
            self, X, y, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        weights = checked_weights(sample_weight, inputs)
        seed = seed_of(self.random_state)
        names = getattr(self, "feature_names_in_", None)
        names = None if names is None else [str(name) for name in names]
        target_units = self._target_units(1 if targets.ndim == 1 else targets.shape[1])
        self._single = targets.ndim == 1
        inputs, targets, weights = repeated_rows(inputs, targets, weights)
        found: list[Discovery | None] = []
        columns = targets.reshape(len(targets), -1).T
        # Few rows, or a constant target, make no law but are no error in scikit-learn either.
        few = len(np.unique(inputs, axis=0)) < FEWEST_ROWS
        for column, unit in zip(columns, target_units, strict=True):
            small = few or np.ptp(column) == 0
            found.append(
                None if small else self._search(inputs, column, weights, seed, names, unit)
            )
        self.discovery_ = found[0] if self._single else found
        formulas = [None if one is None else one.best for one in found]
        self._means = np.average(targets.reshape(len(targets), -1), axis=0, weights=weights)
        fronts: list[list[Formula]] = [[] if one is None else one.front for one in found]
        verdicts = [NO_SIGNAL if one is None else str(one.verdict) for one in found]
        expressions = [
            sympy.Float(mean, 17) if formula is None else formula.expression
            for mean, formula in zip(self._means.tolist(), formulas, strict=True)
        ]
        self.formula_ = formulas[0] if self._single else formulas
        self.front_ = fronts[0] if self._single else fronts
        self.verdict_ = verdicts[0] if self._single else verdicts
        self.expression_ = expressions[0] if self._single else expressions
        return self

    def _target_units(self, count: int) -> list[str | None]:
        if self.target_units is None or isinstance(self.target_units, str):
            return [self.target_units] * count
        if len(self.target_units) != count:
            raise ValueError(
                f"target_units must be one unit, or one for each of {count} targets; got "
                f"{len(self.target_units)}."
            )
        return list(self.target_units)

    def _search(
        self,
        X: Array,
        y: Array,
        weights: Array | None,
        seed: int,
        names: list[str] | None,
        target_units: str | None,
    ) -> Discovery:
        return discover(
            X,
            y,
            weights=weights,
            names=names,
            budget=self.budget,
            seed=seed,
            n_jobs=self.n_jobs,
            library=self.library,
            max_complexity=self.max_complexity,
            width=self.width,
            robust=self.robust,
            integers=self.integers,
            units=self.units,
            target_units=target_units,
            required=self.required,
            forbidden=self.forbidden,
            symmetries=self.symmetries,
            progress=False,
        )

    def predict(self, X: Any) -> Array:
        """Return the formulas' values, shape (rows,) or (rows, targets).

        Where a formula is not defined, the training targets' mean stands in.
        """
        check_is_fitted(self)
        inputs = checked(self, X, reset=False)
        formulas: Any = [self.formula_] if self._single else self.formula_
        columns: list[Array] = []
        for formula, mean in zip(formulas, self._means, strict=True):
            values = np.full(len(inputs), mean) if formula is None else formula.predict(inputs)
            columns.append(np.where(np.isfinite(values), values, mean))
        return columns[0] if self._single else np.column_stack(columns)

    # -- persistence -----------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        # Arrays and plain values only, so that skops needs to trust nothing but the class.
        state: dict[str, Any] = {**cast("dict[str, Any]", super().__getstate__())}
        packing = Packing()
        return {n: packing.pack(v) if n in _PACKED else v for n, v in state.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        packing = Packing()
        super().__setstate__(
            {n: packing.unpack(v) if n in _PACKED else v for n, v in state.items()}
        )
