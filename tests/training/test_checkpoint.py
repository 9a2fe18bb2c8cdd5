"""A fit that was stopped goes on to the same end, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
import torch
from torch import nn

import knotwork
from knotwork import KAN, MLP, CheckpointError, create_dataset
from knotwork import _checkpoint_file as checkpoint_file

DATA = create_dataset(
    lambda x: torch.sin(2 * x[:, 0]) * torch.exp(x[:, 1]), 2, train_num=150, test_num=30, seed=1
)
NOISY = {**DATA, "train_label": DATA["train_label"] + torch.randn(150, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)}


class Stopped(Exception):
    """What stops a fit at some step, as a crash would."""


def stop_at(step):
    def callback(progress):
        if progress.step >= step:
            raise Stopped

    return callback


def untrained():
    return KAN([2, 3, 1], grid=4, seed=2)


def single():
    return KAN([2, 3, 1], grid=4, seed=2, dtype=torch.float32)


def mixed():
    model = KAN([2, (2, 1), 1], grid=3, seed=5)
    model.fix_symbolic(0, 0, 0, "sin", (2.0, 0.0, 1.0, 0.0))
    return model


def held():
    model = untrained()
    model.layer(0).bias.requires_grad_(False)
    return model


def perceptron():
    return MLP([2, 6, 1], seed=4, dtype=torch.float64)


class Plain(nn.Module):
    input_count = 2
    output_count = 1

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(2, 1, generator=generator, dtype=torch.float64))

    def forward(self, x):
        return torch.tanh(x @ self.weight)


FITS = {
    "LM": (untrained, DATA, {"steps": 30}),
    "LM, noise, smoothness chosen": (untrained, NOISY, {"steps": 30}),
    "LM, sparse": (untrained, DATA, {"steps": 24, "lamb": 1e-3}),
    "LM, smoothness given": (untrained, DATA, {"steps": 20, "smoothness": 1e-4}),
    "LM, patience": (untrained, NOISY, {"steps": 40, "patience": 4}),
    "LM, float32": (single, DATA, {"steps": 16}),
    "LM, functions and products": (mixed, DATA, {"steps": 16}),
    "LM, held": (held, DATA, {"steps": 16, "starts": 1}),
    "LM, perceptron": (perceptron, DATA, {"opt": "LM", "steps": 16}),
    "LBFGS": (untrained, DATA, {"opt": "LBFGS", "steps": 12}),
    "LBFGS, sparse": (untrained, DATA, {"opt": "LBFGS", "steps": 10, "lamb": 1e-3}),
    "LBFGS, float32": (single, DATA, {"opt": "LBFGS", "steps": 10}),
    "LBFGS, plain module": (Plain, DATA, {"opt": "LBFGS", "steps": 10}),
    "Adam": (untrained, DATA, {"opt": "Adam", "steps": 60, "batch_size": 32, "lr": 0.02}),
    "Adam, sparse": (
        untrained,
        DATA,
        {"opt": "Adam", "steps": 30, "batch_size": 40, "lr": 0.01, "lamb": 1e-2},
    ),
    "Adam, float32 perceptron": (
        lambda: MLP([2, 6, 1], seed=4),
        DATA,
        {"opt": "Adam", "steps": 30, "batch_size": 16, "loss": "huber"},
    ),
}
every_fit = pytest.mark.parametrize("name", FITS)


def outcome(model, history):
    """Return all that a fit leaves behind, as bytes and texts."""
    tensors = {
        name: value.numpy().tobytes()
        for name, value in model.state_dict().items()
        if isinstance(value, torch.Tensor)
    }
    entries = {name: value for name, value in asdict(history).items() if name != "seconds"}
    return tensors, repr(entries)


@every_fit
def test_wherever_it_was_stopped_it_comes_to_the_same_end(name, tmp_path):
    make, data, options = FITS[name]
    model = make()
    whole = model.fit(data, **options)
    expected, steps = outcome(model, whole), whole.steps[-1]
    path = tmp_path / "fit.safetensors"
    for step in range(1, steps + 1, 1 if FULL else max(1, steps // 5)):
        with pytest.raises(Stopped):
            make().fit(data, checkpoint=path, checkpoint_every=1, callbacks=[stop_at(step)], **options)
        again = make()
        history = again.fit(data, checkpoint=path, resume=True, **options)
        assert outcome(again, history) == expected, step
        assert len(history.seconds) == len(history.steps)
        assert history.seconds == sorted(history.seconds)


FULL = bool(os.environ.get("FULL"))
