"""Kolmogorov-Arnold Networks that are fast, reliable and readable.

A network of learnable one-dimensional functions is trained on data, pruned, looked at, and turned
into the formula behind the data.
"""

from importlib.metadata import version as _version
from typing import Any as _Any

from .compare import Comparison as Comparison
from .compare import compare as compare
from .data import Dataset as Dataset
from .data import Samples as Samples
from .data import Table as Table
from .data import create_dataset as create_dataset
from .data import read_table as read_table
from .derivatives import derivatives as derivatives
from .discovery import Discovery as Discovery
from .discovery import Formula as Formula
from .discovery import discover as discover
from .functions import LIBRARY as LIBRARY
from .functions import SymbolicFunction as SymbolicFunction
from .io import CheckpointError as CheckpointError
from .io import load as load
from .io import save as save
from .layers import KANLayer as KANLayer
from .mlp import MLP as MLP
from .network import KAN as KAN
from .training import Equation as Equation
from .training import History as History
from .training import fit_equations as fit_equations


def __getattr__(name: str) -> _Any:
    # Estimators need scikit-learn, which only they do.
    if name in ("FormulaRegressor", "KANClassifier", "KANRegressor"):
        from . import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = _version("knotwork")
