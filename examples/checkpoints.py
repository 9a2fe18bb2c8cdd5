"""
Checkpoints: stop today, go on tomorrow
=======================================

A network is saved as one safetensors file, which holds numbers and names and nothing that could be
executed. The file is written whole or not at all.
"""

from pathlib import Path

import torch

import knotwork
from knotwork.plotting import plot_history

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
dataset = knotwork.create_dataset(lambda x: torch.sin(3 * x[:, 0]) * x[:, 1], train_num=500)
model = knotwork.KAN([2, 4, 1])
today = model.fit(dataset, steps=15)
model.save(out / "checkpoints.safetensors")

# %%
# The network comes back to the last digit, and training goes on from there, here on a finer grid.

same = knotwork.load(out / "checkpoints.safetensors")
print("the same outputs:", torch.equal(same(dataset["test_input"]), model(dataset["test_input"])))
tomorrow = same.refine(10).fit(dataset, steps=15)
print(f"the error fell by more than half: {tomorrow.test_loss[-1] < today.test_loss[-1] / 2}")

plot_history([today, tomorrow]).savefig(out / "checkpoints.png")
