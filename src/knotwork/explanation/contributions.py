r"""What every input adds to a prediction: exact in a sum of functions, along paths in a network.

In a network of one layer without products an output is a sum of functions of single inputs, and an
input's contribution is its function's value less that function's mean over the data. In every
other network it is the integral of the gradient along straight lines from reference rows
:math:`x'` to the row, averaged over them:

.. math:: a_i(x) = \mathrm{E}_{x'} (x_i - x'_i) \int_0^1
          \frac{\partial f}{\partial x_i}\bigl(x' + t (x - x')\bigr)\, dt

M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017; averaged
over rows of the data by G. Erion et al., "Improving performance of deep learning models with
axiomatic attribution priors and expected gradients", Nature Machine Intelligence 3 (2021).
Contributions add up to the prediction less the mean prediction over the reference rows, up to the
error of the quadrature, which is measured. On a sum of functions both definitions agree; and lines
between rows stay near the data, where functions such as logarithms are defined.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..network import KAN
from ..statistics import positive

_MOST_REFERENCES = 100
_FIRST_NODES, _MOST_NODES = 8, 512
# Points that the network is evaluated at in one go.
_BLOCK = 65_536


class Contributions(NamedTuple):
    """What inputs add to predictions.

    Attributes
    ----------
    base : Tensor of shape (outputs,)
        The mean that contributions are counted from.
    inputs : Tensor of shape (rows, inputs, outputs)
    remainder : Tensor of shape (rows, outputs)
        Prediction less base and contributions: the error of rounding and of the quadrature.
    """

    base: Tensor
    inputs: Tensor
    remainder: Tensor


def is_additive(model: KAN) -> bool:
    """Tell whether every output is a sum of functions of single inputs."""
    return model.depth == 1 and not model.nodes[0].products


def some_rows(X: Tensor, most: int) -> Tensor:
    """Return at most so many rows, spread evenly over all of them."""
    if len(X) <= most:
        return X
    return X[torch.linspace(0, len(X) - 1, most, device=X.device).round().long()]


def reference_rows(X: Tensor, outputs: Tensor) -> Tensor:
    """Return the rows that lines start from: all, or 100 spread evenly over all predictions.

    In the order of their predictions, so that their mean prediction is near that of all rows.

    Parameters
    ----------
    X : Tensor of shape (rows, inputs)
    outputs : Tensor of shape (rows, outputs)
    """
    if len(X) <= _MOST_REFERENCES:
        return X
    centred = outputs - outputs.mean(dim=0)
    size = positive(centred.std(dim=0, correction=0))
    order = (centred / size).sum(dim=1).argsort(stable=True)
    places = (torch.arange(_MOST_REFERENCES, device=X.device) + 0.5) * len(X) / _MOST_REFERENCES
    return X[order[places.long()]]


def slopes(model: KAN, x: Tensor) -> Tensor:
    """Return the derivatives of all outputs by all inputs, shape (rows, inputs, outputs).

    nan for outputs that are not finite.
    """
    blocks = [_slopes(model, block) for block in x.split(_BLOCK)]
    return torch.cat(blocks)


def _slopes(model: KAN, x: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = model(x)
        columns = [
            torch.autograd.grad(y[:, output].sum(), x, retain_graph=True)[0]
            for output in range(y.shape[1])
        ]
    # Beyond its domain a function may have a derivative, as 1/x for log, but no value.
    return torch.where(y.isfinite()[:, None], torch.stack(columns, dim=2), torch.nan)


@torch.no_grad()
def contributions(
    model: KAN, rows: Tensor, references: Tensor, edge_mean: Tensor, tolerance: Tensor
) -> Contributions:
    """Take predictions apart, input by input.

    Parameters
    ----------
    model : KAN
    rows : Tensor of shape (rows, inputs)
        What to explain.
    references : Tensor of shape (references, inputs)
        Where the lines to the rows start from.
    edge_mean : Tensor of shape (inputs, sums)
        Means of the first layer's edges over the data.
    tolerance : Tensor of shape (outputs,)
        What the quadrature may be off by before it takes more nodes, up to 512 of them.
    """
    outputs = model(rows)
    if is_additive(model):
        parts = model.layer(0).edge_values(rows) - edge_mean
        base = edge_mean.sum(dim=0) + model.layer(0).bias
        return Contributions(base, parts, outputs - base - parts.sum(dim=1))
    base = model(references).mean(dim=0)
    parts = outputs.new_zeros(len(rows), model.input_count, model.output_count)
    remainder = torch.full_like(outputs, torch.inf)
    nodes, rough = _FIRST_NODES, torch.arange(len(rows), device=rows.device)
    while len(rough) and nodes <= _MOST_NODES:
        parts[rough] = _along_lines(model, rows[rough], references, nodes)
        remainder[rough] = outputs[rough] - base - parts[rough].sum(dim=1)
        close = (remainder[rough].abs() <= tolerance).all(dim=1)
        rough, nodes = rough[~close], 2 * nodes
    return Contributions(base, parts, remainder)


def _along_lines(model: KAN, rows: Tensor, references: Tensor, nodes: int) -> Tensor:
    """Integrate gradients by the rule of Gauss and Legendre; shape (rows, inputs, outputs)."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    t = torch.from_numpy((places + 1) / 2).to(rows)[:, None]
    shares = torch.from_numpy(weights / 2).to(rows)
    found: list[Tensor] = []
    for row in rows:
        steps = row - references
        points = references[:, None] + t * steps[:, None]
        gradients = slopes(model, points.flatten(0, 1)).unflatten(0, points.shape[:2])
        means = torch.einsum("t,btio->bio", shares, gradients)
        found.append((steps[:, :, None] * means).mean(dim=0))
    return torch.stack(found)
