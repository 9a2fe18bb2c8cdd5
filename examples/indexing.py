"""
Indexing: every edge and node has a place
=========================================

An edge is ``model[l, i, j]``: it leads from node i of level l to sum j of the next level, all
counted from 0. It is a spline, a symbolic function, or absent. This network has a node that
multiplies: sums 1 and 2 of the first layer are its two factors.
"""

from pathlib import Path

from knotwork import KAN, create_dataset
from knotwork.plotting import network_drawing

dataset = create_dataset(lambda x: (3 * x[:, 0]).sin() + x[:, 1] * x[:, 2], n_var=3)
model = KAN([3, (1, 1), 1])
model.fit(dataset, lamb=1e-3)
model = model.prune_edges()
print("factors of the node that multiplies:", list(model.nodes[0].members(1)))

# %%
# An edge tells what it is, what reaches it, and what it makes of that.

model.fix_symbolic(0, 0, 0, "sin")
print(model[0, 0, 0])
print(model[0, 1, 1], "for x in [{:.2f}, {:.2f}]".format(*model[0, 1, 1].range()))
print(model[0, 2, 0])
print(f"{model.edge_count()} of 11 edges are there")

# %%
# The picture is data before it is a picture, so each box can be labelled with its edge.

figure = model.plot()
for edge in network_drawing(model).edges:
    x, y = edge.box.right, edge.box.bottom
    figure.axes[0].text(x, y, f"{edge.l}, {edge.i}, {edge.j}", ha="right", va="top", fontsize=8)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "indexing.png")
