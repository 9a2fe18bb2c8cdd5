"""
Continual learning: new peaks, old ones kept
============================================

A spline is local: its coefficients matter between a few knots, so data from one place leaves the
others alone. Five peaks are shown one after the other, none of them twice. One number is not local,
the bias of the output: it is held where it is. All numbers of a perceptron are shared by all places,
and it forgets. So would a deeper network of splines: what comes after its first layer is shared.
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
models = {
    "KAN": (kan, {"update_grid": False, "smoothness": 0, "steps": 5}),
    "MLP": (MLP([1, 32, 32, 1]), {"opt": "LBFGS", "steps": 6}),
}
figure = Figure(figsize=(10, 3.6), layout="constrained")
for row, (name, (model, options)) in zip(
    figure.subplots(2, 5, sharex=True, sharey=True), models.items(), strict=True
):
    for phase, axes in enumerate(row):
        shown = peak == phase
        model.fit((x[shown], y[shown]), **options)
        axes.plot(x, y, color="lightgrey", linewidth=3)
        axes.plot(x[shown], y[shown], color="C1", linewidth=3)
        axes.plot(x, model(x).detach(), color="C0")
        axes.set_ylim(-0.4, 1.4)
        axes.set_title(f"{name}, peak {phase + 1}", fontsize=10)
    error = (model(x) - y).square().mean().sqrt()
    print(f"{name}: RMSE over all five peaks {error:.1g}")
figure.supxlabel("x", fontsize=10)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "continual_learning.png")
