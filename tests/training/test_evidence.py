"""Posteriors against autograd, and what the evidence chooses."""

import numpy as np
import pytest
import torch
from torch.func import functional_call, jacrev

from knotwork import KAN
from knotwork.data import Samples
from knotwork.training import posterior as posteriors
from knotwork.training.evidence import fit_by_evidence
from knotwork.training.likelihoods import Bernoulli, Categorical, Gaussian
from knotwork.training.posterior import Posterior

ROWS = 40
generator = torch.Generator().manual_seed(0)
INPUTS = 2 * torch.rand(ROWS, 2, generator=generator, dtype=torch.float64) - 1
WEIGHTS = 1 + torch.rand(ROWS, generator=generator, dtype=torch.float64)
CASES = [
    (Gaussian(), torch.stack([INPUTS[:, 0] * INPUTS[:, 1], INPUTS[:, 0]], dim=1), 2),
    (Bernoulli(), (INPUTS[:, 0] > 0).long(), 1),
    (Categorical(3), (INPUTS[:, 0] > 0).long() + (INPUTS[:, 1] > 0).long(), 3),
]
each_case = pytest.mark.parametrize(
    ("likelihood", "targets", "outputs"), CASES, ids=["numbers", "two classes", "three classes"]
)


def posterior_of(likelihood, targets, outputs):
    model = KAN([2, 3, outputs], grid=2, residual=None)
    found = Posterior(model, Samples(INPUTS, targets, WEIGHTS), likelihood)
    if likelihood.dispersed:
        found.dispersion = 0.3
    return found


@each_case
def test_gradient_is_autograds(likelihood, targets, outputs):
    posterior = posterior_of(likelihood, targets, outputs)
    value, gradient = posterior.value_and_gradient()
    assert value == pytest.approx(posterior.objective())
    start, step = posterior.read(), 1e-6
    for place in range(0, posterior.size, 7):
        ends = []
        for sign in (1, -1):
            moved = start.clone()
            moved[place] += sign * step
            posterior.write(moved)
            ends.append(posterior.objective())
        assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-5)


@each_case
def test_matrix_is_that_of_the_whole_jacobian(likelihood, targets, outputs):
    posterior = posterior_of(likelihood, targets, outputs)
    model = posterior.model
    parameters = {name: p.detach() for name, p in model.named_parameters() if "affine" not in name}
    whole = jacrev(lambda given: functional_call(model, given, INPUTS))(parameters)
    columns = []
    for layer in range(2):
        edges = whole[f"layers.{layer}.coefficients"].permute(0, 1, 4, 2, 3).flatten(3)
        bias = whole[f"layers.{layer}.bias"][..., None]
        columns.append(torch.cat([edges, bias], dim=3).flatten(2))
    jacobian = torch.cat(columns, dim=2)
    with torch.no_grad():
        roots = likelihood.curvature_roots(model(INPUTS))
    curvature = torch.einsum("n,nkc,nlc->nkl", WEIGHTS, roots, roots) / posterior.dispersion
    expected = torch.einsum("nkp,nkl,nlq->pq", jacobian, curvature, jacobian)
    for prior in posterior.priors:
        prior.precisions = prior.precisions * 0
    posteriors_bias = posteriors._BIAS_PRECISION
    matrix = posterior.normal_equations()[2]
    biases = 3 * (2 * 5 + 1)
    expected[range(10, biases, 11), range(10, biases, 11)] += posteriors_bias
    torch.testing.assert_close(matrix, expected)
    first, second = posterior.node_matrices()
    torch.testing.assert_close(first[1], matrix[11:22, 11:22])
    torch.testing.assert_close(second[-1], matrix[-len(second[-1]) :, -len(second[-1]) :])


def test_curvature_of_classes_is_the_hessian():
    outputs = torch.randn(1, 4, generator=generator, dtype=torch.float64)
    likelihood, label = Categorical(4), torch.tensor([2])
    root = likelihood.curvature_roots(outputs)[0]
    hessian = torch.autograd.functional.hessian(
        lambda values: likelihood.losses(values, label).sum(), outputs
    )
    torch.testing.assert_close(root @ root.T, hessian[0, :, 0])


def noisy(rows=300):
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.uniform(-1, 1, (rows, 3)))
    y = torch.sin(3 * X[:, 0]) + X[:, 1] + 0.3 * torch.from_numpy(rng.normal(size=rows))
    return Samples(X, y[:, None], torch.ones(rows, dtype=torch.float64))


def test_evidence_finds_noise_lines_and_inputs_without_influence():
    posterior = Posterior(KAN([3, 1], grid=5, residual=None), noisy(), Gaussian())
    found = fit_by_evidence(posterior, steps=60, tolerance=1e-4)
    assert found.converged
    assert posterior.dispersion == pytest.approx(0.09, rel=0.2)
    size, roughness = posterior.priors[0].precisions
    assert size[2] > 100 * size[0]
    assert roughness[1] > 100 * roughness[0]
    assert 4 < found.freedom < 12


def test_evidence_is_greatest_for_the_precisions_it_chooses():
    posterior = Posterior(KAN([3, 1], grid=5, residual=None), noisy(), Gaussian())
    best = fit_by_evidence(posterior, steps=100, tolerance=1e-6).evidence
    for factor in (0.3, 3.0):
        other = Posterior(KAN([3, 1], grid=5, residual=None), noisy(), Gaussian())
        other.priors[0].precisions = posterior.priors[0].precisions.clone()
        other.priors[0].precisions[:, 0] *= factor
        other.dispersion = posterior.dispersion
        fit = fit_by_evidence(other, steps=5, tolerance=0, settled=True, renew=False)
        assert fit.evidence < best


def test_quasi_newton_steps_come_to_the_same_fit(monkeypatch):
    fits = []
    for most in (1500, 1):
        monkeypatch.setattr("knotwork.training.evidence.MOST_SECOND_ORDER_PARAMETERS", most)
        posterior = Posterior(KAN([3, 1], grid=5, residual=None), noisy(), Gaussian())
        fit_by_evidence(posterior, steps=60, tolerance=1e-4)
        fits.append(posterior.model(noisy().inputs).detach())
    torch.testing.assert_close(fits[0], fits[1], atol=0.02, rtol=0)
