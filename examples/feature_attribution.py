"""
Feature attribution: which inputs matter
========================================

Of ten inputs five are in the function behind the data and five are not (J. H. Friedman's first
problem). An input's importance is the share of the output's spread that goes through it. With some
noise in the data no input is quite without any, but the two kinds are well apart.
"""

from pathlib import Path

from matplotlib.figure import Figure
from sklearn import datasets

from knotwork import KAN

X, y = datasets.make_friedman1(500, noise=0.5, random_state=0)
model = KAN([10, 1], grid=3)
model.fit((X, y))
importance = model.attribute().inputs.tolist()

# %%
# Pruning takes the columns of the others away too; the report says which (counted from 0).

smaller = model.prune_inputs(0.1)
print(smaller.prune_report)

figure = Figure(figsize=(6, 3), layout="constrained")
axes = figure.subplots()
axes.bar([f"$x_{{{i}}}$" for i in range(1, 11)], importance, color=["C0"] * 5 + ["C7"] * 5)
axes.axhline(0.1, color="black", linestyle=":", label="threshold of pruning")
axes.set(ylabel="share of the output's spread", title="Importance of each input")
axes.legend(frameon=False)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "feature_attribution.png")
