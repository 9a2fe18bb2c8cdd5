"""
Continual learning: new peaks, old ones kept
============================================

A spline is local: its coefficients matter between a few knots, so data from one place leaves the
others alone. Five peaks are shown one after the other, none of them twice. One number is not local,
the bias of the output: it is held where it is. A perceptron shares all its numbers among all
places, and forgets. So would a deeper network of splines: only its first layer is local.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from knotwork import KAN, MLP

x = torch.linspace(-1, 1, 500, dtype=torch.float64)[:, None]
peak = torch.arange(500) // 100
y = torch.exp(-300 * (x + 0.8 - 0.4 * peak[:, None]) ** 2)
kan = KAN([1, 1], grid=80, residual=None)
torch.nn.init.zeros_(kan.layer(0).coefficients)
kan.layer(0).bias.requires_grad_(False)
fits = (
    ("KAN", kan, {"update_grid": False, "smoothness": 0, "steps": 5}),
    ("MLP", MLP([1, 16, 16, 1], activation="tanh"), {"opt": "LBFGS", "steps": 10}),
)
figure = Figure(figsize=(11, 4), layout="constrained")
grid = figure.subplots(2, 5, sharex=True, sharey=True)
for row, (name, model, options) in zip(grid, fits, strict=True):
    for phase, axes in enumerate(row):
        shown = peak == phase
        model.fit((x[shown], y[shown]), **options)
        axes.plot(x, y, color="lightgrey", linewidth=3)
        axes.plot(x[shown], y[shown], color="C1", linewidth=3)
        axes.plot(x, model(x).detach(), color="C0")
        axes.set(ylim=(-0.4, 1.4), title=f"{name}, peak {phase + 1}")
    error = (model(x) - y).square().mean().sqrt()
    print(f"{name}: RMSE over all five peaks {error:.1g}")
figure.supxlabel("x")

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "continual_learning.png")
