"""
Kepler's third law, from eight planets
======================================

How long a planet takes around the Sun depends on the size of its orbit alone. Eight rows are few,
so the network is the smallest there is: one input, one output, a single curve.
"""

from pathlib import Path

from knotwork import KAN, read_table

root = Path(__file__).parents[1]
table = read_table(root / "examples/data/kepler.csv", target="period_years")

model = KAN([1, 1], grid=3)
model.fit(table.dataset(test_fraction=0))
model.auto_symbolic(lib=["x", "x^2", "x^3", "x^1.5", "1/x", "sqrt", "log", "exp"])
print("period_years =", model.symbolic_formula()[0][0].n(4))

out = root / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
model.plot().savefig(out / "kepler.png")
