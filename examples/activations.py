"""
Activations: reading what a network has learned
===============================================

The functions on the edges are the model, and they can be read as numbers. Here three edges are all
there is, and each has become a part of the function behind the data, up to a shift and a factor.
"""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from knotwork import KAN, create_dataset

dataset = create_dataset(lambda x: torch.exp(torch.sin(3 * x[:, 0]) + x[:, 1] ** 2))
model = KAN([2, 1, 1], grid=10)
model.fit(dataset, steps=20)

# %%
# ``trace`` tells what goes through the network: here what the hidden node makes of three rows.

x, y = dataset["test_input"], dataset["test_label"][:, 0]
traces, _ = model.trace(x)
print("hidden node:", traces[1].inputs[:3, 0].detach().numpy().round(2))

# %%
# ``values`` evaluates an edge anywhere, and ``inputs`` are the numbers that reach it.

sine, square = (3 * x[:, 0]).sin(), x[:, 1] ** 2
parts = {"sin(3x₁)": ((0, 0, 0), sine), "x₂²": ((0, 1, 0), square), "exp": ((1, 0, 0), y)}
figure = Figure(figsize=(10, 3), layout="constrained")
for axes, (name, (key, part)) in zip(figure.subplots(1, 3), parts.items(), strict=True):
    at, order = model[key].inputs(x).sort()
    values, part = model[key].values(at), part[order]
    print(f"edge {key} against {name}: R^2 = {np.corrcoef(values, part)[0, 1] ** 2:.3f}")
    axes.plot(at, values, linewidth=4, alpha=0.4, label=f"edge {key}")
    axes.plot(at, np.poly1d(np.polyfit(part, values, 1))(part), "k--", label=name)
    axes.set(xlabel="what reaches the edge", ylabel="output")
    axes.legend(frameon=False)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "activations.png")

# %%
# To every spline a residual is added, SiLU unless you choose another. It gives the network its
# first shape; as splines can make up for any, it matters little in the end.

for residual in ("silu", "identity", "tanh", "sin", None):
    history = KAN([2, 1, 1], grid=10, residual=residual).fit(dataset, steps=20)
    print(f"{residual}: RMSE {history.test_loss[-1]:.0e}")
