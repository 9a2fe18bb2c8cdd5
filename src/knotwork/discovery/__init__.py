"""From a table to a front of formulas."""

from .discover import discover as discover
from .formula import FittedConstant as FittedConstant
from .formula import Formula as Formula
from .result import Discovery as Discovery
from .verdict import Verdict as Verdict
