"""From trained edges to formulas."""

from ..functions import DEFAULT_NAMES as DEFAULT_NAMES
from ..functions import LIBRARY as LIBRARY
from ..functions import SymbolicFunction as SymbolicFunction
from .auto import SnapReport as SnapReport
from .auto import auto_symbolic as auto_symbolic
from .edge_fit import EdgeFit as EdgeFit
from .edge_fit import fit_edge as fit_edge
from .edge_fit import fit_edges as fit_edges
from .edges import Suggestions as Suggestions
from .edges import fix_symbolic as fix_symbolic
from .edges import suggest_symbolic as suggest_symbolic
from .formula import symbolic_formula as symbolic_formula
