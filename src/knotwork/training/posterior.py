r"""A network's posterior: minus the log-likelihood over the dispersion, plus the prior's energy.

Parameters are one matrix a layer, a row for every output: its edges' coefficients and its bias.
The Gauss-Newton matrix's block between outputs `j` of one layer and `j'` of another is

.. math:: \Phi^T \mathrm{diag}\Big(\sum_c s_{jc}\, s_{j'c}\Big) \Phi'

with the layers' features :math:`\Phi` and the slopes `s` of the directions `c` that
`likelihoods` names, so no Jacobian is formed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Samples
from ..network import KAN
from .likelihoods import Likelihood
from .priors import LayerPrior

# Rows of features held at once.
_ROWS = 8192
# Numbers of the first layer's features up to which they are kept from step to step.
_MOST_KEPT = 2**24
_LEAST_DISPERSION = 1e-10
# Precision of hidden nodes' biases: inputs of a hidden layer have unit size.
_BIAS_PRECISION = 1.0
# Keeps a factorisation from failing on rounding errors, relative to the largest diagonal entry.
_JITTER = 1e-12


@dataclass(frozen=True)
class _Sweep:
    """A block of rows on its way through the network: a list entry a layer."""

    samples: Samples
    features: list[Tensor]
    derivatives: list[Tensor]
    outputs: Tensor


class Posterior:
    """A network's posterior, as a problem for `LevenbergMarquardt`.

    Parameters
    ----------
    model : KAN
        Of sum nodes and spline edges without residuals, float64.
    samples : Samples
        With weights.
    likelihood : Likelihood

    Attributes
    ----------
    dispersion : float
        The variance of errors; 1 for classes.
    priors : list of LayerPrior
    """

    def __init__(self, model: KAN, samples: Samples, likelihood: Likelihood) -> None:
        assert samples.weights is not None
        self.model = model
        self.samples = samples
        self.likelihood = likelihood
        self.weight = float(samples.weights.sum())
        self.dispersion = 1.0
        self._layers = [model.layer(index) for index in range(model.depth)]
        self.priors = [LayerPrior(self._layers[0], samples.inputs, samples.weights, tied=False)]
        self.priors += [LayerPrior.hidden(layer) for layer in self._layers[1:]]
        self._sizes = [
            (layer.out_features, layer.in_features * layer.coefficients.shape[1] + 1)
            for layer in self._layers
        ]
        self.size = sum(rows * columns for rows, columns in self._sizes)
        self._kept: list[Tensor] | None = None
        if len(samples) * self._sizes[0][1] <= _MOST_KEPT:
            self._kept = [self._new_features(block) for block in samples.blocks(_ROWS)]
        self._known: tuple[float, Tensor, Tensor] | None = None

    # -- parameters ------------------------------------------------------------------------------

    @torch.no_grad()
    def read(self) -> Tensor:
        """Return the parameters, shape (size,)."""
        parts = [
            torch.cat([layer.coefficients.permute(2, 0, 1).flatten(1), layer.bias[:, None]], dim=1)
            for layer in self._layers
        ]
        return torch.cat([part.flatten() for part in parts])

    @torch.no_grad()
    def write(self, parameters: Tensor) -> None:
        """Set the network's parameters."""
        self._known = None
        for layer, whole in zip(self._layers, self._split(parameters), strict=True):
            edges = whole[:, :-1].unflatten(1, (layer.in_features, -1))
            layer.coefficients.copy_(edges.permute(1, 2, 0))
            layer.bias.copy_(whole[:, -1])

    def _split(self, parameters: Tensor) -> list[Tensor]:
        parts = parameters.split([rows * columns for rows, columns in self._sizes])
        return [part.view(shape) for part, shape in zip(parts, self._sizes, strict=True)]

    def _edges(self) -> list[Tensor]:
        """Return every layer's coefficients, shape (outputs, inputs, coefficients)."""
        return [layer.coefficients.detach().permute(2, 0, 1) for layer in self._layers]

    # -- values ----------------------------------------------------------------------------------

    @torch.no_grad()
    def loss(self, samples: Samples | None = None) -> float:
        """Return minus the log-likelihood, for the dispersion 1, of these rows or its own."""
        rows, total = self.samples if samples is None else samples, 0.0
        for number, block in enumerate(rows.blocks(_ROWS)):
            if samples is None:
                x = self._first(number, block) @ self._split(self.read())[0].T
                for layer in self._layers[1:]:
                    x = layer(x)
            else:
                x = self.model(block.inputs)
            losses = self.likelihood.losses(x, block.targets)
            total += float(losses.sum() if block.weights is None else losses @ block.weights)
        return total

    def energy(self) -> float:
        """Return the prior's energy."""
        total = 0.0
        for prior, edges in zip(self.priors, self._edges(), strict=True):
            total += 0.5 * float(torch.einsum("jif,ifg,jig->", edges, prior.blocks(), edges))
        for layer in self._layers[:-1]:
            total += 0.5 * _BIAS_PRECISION * float(layer.bias.detach().square().sum())
        return total

    def objective(self) -> float:
        """Evaluate minus the logarithm of the posterior, up to a constant."""
        return self.loss() / self.dispersion + self.energy()

    @torch.no_grad()
    def _new_features(self, block: Samples) -> Tensor:
        """Return the first layer's features and a one for its bias, which no step changes."""
        values = self._layers[0].feature_values(block.inputs).flatten(1)
        return torch.cat([values, values.new_ones(len(values), 1)], dim=1)

    def _first(self, number: int, block: Samples) -> Tensor:
        return self._new_features(block) if self._kept is None else self._kept[number]

    # -- slopes and curvature --------------------------------------------------------------------

    def _sweeps(self) -> Iterator[_Sweep]:
        edges = self._edges()
        weights = self._split(self.read())
        for number, block in enumerate(self.samples.blocks(_ROWS)):
            first = self._first(number, block)
            features, derivatives = [first], list[Tensor]()
            for index, layer in enumerate(self._layers[1:], start=1):
                known = layer.features(features[-1] @ weights[index - 1].T)
                derivatives.append(torch.einsum("nif,jif->nij", known.slopes, edges[index]))
                one = first.new_ones(len(first), 1)
                features.append(torch.cat([known.values.flatten(1), one], dim=1))
            yield _Sweep(block, features, derivatives, features[-1] @ weights[-1].T)

    def _back(self, sweep: _Sweep, slopes: Tensor) -> list[Tensor]:
        """Return every layer's slopes, shape (rows, sums, directions), given the last one's."""
        found = [slopes]
        for derivative in reversed(sweep.derivatives):
            found.append(torch.bmm(derivative, found[-1]))
        return found[::-1]

    def _gradient_of(self, sweep: _Sweep) -> Tensor:
        weights = sweep.samples.weights
        assert weights is not None
        slopes = self.likelihood.slopes(sweep.outputs, sweep.samples.targets)
        layers = self._back(sweep, (slopes * weights[:, None])[:, :, None])
        return torch.cat(
            [
                (slope[:, :, 0].T @ features).flatten()
                for slope, features in zip(layers, sweep.features, strict=True)
            ]
        )

    def _directions(self, sweep: _Sweep) -> list[Tensor]:
        weights = sweep.samples.weights
        assert weights is not None
        roots = self.likelihood.curvature_roots(sweep.outputs)
        return self._back(sweep, roots * weights.sqrt()[:, None, None])

    def _loss_of(self, sweep: _Sweep) -> float:
        losses = self.likelihood.losses(sweep.outputs, sweep.samples.targets)
        assert sweep.samples.weights is not None
        return float(losses @ sweep.samples.weights)

    def _prior_gradient(self) -> Tensor:
        parts: list[Tensor] = []
        for index, (layer, edges) in enumerate(zip(self._layers, self._edges(), strict=True)):
            pull = torch.einsum("jif,ifg->jig", edges, self.priors[index].blocks())
            bias = layer.bias.detach() * (_BIAS_PRECISION if index < len(self._layers) - 1 else 0)
            parts.append(torch.cat([pull.flatten(1), bias[:, None]], dim=1).flatten())
        return torch.cat(parts)

    @torch.no_grad()
    def value_and_gradient(self) -> tuple[float, Tensor]:
        """Return the objective and its gradient, shape (size,)."""
        loss, gradient = 0.0, torch.zeros(self.size, dtype=torch.float64)
        for sweep in self._sweeps():
            loss += self._loss_of(sweep)
            gradient += self._gradient_of(sweep)
        value = loss / self.dispersion + self.energy()
        return value, gradient / self.dispersion + self._prior_gradient()

    @torch.no_grad()
    def normal_equations(self) -> tuple[float, Tensor, Tensor]:
        """Return the objective, its gradient and the Gauss-Newton matrix."""
        loss, gradient, matrix = self._likelihood_equations()
        matrix, at = matrix / self.dispersion, 0
        for index, (outputs, columns) in enumerate(self._sizes):
            block = self._prior_block(index)
            for _ in range(outputs):
                matrix[at : at + columns, at : at + columns] += block
                at += columns
        value = loss / self.dispersion + self.energy()
        return value, gradient / self.dispersion + self._prior_gradient(), matrix

    def _likelihood_equations(self) -> tuple[float, Tensor, Tensor]:
        """Return loss, gradient and Gauss-Newton matrix without the prior, at dispersion 1."""
        # Asked for where precisions are chosen, and by the step that follows.
        if self._known is None:
            loss, gradient = 0.0, torch.zeros(self.size, dtype=torch.float64)
            matrix = torch.zeros(self.size, self.size, dtype=torch.float64)
            for sweep in self._sweeps():
                loss += self._loss_of(sweep)
                gradient += self._gradient_of(sweep)
                self._add_curvature(sweep, matrix)
            self._known = loss, gradient, matrix.triu() + matrix.triu(1).T
        return self._known

    def _add_curvature(self, sweep: _Sweep, matrix: Tensor) -> None:
        """Add rows to the upper triangle."""
        nodes: list[tuple[int, Tensor, Tensor]] = []
        at = 0
        for features, slopes in zip(sweep.features, self._directions(sweep), strict=True):
            for node in range(slopes.shape[1]):
                nodes.append((at, features, slopes[:, node]))
                at += features.shape[1]
        for number, (row, features, slopes) in enumerate(nodes):
            for column, others, other_slopes in nodes[number:]:
                scaled = features * (slopes * other_slopes).sum(dim=1, keepdim=True)
                end, last = row + features.shape[1], column + others.shape[1]
                matrix[row:end, column:last].addmm_(scaled.T, others)

    def _prior_block(self, index: int) -> Tensor:
        """Return the precision matrix of one output's parameters in a layer."""
        columns = self._sizes[index][1]
        block = torch.zeros(columns, columns, dtype=torch.float64)
        block[:-1, :-1] = torch.block_diag(*self.priors[index].blocks())
        if index < len(self._layers) - 1:
            block[-1, -1] = _BIAS_PRECISION
        return block

    @torch.no_grad()
    def node_matrices(self) -> list[Tensor]:
        """Return the Gauss-Newton matrix's blocks of single nodes: (outputs, columns, columns).

        For networks whose whole matrix would be too large.
        """
        found = [
            self._prior_block(index).repeat(outputs, 1, 1)
            for index, (outputs, _) in enumerate(self._sizes)
        ]
        for sweep in self._sweeps():
            layers = zip(found, sweep.features, self._directions(sweep), strict=True)
            for blocks, features, slopes in layers:
                squares = slopes.square().sum(dim=2) / self.dispersion
                for node, block in enumerate(blocks):
                    block.addmm_((features * squares[:, node, None]).T, features)
        return found

    # -- hyperparameters -------------------------------------------------------------------------

    @torch.no_grad()
    def renew(self, *, whole: bool, precisions: bool = True) -> tuple[float, float]:
        """Choose precisions and dispersion anew by the marginal likelihood.

        Parameters
        ----------
        whole : bool
            Whether to go by the whole Gauss-Newton matrix, or by the blocks of single nodes.
        precisions : bool
            Whether to change the precisions; the dispersion is estimated in any case.

        Returns
        -------
        evidence : float
            The logarithm of the marginal likelihood in Laplace's approximation, before.
        freedom : float
            The effective number of parameters.
        """
        loss, evidence = self.loss(), -self.energy()
        evidence -= loss / self.dispersion
        covariances: list[Tensor] = []
        if whole:
            factor = _factor(self.normal_equations()[2])
            evidence -= float(factor.diagonal().log().sum())
            inverse, at = torch.cholesky_inverse(factor), 0
            for outputs, columns in self._sizes:
                end = at + outputs * columns
                part = inverse[at:end, at:end].view(outputs, columns, outputs, columns)
                covariances.append(part.diagonal(dim1=0, dim2=2).permute(2, 0, 1))
                at = end
        else:
            for blocks in self.node_matrices():
                factor = _factor(blocks)
                evidence -= float(factor.diagonal(dim1=1, dim2=2).log().sum())
                covariances.append(torch.cholesky_inverse(factor))
        shrunk = 0.0
        for prior, edges, covariance in zip(self.priors, self._edges(), covariances, strict=True):
            inputs, count = edges.shape[1:]
            own = covariance[:, :-1, :-1].sum(dim=0).view(inputs, count, inputs, count)
            own = own.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
            blocks = prior.blocks()
            shrunk += float((own * blocks).sum())
            evidence += 0.5 * len(edges) * float(torch.linalg.slogdet(blocks)[1].sum())
            if precisions:
                prior.renew(edges, own)
        freedom = self.size - shrunk
        if self.likelihood.dispersed:
            count = self.weight * self.model.output_count
            evidence -= 0.5 * count * math.log(2 * math.pi * self.dispersion)
            self.dispersion = max(2 * loss / max(count - freedom, 1.0), _LEAST_DISPERSION)
        return evidence, freedom


def _factor(matrix: Tensor) -> Tensor:
    """Return the Cholesky factor of a matrix, or of each of several."""
    largest = matrix.diagonal(dim1=-2, dim2=-1).amax(dim=-1)[..., None, None]
    one = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    return torch.linalg.cholesky(matrix + _JITTER * largest * one)
