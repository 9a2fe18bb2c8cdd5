"""
Classification: two moons
=========================

``KANClassifier`` is a scikit-learn estimator that has to be told nothing. Its log-odds are a sum
of curves, one of each input, where that is enough: so the border between two classes is a formula.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn import datasets, model_selection

from knotwork import KANClassifier

X, y = datasets.make_moons(400, noise=0.15, random_state=0)
X, X_test, y, y_test = model_selection.train_test_split(X, y, random_state=0)
model = KANClassifier().fit(X, y)
print(f"accuracy on {len(y_test)} new points: {model.score(X_test, y_test):.2f}")
print("log-odds =", model.symbolic_formula(X, lib=["x", "x^2", "sin", "tanh"]).n(3))

figure = Figure(figsize=(6, 4), layout="constrained")
axes = figure.subplots()
a, b = np.meshgrid(np.linspace(-1.6, 2.6, 200), np.linspace(-1.1, 1.6, 200))
odds = model.predict_proba(np.column_stack([a.ravel(), b.ravel()]))[:, 1].reshape(a.shape)
axes.contourf(a, b, odds, levels=20, cmap="RdBu_r", vmin=0, vmax=1, alpha=0.5)
axes.contour(a, b, odds, levels=[0.5], colors="black")
axes.scatter(*X_test.T, c=y_test, cmap="RdBu_r", vmin=0, vmax=1, edgecolor="white")
axes.set(xlabel="$x_1$", ylabel="$x_2$", title="New points, and the border that was learned")

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "classification.png")

# %%
# The two curves that the log-odds are a sum of.

model.plot(X, output_names=["log-odds"]).savefig(out / "classification_network.png")
