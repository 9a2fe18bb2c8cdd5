"""A fit that was stopped goes on to the same end, bit for bit."""

from dataclasses import asdict

import pytest
import torch
from torch import nn

from knotwork import KAN, MLP, create_dataset
from knotwork import _checkpoint_file as checkpoint_file
from knotwork.functions import LIBRARY
from knotwork.io import CheckpointError, load
from knotwork.training import fit
from knotwork.training.checkpoint import Checkpoint


def rows(dtype=torch.float64, noise=0.0):
    data = create_dataset(
        lambda x: torch.sin(2 * x[:, 0]) * torch.exp(x[:, 1]),
        2,
        train_num=60,
        test_num=20,
        seed=1,
        dtype=dtype,
    )
    generator = torch.Generator().manual_seed(0)
    label = data["train_label"]
    error = torch.randn(label.shape, generator=generator, dtype=dtype)
    return {**data, "train_label": label + noise * error}


DATA, SINGLE, NOISY = rows(), rows(torch.float32), rows(noise=1.0)


class StoppedError(Exception):
    """What stops a fit at some step, as a crash would."""


def stopping(save, step):
    """Return a way of saving that stops the fit once that step is saved."""

    def stop(self, state):
        save(self, state)
        if state is not None and state["step"] == step:
            raise StoppedError

    return stop


def untrained():
    return KAN([2, 2, 1], grid=3, seed=2)


def single():
    return KAN([2, 2, 1], grid=3, seed=2, dtype=torch.float32)


def mixed():
    model = KAN([2, (1, 1), 1], grid=2, seed=5)
    model.layer(0).set_symbolic(0, 0, LIBRARY["sin"], 2.0, 0.1, 1.5, -0.3)
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
    "LM": (untrained, DATA, {"steps": 20}),
    "LM, noise, smoothness chosen": (untrained, NOISY, {"steps": 30}),
    "LM, sparse": (untrained, DATA, {"steps": 12, "lamb": 1e-3}),
    "LM, smoothness given": (untrained, DATA, {"steps": 20, "smoothness": 1e-4}),
    "LM, patience": (untrained, NOISY, {"steps": 40, "patience": 4}),
    "LM, float32": (single, SINGLE, {"steps": 16}),
    "LM, functions and products": (mixed, DATA, {"steps": 16}),
    "LM, held": (held, DATA, {"steps": 16, "starts": 1}),
    "LM, perceptron": (perceptron, DATA, {"opt": "LM", "steps": 16}),
    "LBFGS": (untrained, DATA, {"opt": "LBFGS", "steps": 4}),
    "LBFGS, sparse": (untrained, DATA, {"opt": "LBFGS", "steps": 3, "lamb": 1e-3}),
    "LBFGS, float32": (single, SINGLE, {"opt": "LBFGS", "steps": 4}),
    "LBFGS, plain module": (Plain, DATA, {"opt": "LBFGS", "steps": 4}),
    "Adam": (untrained, DATA, {"opt": "Adam", "steps": 31, "batch_size": 16, "lr": 0.02}),
    "Adam, sparse": (
        untrained,
        DATA,
        {"opt": "Adam", "steps": 30, "batch_size": 40, "lr": 0.01, "lamb": 1e-2},
    ),
    "Adam, float32 perceptron": (
        lambda: MLP([2, 6, 1], seed=4, dtype=torch.float32),
        SINGLE,
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
def test_wherever_it_was_stopped_it_comes_to_the_same_end(name, tmp_path, monkeypatch):
    make, data, options = FITS[name]
    model = make()
    whole = fit(model, data, **options)
    expected, steps = outcome(model, whole), whole.steps[-1]
    path = tmp_path / "fit.safetensors"
    # Levenberg-Marquardt keeps most between steps, and other things early than late.
    for step in {steps // 2 + 1, steps // 3 if name.startswith("LM") else steps // 2 + 1}:
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", stopping(Checkpoint.save, step))
            with pytest.raises(StoppedError):
                fit(make(), data, checkpoint=path, checkpoint_every=step, **options)
        again = make()
        history = fit(again, data, checkpoint=path, resume=True, **options)
        assert outcome(again, history) == expected, step
        assert len(history.seconds) == len(history.steps)
        assert history.seconds == sorted(history.seconds)


def kept(path, **options):
    """Keep a fit of a few steps at `path`, and return its options."""
    options = {"steps": 6, "starts": 1, **options}
    fit(untrained(), DATA, checkpoint=path, checkpoint_every=2, **options)
    return options


def rewritten(path, change):
    """Write the file at `path` again after `change` of its header and tensors, properly sealed."""
    header, tensors = checkpoint_file.read(path)
    del header["sha256"]
    change(header, tensors)
    checkpoint_file.write(path, header, tensors)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.safetensors"


def test_a_fit_that_has_not_taken_a_step_begins_at_the_start(path):
    options = kept(path)
    expected = untrained()
    history = fit(expected, DATA, **options)
    rewritten(path, lambda header, tensors: (header.update(state=None), tensors.clear()))
    model = untrained()
    assert outcome(model, fit(model, DATA, checkpoint=path, resume=True, **options)) == outcome(
        expected, history
    )


def test_a_fit_that_is_done_is_not_done_again(path):
    options = kept(path)
    calls = []
    history = fit(
        untrained(), DATA, checkpoint=path, resume=True, callbacks=[calls.append], **options
    )
    assert not calls
    assert history.steps[-1] == 6


def test_it_is_saved_as_often_as_asked(path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        Checkpoint, "save", lambda self, state: saved.append(state and state["step"])
    )
    fit(untrained(), DATA, steps=7, starts=1, checkpoint=path, checkpoint_every=3)
    assert saved == [None, 3, 6, 7]
    saved.clear()
    fit(untrained(), DATA, steps=7, starts=1, checkpoint=path)
    assert saved[-1] == 7


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 7}, "other options, steps was 6 and is now 7"),
        ({"lamb": 0.1}, "other options, lamb was 0.0 and is now 0.1"),
        ({"opt": "LBFGS"}, "other options, opt was 'LM' and is now 'LBFGS'"),
    ],
)
def test_other_options_are_refused(path, changed, message):
    options = kept(path)
    with pytest.raises(CheckpointError, match=message):
        fit(untrained(), DATA, checkpoint=path, resume=True, **{**options, **changed})


def test_other_data_or_another_network_is_refused(path):
    options = kept(path)
    with pytest.raises(CheckpointError, match="cannot be resumed: it is of other data"):
        fit(untrained(), NOISY, checkpoint=path, resume=True, **options)
    for other in (KAN([2, 2, 1], grid=3, seed=3), KAN([2, 4, 1], grid=3, seed=2), held()):
        with pytest.raises(CheckpointError, match="of another network"):
            fit(other, DATA, checkpoint=path, resume=True, **options)


def test_options_that_do_not_go_together_are_told(path):
    for options in ({"resume": True}, {"checkpoint_every": 5}):
        with pytest.raises(ValueError, match="needs checkpoint, the file that the fit is kept in"):
            fit(untrained(), DATA, **options)
    with pytest.raises(ValueError, match="checkpoint_every"):
        fit(untrained(), DATA, checkpoint=path, checkpoint_every=0)
    with pytest.raises(FileNotFoundError, match="no fit to go on with"):
        fit(untrained(), DATA, checkpoint=path, resume=True)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(DATA["train_input"], DATA["train_label"])
    )
    with pytest.raises(ValueError, match="order of a DataLoader's rows cannot be kept"):
        fit(untrained(), loader, checkpoint=path)


def test_a_file_that_cannot_be_written_is_told_before_any_step(path):
    calls = []
    with pytest.raises(FileNotFoundError, match="create it first"):
        fit(untrained(), DATA, checkpoint=path / "fit", callbacks=[calls.append])
    assert not calls


def test_a_network_and_a_fit_under_way_are_told_apart(path, tmp_path):
    options = kept(path)
    with pytest.raises(CheckpointError, match="holds a fit under way, not a network"):
        load(path)
    untrained().save(tmp_path / "network")
    with pytest.raises(CheckpointError, match="holds a network, not a fit under way"):
        fit(untrained(), DATA, checkpoint=tmp_path / "network", resume=True, **options)


WRONG = {
    "no step": lambda header, tensors: header["state"].pop("step"),
    "a step that is text": lambda header, tensors: header["state"].update(step="3"),
    "a step below zero": lambda header, tensors: header["state"].update(step=-1),
    "a step beyond the last": lambda header, tensors: header["state"].update(step=7),
    "a list for a state": lambda header, tensors: header.update(state=[1]),
    "no solver": lambda header, tensors: header["state"]["method"].pop("solver"),
    "no damping": lambda header, tensors: header["state"]["method"]["solver"].update(damping=0),
    "another shape": lambda header, tensors: tensors.update(
        {"state.method.before": torch.zeros(3, dtype=torch.float64)}
    ),
    "another dtype": lambda header, tensors: tensors.update(
        {"state.network.layers.0.bias": torch.zeros(3)}
    ),
    "a short history": lambda header, tensors: header["state"]["history"].update(count=2),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_state_that_cannot_be_right_is_told(path, wrong):
    options = kept(path)
    rewritten(path, WRONG[wrong])
    model = untrained()
    before = {name: value.clone() for name, value in model.named_parameters()}
    with pytest.raises(CheckpointError, match="the state of the fit cannot be right"):
        fit(model, DATA, checkpoint=path, resume=True, **options)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
