"""Which backend runs, and why.

The environment variable ``KNOTWORK_KERNEL`` chooses: ``auto`` (the default) takes the compiled
library where it can be used, ``reference`` plain torch, and ``plain``, ``avx2`` or ``avx512`` the
compiled library with this instruction set.  On a GPU all but ``reference`` mean Triton, which comes
with torch's own builds for GPUs.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .compiled import DTYPES, INSTRUCTION_SETS, Library, load

VARIABLE = "KNOTWORK_KERNEL"
CHOICES = ("auto", "reference", *INSTRUCTION_SETS)
_NO_TRITON = "the kernels for a GPU need Triton, which is not installed"


class Compiled(NamedTuple):
    """The compiled library, and the number of the instruction set to use of it."""

    library: Library
    instruction_set: int


class Selection:
    """The library, if there is one, and what is to be used of it.

    Attributes
    ----------
    library : Library or None
    missing : str
        Why there is no library; empty if there is.
    choice : str
        One of `CHOICES`.
    instruction_set : int or None
        Number of the one that is used of the library, if any is.
    has_triton : bool
    """

    choice: str
    instruction_set: int | None
    _on_cpu: Compiled | None

    def __init__(self, folders: Iterable[str], choice: str) -> None:
        self.library, self.missing = load(folders)
        self.has_triton = find_spec("triton") is not None
        self._warned = False
        self.choose(choice)

    def _checked(self, choice: str) -> str:
        if choice not in CHOICES:
            raise ValueError(f"{VARIABLE} must be one of {', '.join(CHOICES)}; got {choice!r}.")
        best = -1 if self.library is None else self.library.best
        if choice in INSTRUCTION_SETS and INSTRUCTION_SETS.index(choice) > best:
            has = self.missing or f"this machine has no more than {INSTRUCTION_SETS[best]}"
            raise ValueError(f"{VARIABLE}={choice} cannot be had: {has}.")
        return choice

    def _instruction_set(self) -> int | None:
        if self.library is None or self.choice == "reference":
            return None
        if self.choice == "auto":
            return self.library.best
        return INSTRUCTION_SETS.index(self.choice)

    def choose(self, choice: str) -> None:
        """Use another of `CHOICES` from now on."""
        self.choice = self._checked(choice)
        self.instruction_set = number = self._instruction_set()
        library = self.library
        self._on_cpu = None if library is None or number is None else Compiled(library, number)

    def compiled(self, x: Tensor) -> Compiled | None:
        """Return the compiled library if it is to be used for `x`, whatever its dtype."""
        return self._on_cpu if x.is_cpu else None

    def uses_triton(self, x: Tensor) -> bool:
        """Tell whether Triton is to be used for `x`, whatever its dtype."""
        return x.is_cuda and self.has_triton and self.choice != "reference"

    def applies(self, x: Tensor, knots: Tensor) -> bool:
        """Tell whether a kernel can be used here; warn once if it should and cannot."""
        if _transformed():
            return False
        fits = x.dtype in DTYPES and x.dtype == knots.dtype
        if fits and (self.uses_triton(x) or self.compiled(x) is not None):
            return True
        if self.choice != "reference" and not self._warned and not torch.compiler.is_compiling():
            self._warned = True
            warnings.warn(
                f"splines are computed in plain torch, which is slower: {self._lack(x, fits)}.  "
                f"`knotwork info` says more; {VARIABLE}=reference chooses this and silences the "
                "warning.",
                stacklevel=5,
            )
        return False

    def _lack(self, x: Tensor, fits: bool) -> str:
        """Say why there is no kernel for `x`."""
        if fits and x.device.type == "cpu":
            return self.missing
        if fits and x.device.type == "cuda":
            return _NO_TRITON
        return f"there is no kernel for {x.dtype} on {x.device.type}"

    def explain(self) -> tuple[str, str]:
        """Return the name of the backend for float32 and float64 on the CPU, and why it is that."""
        if self.instruction_set is None:
            if self.library is None:
                return "reference (plain torch)", self.missing
            return "reference (plain torch)", f"{VARIABLE}=reference"
        name = f"cpu ({INSTRUCTION_SETS[self.instruction_set]})"
        if self.choice != "auto":
            return name, f"{VARIABLE}={self.choice}"
        return name, "the best instruction set of this machine"

    def explain_gpu(self) -> tuple[str, str]:
        """Return the same for tensors on a GPU."""
        if self.choice == "reference":
            return "reference (plain torch)", f"{VARIABLE}=reference"
        if not self.has_triton:
            return "reference (plain torch)", _NO_TRITON
        return "cuda (Triton)", "correctness checked in Triton's interpreter; not timed on a GPU"


def _transformed() -> bool:
    """Tell whether torch.func differentiates, or something does so forwards.

    What torch.library registers has no forward-mode derivatives and does not take part in
    torch.func's gradients.  Its vmap is fine.
    """
    if forward_ad._current_level >= 0:
        return True
    if not torch._C._are_functorch_transforms_active():
        return False
    functorch: Any = torch._C.__dict__["_functorch"]
    levels = functorch.get_interpreter_stack() or ()
    return any(level.key() != functorch.TransformType.Vmap for level in levels)


# An editable installation has the library in another folder than the sources; the package's path
# names both.
selection = Selection(
    sys.modules[__name__.rpartition(".")[0]].__path__, os.environ.get(VARIABLE, "auto")
)


@contextmanager
def use(choice: str) -> Generator[None]:
    """Use a backend for as long as the context lasts.

    Parameters
    ----------
    choice : str
        One of `CHOICES`.

    Examples
    --------
    >>> from knotwork import kernels
    >>> with kernels.use("reference"):
    ...     kernels.selection.choice
    'reference'
    """
    before = selection.choice
    selection.choose(choice)
    try:
        yield
    finally:
        selection.choose(before)
