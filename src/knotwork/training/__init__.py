"""Training: the fit loop and the methods it can use."""

from .fit import Callback as Callback
from .fit import Progress as Progress
from .fit import fit as fit
from .history import History as History
