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

# Most rows are near zero, where the function is steep.
x = torch.randn(2000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 3
y = torch.tanh(5 * x)
shown = torch.linspace(-3, 3, 600, dtype=torch.float64)
figure = Figure(figsize=(7, 5), layout="constrained")
for axes, grid_eps in zip(figure.subplots(2, 1, sharex=True), (1.0, 0.0), strict=True):
    model = KAN([1, 1], grid=20, grid_eps=grid_eps)
    history = model.fit((x, y))
    print(f"grid_eps {grid_eps}: RMSE {history.train_loss[-1]:.0e}")
    axes.plot(shown, torch.tanh(5 * shown), color="lightgrey", linewidth=5, label="truth")
    axes.plot(shown, model(shown[:, None]).detach(), label="network")
    axes.plot(model.layer(0).knots[0], 0 * model.layer(0).knots[0] - 1.3, "k|", label="knots")
    axes.set(xlim=(-3, 3), ylabel="y", title=f"grid_eps = {grid_eps}")
axes.legend(frameon=False)
axes.set(xlabel="x")

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "grids.png")
