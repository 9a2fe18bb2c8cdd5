"""``knotwork info``: versions, and which backend computes splines."""

from __future__ import annotations

import platform

import click
import numpy as np
import sympy
import torch

from .. import __version__
from ..kernels import selection
from .console import say


@click.command()
def info() -> None:
    """Print versions, and which backend computes splines and why."""
    backend, why = selection.explain()
    compiled = selection.library
    threads = torch.get_num_threads()
    if compiled is not None and not compiled.threaded:
        threads = f"1 of torch's {threads}, as its OpenMP was not found"
    facts = {
        "knotwork": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "sympy": sympy.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "backend": f"{backend}: {why}",
        "on a GPU": ": ".join(selection.explain_gpu()),
        "library": selection.missing if compiled is None else compiled.path,
        "threads": threads,
        "elsewhere": "reference (plain torch): other dtypes than float32 and float64, other "
        "devices, second derivatives, gradients by torch.func",
    }
    for name, fact in facts.items():
        say(f"{name:<10} {fact}", whole=True)
