"""
Division out of additions
=========================

Nodes of a network only add. It divides all the same, as on a slide rule: x₁ / x₂ is
exp(log x₁ - log x₂), and that is what the three edges become.
"""

from pathlib import Path

from knotwork import KAN, create_dataset

dataset = create_dataset(lambda x: x[:, [0]] / x[:, [1]], n_var=2, ranges=(1, 3))
model = KAN([2, 1, 1])
print(model.fit(dataset))
print(model.auto_symbolic(lib=["log", "exp"]))
print("y =", model.symbolic_formula()[0][0])

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
model.plot().savefig(out / "division.png")
