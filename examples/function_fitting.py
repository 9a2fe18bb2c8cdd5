"""
Function fitting: the finer the grid, the smaller the error
===========================================================

Where a network has the structure of a function, only the splines' grids stand between it and the
truth. ``refine`` makes the grid finer and keeps what was learned. The error of cubic splines
falls with the fourth power of the grid, here down to a few parts in a billion.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from knotwork import KAN, create_dataset

dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2), train_num=2000
)
grids, train, test = [5, 10, 20, 40, 80, 160], [], []
model = KAN([2, 1, 1])
for grid in grids:
    model = model.refine(grid)
    history = model.fit(dataset, steps=20, smoothness=0)  # there is no noise to be smoothed away
    train.append(history.train_loss[-1])
    test.append(history.test_loss[-1])
    print(f"grid {grid}: test RMSE {test[-1]:.0e}")

figure = Figure(figsize=(5.5, 4), layout="constrained")
axes = figure.subplots()
axes.loglog(grids, train, "o-", label="training")
axes.loglog(grids, test, "s--", label="test")
axes.loglog(grids, [test[0] * (grid / grids[0]) ** -4 for grid in grids], ":k", label="grid$^{-4}$")
axes.set(xlabel="intervals of the grid", ylabel="RMSE", title="exp(sin($\\pi x_1$) + $x_2^2$)")
axes.set_xticks(grids, grids)
axes.minorticks_off()
axes.legend(frameon=False)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "function_fitting.png")
