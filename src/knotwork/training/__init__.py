"""Training: the fit loop and the methods it can use."""

from .course import Callback as Callback
from .course import Progress as Progress
from .equations import Equation as Equation
from .equations import fit_equations as fit_equations
from .fit import fit as fit
from .history import History as History
