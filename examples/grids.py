"""
Grids: knots where the data is
==============================

A spline can only bend at its knots, and ``fit`` moves them to the data. ``grid_eps`` says how they
are placed: evenly (1, the default), by the quantiles of the data (0), or in between. Here most rows
are near zero, where the function is steep, and a few are far away.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from knotwork import KAN

x = torch.randn(2000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 3
y = torch.tanh(5 * x)
at = torch.linspace(-3, 3, 600, dtype=torch.float64)
figure = Figure(figsize=(7, 5), layout="constrained")
for axes, grid_eps in zip(figure.subplots(2, 1, sharex=True, sharey=True), (1, 0), strict=True):
    model = KAN([1, 1], grid=20, grid_eps=grid_eps)
    history = model.fit((x, y))
    print(f"grid_eps {grid_eps}: RMSE {history.train_loss[-1]:.0e}")
    knots = model.layer(0).knots[0]
    axes.plot(at, torch.tanh(5 * at), color="lightgrey", linewidth=5, label="tanh(5x)")
    axes.plot(at, model(at[:, None]).detach(), label="network")
    axes.plot(knots, torch.full_like(knots, -1.6), "k|", markersize=10, label="knots")
    axes.set(xlim=(-3, 3), ylabel="y", title=f"grid_eps = {grid_eps}")
axes.set(xlabel="x (a few rows lie as far out as ±40)")
axes.legend(frameon=False)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "grids.png")

# %%
# ``update_grid`` does it by hand, say for data that is to come. The function is kept as well as the
# new knots allow.

before = model(x)
model.update_grid(3 * x)
print("knots from {:.0f} to {:.0f}".format(*model[0, 0, 0].knot_range))
print(f"the function moved by at most {(model(x) - before).abs().max():.2f}")
