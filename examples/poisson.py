r"""
Poisson's equation on a square
==============================

A network can be fitted to an equation instead of data.  Here

.. math:: u_{xx} + u_{yy} = -2 \pi^2 \sin(\pi x) \sin(\pi y), \qquad |x|, |y| \le 1,

with :math:`u = 0` on the boundary, whose solution is :math:`\sin(\pi x) \sin(\pi y)`: the problem
of section 3.4 of the KAN paper (arXiv 2404.19756).  No value of the solution inside the square is
given to the fit.
"""

import os
import time
from pathlib import Path

import torch
from matplotlib import pyplot as plt

from knotwork import KAN, MLP, Equation, derivatives, fit_equations


def solution(x):
    return torch.sin(torch.pi * x).prod(dim=1, keepdim=True)


# %%
# An equation is a function of the network and of points that is to be zero at each of them, the
# points, and a weight.  `derivatives` differentiates the network twice; what it returns can be
# differentiated by the parameters, which Levenberg-Marquardt does.
def poisson(u, x):
    return derivatives(u, x).laplacian + 2 * torch.pi**2 * solution(x)


random = torch.Generator().manual_seed(0)
inside = 2 * torch.rand(3000, 2, generator=random, dtype=torch.float64) - 1
side = torch.linspace(-1, 1, 64, dtype=torch.float64)
ends = torch.cartesian_prod(side, side[[0, -1]])
edge = torch.cat([ends, ends.flip(1)])

# %%
# The error is measured on a fine grid, boundary included, of points that no fit has seen.
axis = torch.linspace(-1, 1, 101, dtype=torch.float64)
fine = torch.cartesian_prod(axis, axis)


@torch.no_grad()
def relative_error(u):
    return float((u(fine) - solution(fine)).norm() / solution(fine).norm())


def fit(model, steps, points, curve):
    equations = [Equation(poisson, inside[:points], 0.01), Equation(lambda u, x: u(x), edge)]
    watch = [lambda progress: curve.append(relative_error(progress.model))]
    return fit_equations(model, equations, steps=steps, callbacks=watch)


# %%
# The network has six multiplication nodes: each multiplies two sums of functions of x and y.
# Quintic splines are smooth enough to be differentiated twice and fitted.  On a coarse grid the
# fit soon finds the shape; finer grids keep the function, need more points, and are more accurate.
quick = os.environ.get("KNOTWORK_QUICK") == "1"
stages = [(4, 10, 500)] if quick else [(4, 15, 1000), (8, 20, 1500), (16, 10, 3000)]
kan = KAN([2, (0, 6), 1], grid=4, k=5, residual=None, extrapolation="continue")
began, curves = time.perf_counter(), {"KAN": [], "MLP": []}
for grid, steps, points in stages:
    kan = kan.refine(grid)
    fit(kan, steps, points, curves["KAN"])
print(f"KAN: relative L2 error {relative_error(kan):.1e}, {time.perf_counter() - began:.1f} s")

# %%
# A perceptron of about as many parameters, fitted to the same residuals in the same way.
began = time.perf_counter()
mlp = MLP([2, 20, 20, 1], activation="tanh")
fit(mlp, 10 if quick else 100, 500 if quick else 1000, curves["MLP"])
print(f"MLP: relative L2 error {relative_error(mlp):.1e}, {time.perf_counter() - began:.1f} s")


# %%
# What both found, where they are wrong, and how they came to it.
def image(values):
    return values.detach().reshape(101, 101).T.numpy()


panels = {
    "KAN": image(kan(fine)),
    "error of the KAN": image(kan(fine) - solution(fine)),
    "error of the MLP": image(mlp(fine) - solution(fine)),
}
figure, axes = plt.subplots(1, 4, figsize=(15, 3.3), layout="constrained")
for panel, (title, values) in zip(axes, panels.items(), strict=False):
    most = abs(values).max()
    picture = panel.imshow(
        values, "RdBu_r", origin="lower", extent=(-1, 1, -1, 1), vmin=-most, vmax=most
    )
    figure.colorbar(picture, ax=panel, shrink=0.85)
    panel.set(title=title, xlabel="x", ylabel="y", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
for name, curve in curves.items():
    axes[3].semilogy(range(1, len(curve) + 1), curve, label=name)
axes[3].set(title="relative L2 error", xlabel="step of Levenberg-Marquardt")
axes[3].legend()
out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "poisson.png", dpi=120)
