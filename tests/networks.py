"""Networks for tests."""

import torch

from knotwork import KAN, LIBRARY, SymbolicFunction

SOFTSIGN = SymbolicFunction("softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + abs(x)))


def normal(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def mixed_network(**options):
    """Return a network with edges and nodes of every kind and several outputs."""
    model = KAN([3, (2, [3, 2]), (1, 1), (1, 1)], grid=3, **options)
    with torch.no_grad():
        for index in range(model.depth):
            layer = model.layer(index)
            layer.bias.copy_(normal(layer.out_features, seed=index))
    first, second, third = (model.layer(index) for index in range(3))
    first.set_symbolic(0, 2, LIBRARY["sin"], 2.0, 0.3, -1.5, 0.25)
    first.set_symbolic(2, 5, LIBRARY["x^2"], 1.0, 0.4, 0.7, -1.0)
    first.set_symbolic(1, 0, SOFTSIGN, 0.8, -0.2, 1.3, 0.1)
    first.remove_edge(1, 2)
    first.remove_edge(2, 0, 0.3)
    second.set_symbolic(3, 1, LIBRARY["exp"], 0.2, 0.0, 0.9, 0.0)
    second.set_symbolic(0, 1, LIBRARY["x"], 1.0, 0.0, 0.5, 0.0)
    second.remove_edge(2, 2)
    # A layer without any spline.
    for j in range(3):
        third.remove_edge(0, j)
        third.set_symbolic(1, j, LIBRARY["tanh"], 0.5 + j, 0.1, 1.0, 0.0)
    return model
