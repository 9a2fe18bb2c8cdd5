"""
Plotting: networks, edges and fits
==================================

Every picture is a Matplotlib Figure that belongs to you: no window opens, and no file is written
unless you save one. The larger an edge's influence, the darker it is drawn.
"""

from pathlib import Path

from knotwork import KAN, create_dataset
from knotwork.plotting import plot_edge, plot_history

dataset = create_dataset(lambda x: (x[:, 0] ** 2 + x[:, 1] ** 2).sqrt() + 0.1 * x[:, 2], n_var=3)
model = KAN([3, 2, 1])
history = model.fit(dataset, lamb=1e-3)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)

# %%
# Names, with formulas in them too, and a title are yours to choose; weak edges can be left out.

names = ["$r \\cos\\varphi$", "$r \\sin\\varphi$", "height"]
options = {"input_names": names, "output_names": ["distance"], "threshold": 0.03}
figure = model.plot(title="What is left above a threshold", **options)
figure.savefig(out / "plotting.png")
print(f"{len(figure.axes[0].patches)} of {model.edge_count()} edges are drawn")

# %%
# One edge from nearby: its knots, where its data lies, and how it goes on beyond.

plot_edge(model[0, 0, 0]).savefig(out / "plotting_edge.png")

# %%
# The course of the fit.

plot_history(history).savefig(out / "plotting_history.png")
