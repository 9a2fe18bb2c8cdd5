"""Estimators after scikit-learn's conventions."""

from .formula import FormulaRegressor as FormulaRegressor
from .kan import KANClassifier as KANClassifier
from .kan import KANRegressor as KANRegressor

__all__ = ["FormulaRegressor", "KANClassifier", "KANRegressor"]
