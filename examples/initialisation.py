"""
Initialisation: what a network is before it is trained
======================================================

A fresh network has small random splines on top of a residual function. ``seed`` fixes the
start, and ``restart`` draws one on the scale of the data, as ``fit`` does by itself.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from knotwork import KAN, create_dataset

dataset = create_dataset(lambda x: x[:, 0] * x[:, 1], ranges=(0, 20), train_num=100)
X = dataset["train_input"]
x = torch.linspace(0, 20, 100)
figure = Figure(figsize=(10, 3), layout="constrained")
left, middle, right = figure.subplots(1, 3)
for axes, residual in ((left, "silu"), (middle, None)):
    model = KAN([2, 6, 1], residual=residual).restart(X)
    axes.plot(x, torch.stack([model[0, 0, j].values(x) for j in range(5)], dim=1))
    axes.set(xlabel="$x_1$", ylabel="output", title=f"Fresh edges, residual {residual}")

# %%
# Two fits from the same seed are the same to the last digit. Another seed may be luckier, so
# ``fit`` tries several starts of a small network and goes on with the best one.

for starts, marker in ((1, "o"), (5, "*")):
    errors = []
    for seed in range(6):
        history = KAN([2, (0, 1), 1], seed=seed).fit(dataset, starts=starts, steps=10)
        errors.append(history.test_loss[-1])
    right.semilogy(errors, marker, markersize=8, label=f"best of {starts}")
    print(f"best of {starts}: the worst of five seeds has RMSE {max(errors):.0e}")
right.set(xlabel="seed", ylabel="test RMSE", title="After ten steps")
right.legend(frameon=False)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "initialisation.png")
