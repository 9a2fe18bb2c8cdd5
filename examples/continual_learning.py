"""
Continual learning: new peaks, old ones kept
============================================

A spline is local: its coefficients matter between a few knots, so data from one place leaves the
others alone. Five peaks are shown one after the other, and none is shown again. One number of a
network is not local, the bias of its output; it is held where it is. A perceptron has no such
memory. (Nor has a deeper network of splines: its first layer is local, what comes after is shared.)
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from knotwork import KAN, MLP

x = torch.linspace(0, 5, 500, dtype=torch.float64)[:, None]
y = torch.exp(-50 * (x % 1 - 0.5) ** 2)
kan = KAN([1, 1], grid=50, grid_range=(0, 5), residual=None)
kan.layer(0).bias.requires_grad_(False)
models = {
    "KAN": (kan, {"update_grid": False, "smoothness": 0, "steps": 10}),
    "MLP": (MLP([1, 16, 16, 1]), {"opt": "Adam", "lr": 0.02, "steps": 200}),
}
