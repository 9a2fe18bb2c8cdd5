"""
Special functions: bring your own
=================================

The library of functions is open: a name, the function for torch and the same one for SymPy make a
record. Here it is the Bessel function :math:`J_0`, which describes the waves of a drum.
"""

from pathlib import Path

import sympy
import torch

from knotwork import KAN, SymbolicFunction, create_dataset
from knotwork.plotting import plot_edge

bessel = SymbolicFunction(
    "J0",
    torch.special.bessel_j0,
    lambda x: sympy.besselj(0, x),
    derivative=lambda x: -torch.special.bessel_j1(x),
    parity="even",
)
dataset = create_dataset(
    lambda x: torch.exp(bessel.torch(x[:, 0]) - x[:, 1] ** 2), ranges=[(0, 15), (0, 2)]
)
model = KAN([2, 1, 1], grid=20)
print(model.fit(dataset))

# %%
# The network has met nothing but numbers, and an edge of it has become a Bessel function.

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
plot_edge(model[0, 0, 0]).savefig(out / "special_functions.png")
print(model.suggest_symbolic(0, 0, 0, lib=["sin", "cos", "exp", "gaussian", bessel]))

# %%
# Put in its place, it is one function of a formula like any other.

model.auto_symbolic(lib=["x", "x^2", "exp", "sin", bessel])
formula = model.symbolic_formula(["r", "t"])[0][0]
print("y =", formula)
model.plot(input_names=["r", "t"]).savefig(out / "special_functions_network.png")
