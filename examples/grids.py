"""
Grids: knots where the data is
==============================

A spline can only bend at its knots. ``grid_eps`` says how they are placed whenever a grid is
updated: evenly (1), by the quantiles of the data (0), or in between.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from knotwork import KAN

x = torch.randn(1000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 3
y = torch.sin(6 * x.abs() ** (1 / 3) * x.sign())
figure = Figure(figsize=(8, 5), layout="constrained")
for axes, grid_eps in zip(figure.subplots(2, 1, sharex=True), (1.0, 0.0), strict=True):
    model = KAN([1, 1], grid=20, grid_eps=grid_eps)
    history = model.fit((x, y))
