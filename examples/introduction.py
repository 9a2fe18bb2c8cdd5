"""The introductory example: a network learns a function and tells its formula."""

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
model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
model.train(dataset, opt="LBFGS", steps=50)
print(model.symbolic_formula()[0][0])

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
model.plot().savefig(out / "introduction.png")
