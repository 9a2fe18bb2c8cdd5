"""What every benchmark writes beside its figures: where and with what they were measured."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import torch

import knotwork

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return the machine and the versions of what ran."""
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "sympy": sympy.__version__,
        "knotwork": knotwork.__version__,
        "threads": torch.get_num_threads(),
    }


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of log y over log x, by least squares; nan for fewer than two points."""
    if len(x) < 2:
        return math.nan
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def write(name: str, figures: dict[str, Any]) -> Path:
    """Write figures with the machine's description to benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n")
    return path
