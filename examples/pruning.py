"""
Pruning: leave out what does not matter
=======================================

A penalty, ``lamb``, makes a network do its work with few edges, and ``prune`` takes the idle
ones away. It returns a new network, and its report says what that cost.
"""

from pathlib import Path

import torch

from knotwork import KAN, create_dataset
from knotwork.plotting import plot_networks

dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2), n_var=3, noise=0.01
)
model = KAN([3, 3, 1])
model.fit(dataset, lamb=1e-2)
pruned = model.prune()
print(pruned.prune_report)

# %%
# What is left is trained again, without the penalty.

print(f"from {model.edge_count()} edges to {pruned.edge_count()}; widths: {pruned.width}")
print(pruned.fit(dataset))

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure = plot_networks({"Trained with a penalty": model, "Pruned": pruned})
figure.savefig(out / "pruning.png")
