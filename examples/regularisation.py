"""
Regularisation: how much structure is asked for
===============================================

``lamb`` weighs the number of edges against the error. Without it every edge does something, and
nobody can say what; with too much of it the network no longer fits. In between is the structure of
the data, here three edges.
"""

from pathlib import Path

import torch

from knotwork import KAN, create_dataset
from knotwork.plotting import plot_networks

dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2), train_num=300, noise=0.02
)
models = {}
for lamb in (0, 0.003, 0.3):
    model = KAN([2, 3, 1], seed=4)
    history = model.fit(dataset, lamb=lamb)
    model = models[f"lamb = {lamb}"] = model.prune()
    error = (model(dataset["test_input"]) - dataset["test_label"]).square().mean().sqrt()
    print(f"lamb = {lamb}: {model.edge_count()} edges, test RMSE {error:.2f}")

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
plot_networks(models).savefig(out / "regularisation.png")
