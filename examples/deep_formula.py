"""
A deep formula: an orbital of hydrogen
======================================

The wave function of hydrogen's electron falls off exponentially with the distance from the nucleus.
From three coordinates that takes squares, a sum, a root and an exponential: three layers, and each
finds its part, though nobody says where the distance comes in.
"""

from pathlib import Path

import torch

from knotwork import KAN, create_dataset

dataset = create_dataset(
    lambda position: torch.exp(-position.norm(dim=1)), n_var=3, ranges=(-2, 2), train_num=300
)
model = KAN([3, 1, 1, 1])
print(model.fit(dataset))

# %%
# The splines are good enough to be recognised at once, so no fresh starts are tried.

print(model.auto_symbolic(lib=["x^2", "sqrt", "exp"], restarts=0))
print("wave function =", model.symbolic_formula(["x", "y", "z"])[0][0])

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure = model.plot(input_names=["$x$", "$y$", "$z$"], output_names=[r"$\psi$"])
figure.savefig(out / "deep_formula.png")
