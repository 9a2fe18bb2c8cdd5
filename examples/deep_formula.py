"""
A deep formula: the distance between two points
===============================================

Differences, squares, a sum, and a root: three layers for three stages. The deeper a network, the
more it depends on its random start, so eight are tried for a few steps, and the best goes on.
"""

from pathlib import Path

from knotwork import KAN, create_dataset

dataset = create_dataset(
    lambda p: ((p[:, 0] - p[:, 1]) ** 2 + (p[:, 2] - p[:, 3]) ** 2).sqrt(), n_var=4, train_num=500
)
model = KAN([4, 2, 1, 1], grid=3)
print(model.fit(dataset, starts=8))
report = model.auto_symbolic(lib=["x", "x^2", "sqrt"], restarts=0)
print("distance =", model.symbolic_formula(["x_1", "x_2", "y_1", "y_2"])[0][0])

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
names = ["$x_1$", "$x_2$", "$y_1$", "$y_2$"]
model.plot(input_names=names, output_names=["distance"]).savefig(out / "deep_formula.png")
