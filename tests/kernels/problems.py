"""Layers and rows for the tests of the kernels."""

import torch

from knotwork import KANLayer, kernels
from knotwork.knots import adaptive_breaks, extend_knots

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def rows_for(layer, count, seed=1):
    """Draw rows of which about a third of the points lie outside the knots."""
    drawn = torch.randn(count, layer.in_features, generator=source(seed), dtype=torch.float64)
    x = drawn.to(layer.knots)
    if layer.extrapolation == "continue":
        # Polynomials of the fifth degree outgrow every tolerance soon, the faster the narrower the
        # interval that they come from.
        k, knots = layer.k, layer.knots
        low, high = knots[:, k], knots[:, -k - 1]
        x = x.clamp(low - (knots[:, k + 1] - low) / 2, high + (high - knots[:, -k - 2]) / 2)
    return x


def layer_of(
    inputs, outputs, *arguments, absent=0.0, adaptive=False, seed=0, dtype=torch.float64, **options
):
    """Return a layer with a share of its edges absent, and knots at quantiles if `adaptive`."""
    options = {"dtype": torch.float64, "generator": source(seed), **options}
    layer = KANLayer(inputs, outputs, *arguments, grid_eps=0.1 if adaptive else 1.0, **options)
    with torch.no_grad():
        if adaptive:
            x = rows_for(layer, 50, seed + 1) ** 3 / 2
            breaks = adaptive_breaks(x, x.amin(dim=0), x.amax(dim=0), layer.grid, layer.grid_eps)
            layer.knots = extend_knots(breaks, layer.k)
        layer.bias.normal_(generator=source(seed + 2))
    layer.kind[torch.rand(inputs, outputs, generator=source(seed + 3)) < absent] = 0
    return layer.to(dtype)


def evaluate(layer, x, backend, grad):
    """Return the outputs and all gradients, by name, that one backend finds."""
    names = ["coefficients", "bias"] + ["residual_weight"] * (layer.residual is not None)
    inputs = [x] + [getattr(layer, name) for name in names]
    with kernels.use(backend):
        y = layer(x)
        found = torch.autograd.grad(y, inputs, grad(y))
    return {"y": y.detach(), **dict(zip(["x", *names], found, strict=True))}


def assert_backends_agree(layer, x, backend="auto", seed=5):
    x = x.detach().requires_grad_()

    def grad(y):
        return torch.randn(y.shape, generator=source(seed), dtype=torch.float64).to(y)

    expected = evaluate(layer, x, "reference", grad)
    found = evaluate(layer, x, backend, grad)
    for name, value in expected.items():
        size = float(value.abs().nan_to_num().max()) if value.numel() else 0.0
        torch.testing.assert_close(
            found[name],
            value,
            rtol=0,
            atol=TOLERANCE[x.dtype] * max(size, 1.0),
            equal_nan=True,
            msg=lambda text, name=name: f"{name}: {text}",
        )
