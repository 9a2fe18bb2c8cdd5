"""
A real table: how diabetes progresses
=====================================

Ten measurements of 442 patients, and how far their disease had come a year later. Without hidden
nodes a network is a sum of curves, one of each input, that can be read like a chart.
"""

from pathlib import Path

import torch
from sklearn import datasets, linear_model, metrics, model_selection

from knotwork import KAN

X, y = datasets.load_diabetes(return_X_y=True, as_frame=True)
X, X_test, y, y_test = model_selection.train_test_split(X, y, random_state=0)
model = KAN([10, 1], grid=3)
model.fit((X, y), lamb=0.003, smoothness=1e-6)
model = model.prune()
for name, importance in zip(X.columns, model.attribute().inputs.tolist(), strict=True):
    print(f"{name:<4} {importance:.2f}")

# %%
# A linear model is a yardstick for every other, and here it is hard to beat.

ours = model(torch.tensor(X_test.to_numpy())).detach()
theirs = linear_model.LinearRegression().fit(X, y).predict(X_test)
print(f"R^2 on {len(y_test)} rows kept aside: {metrics.r2_score(y_test, ours):.3f}")
print(f"R^2 of a linear model on them: {metrics.r2_score(y_test, theirs):.3f}")

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
model.plot().savefig(out / "diabetes.png")
