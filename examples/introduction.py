"""
A function, from a thousand numbers to its formula
==================================================

A network learns a function of two inputs, sheds the edges that it does not need, and what is left
is replaced by functions with names: the formula comes back as it went in.
"""

from pathlib import Path

import torch

from knotwork import KAN, create_dataset

dataset = create_dataset(
    lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2), n_var=2
)
model = KAN(width=[2, 5, 1], grid=5, k=3, seed=0)
model.train(dataset, opt="LBFGS", steps=20, lamb=0.01, lamb_entropy=10.0)
model = model.prune()
model.train(dataset, opt="LBFGS", steps=50)

# %%
# Three splines are left. Each becomes a function of a library, chosen in the context of the others.

model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
model.train(dataset, opt="LBFGS", steps=50)
print(model.symbolic_formula()[0][0])

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
model.plot().savefig(out / "introduction.png")
