"""
Indexing: every edge and node has a place
=========================================

An edge is ``model[l, i, j]``: in layer l it leads from input i to sum j, all counted from 0. It is
a spline, a symbolic function, or absent. Here the first layer makes three sums: the first is a node
by itself, and the others are the factors of a node that multiplies.
"""

from pathlib import Path

from knotwork import KAN, create_dataset
from knotwork.plotting import network_drawing

dataset = create_dataset(lambda x: (3 * x[:, 0]).sin() + x[:, 1] * x[:, 2], n_var=3)
model = KAN([3, (1, 1), 1])
model.fit(dataset, lamb=1e-3)
model = model.prune_edges()
print(f"{model.edge_count()} of 11 edges are left")
print("sums that node 1 multiplies:", list(model.nodes[0].members(1)))

# %%
# An edge tells what it is and what reaches it.

edge = model[0, 0, 0]
print(edge, "is reached by values from {:.2f} to {:.2f}".format(*edge.range()))
model.fix_symbolic(0, 0, 0, "sin")
print("now it is", edge.kind, "with a function called", edge.function.name)
print(model[0, 1, 0], "was pruned")

# %%
# A picture is data before it is drawn, so each box can be labelled with the place of its edge.

figure = model.plot()
for edge in network_drawing(model).edges:
    place = f"{edge.l}, {edge.i}, {edge.j}"
    figure.axes[0].text(edge.box.left, edge.box.bottom - 0.04, place, fontsize=8, va="top")

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "indexing.png")
