"""Which compiled kernels this machine can run, for tests."""

import pytest

from knotwork.kernels.backends import selection
from knotwork.kernels.compiled import INSTRUCTION_SETS

BEST = -1 if selection.library is None else selection.library.best
COMPILED = INSTRUCTION_SETS[: BEST + 1]
needs_library = pytest.mark.skipif(not COMPILED, reason="installed without compiled kernels")
