"""Training: the fit loop and the methods it can use."""

from .fit import fit as fit
from .history import History as History
from .loop import Callback as Callback
from .loop import Progress as Progress
