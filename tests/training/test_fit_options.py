"""Losses, weights, streamed rows, stopping, failures in mid-fit and other people's modules."""

import math
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from knotwork import KAN, create_dataset
from knotwork.training import Progress, fit

METHODS = ["LM", "LBFGS", "Adam"]
FEW_ROWS = pytest.mark.filterwarnings("ignore:the network has .* parameters")


def data(rows: int = 200, noise: float = 0.0) -> dict[str, Tensor]:
    return create_dataset(
        lambda x: torch.sin(3 * x[:, [0]]) + x[:, [1]] ** 2,
        train_num=rows,
        test_num=60,
        noise=noise,
    )


def pair(rows: int = 200) -> tuple[Tensor, Tensor]:
    rows_ = data(rows)
    return rows_["train_input"], rows_["train_label"]


@torch.no_grad()
def rmse(model: Any, x: Tensor, y: Tensor) -> float:
    return float((model(x) - y).square().mean().sqrt())


@torch.no_grad()
def distance(first: nn.Module, second: nn.Module, x: Tensor) -> float:
    return float((first(x) - second(x)).abs().max())


# -- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("opt", METHODS)
def test_weights_are_repetitions(opt: str) -> None:
    x, y = pair(120)
    times = torch.arange(120) % 3  # some rows not at all, some twice
    weighted, repeated = KAN([2, 2, 1]), KAN([2, 2, 1])
    options: dict[str, Any] = {"opt": opt, "update_grid": False, "batch_size": None}
    if opt == "LM":
        options["smoothness"] = 0
    if opt == "Adam":
        options["batch_size"] = 1000
    for model in (weighted, repeated):
        model.restart(x, seed=1)
    # A step of L-BFGS is 20 iterations, through which differences of rounding grow.
    steps = 1 if opt == "LBFGS" else 6
    repetitions = (x.repeat_interleave(times, 0), y.repeat_interleave(times, 0))
    weighted.fit((x, y), weights=times, steps=steps, **options)
    repeated.fit(repetitions, steps=steps, **options)
    assert distance(weighted, repeated, x) < 1e-6


@pytest.mark.parametrize("options", [{}, {"lamb": 1e-3}])
def test_rows_of_weight_zero_count_for_nothing(options: dict[str, Any]) -> None:
    # What is masked out may be anything, so it must not reach starts, grids or penalties.
    x, y = pair()
    weights = torch.ones(202).double()
    weights[-2:] = 0
    more_x = torch.cat([x, torch.tensor([[1e3, 0.0], [0.0, -1e3]], dtype=torch.float64)])
    more_y = torch.cat([y, torch.tensor([[1e6], [-1e6]], dtype=torch.float64)])
    masked, plain = KAN([2, 2, 1]), KAN([2, 2, 1])
    masked.fit((more_x, more_y), weights=weights, steps=20, **options)
    plain.fit((x, y), steps=20, **options)
    assert rmse(masked, x, y) < 1.5 * rmse(plain, x, y) + 1e-3


@FEW_ROWS
def test_mini_batches_of_weight_zero_are_passed_over() -> None:
    x, y = pair(40)
    weights = torch.zeros(40).double()
    weights[:5] = 1
    history = KAN([2, 2, 1]).fit((x, y), opt="Adam", steps=30, batch_size=4, weights=weights)
    assert history.train_loss[-1] < history.train_loss[0]


def test_streamed_batches_of_weight_zero_are_passed_over() -> None:
    x, y = pair(40)
    weights = torch.zeros(40).double()
    weights[:5] = 1
    loader = DataLoader(TensorDataset(x, y, weights), batch_size=4)
    history = KAN([2, 2, 1]).fit(loader, steps=3, smoothness=0)
    assert history.train_loss[-1] <= history.train_loss[0]


# -- losses --------------------------------------------------------------------------------------


def squares_of_rows(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square().mean(dim=1)


@pytest.mark.parametrize("opt", ["LBFGS", "Adam"])
def test_custom_losses_of_rows_or_their_mean(opt: str) -> None:
    losses = [squares_of_rows, functional.mse_loss]
    models = [KAN([2, 2, 1]) for _ in losses]
    histories = [
        model.fit(pair(), opt=opt, steps=30, lr=0.05, loss=loss)
        for model, loss in zip(models, losses, strict=True)
    ]
    assert distance(models[0], models[1], pair()[0]) < 1e-6
    assert histories[0].metric == "loss"
    assert histories[0].train_loss[-1] < histories[0].train_loss[0]


def test_huber_resists_outliers() -> None:
    x, y = pair()
    spoiled = y.clone()
    spoiled[::20] += 100
    errors = {}
    for loss in ("mse", "huber"):
        model = KAN([2, 1], grid=3)
        model.fit((x, spoiled), opt="LBFGS", steps=10, loss=loss)
        errors[loss] = (model(x) - y)[torch.arange(200) % 20 > 0].abs().mean().item()
    assert errors["huber"] < 0.3 < errors["mse"]


def moons(rows: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    angle = torch.pi * torch.rand(rows, generator=generator, dtype=torch.float64)
    label = torch.arange(rows) % 2
    x = torch.stack([angle.cos() + label, angle.sin() * (1 - 2 * label) + 0.4 * label], dim=1)
    return x + 0.08 * torch.randn(x.shape, generator=generator, dtype=torch.float64), label


@pytest.mark.parametrize(("opt", "steps", "lr"), [("LBFGS", 6, None), ("Adam", 150, 0.03)])
def test_classification(opt: str, steps: int, lr: float | None) -> None:
    x, label = moons()
    model = KAN([2, 3, 2], grid=4)
    history = model.fit((x, label), opt=opt, loss="cross_entropy", steps=steps, lr=lr)
    assert float((model(x).argmax(dim=1) == label).double().mean()) > 0.97
    assert history.metric == "cross-entropy"
    assert history.train_loss[-1] < 0.2


# -- streamed rows -------------------------------------------------------------------------------


def test_a_loader_gives_what_tensors_give() -> None:
    x, y = pair()
    streamed, held = KAN([2, 2, 1]), KAN([2, 2, 1])
    streamed.fit(DataLoader(TensorDataset(x, y), batch_size=33), steps=12)
    held.fit((x, y), steps=12)
    assert distance(streamed, held, x) < 1e-6


@pytest.mark.parametrize("opt", ["LBFGS", "Adam"])
def test_loaders_work_with_the_other_methods(opt: str) -> None:
    x, y = pair()
    loader = DataLoader(TensorDataset(x, y), batch_size=50)
    history = KAN([2, 2, 1]).fit(loader, opt=opt, steps=40 if opt == "Adam" else 4, lr=None)
    assert history.train_loss[-1] < history.train_loss[0]
    assert history.test_loss == []


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Batches of 100 rows, of which it knows how many are still alive."""

    def __init__(self, batches: int) -> None:
        self.batches, self.alive, self.most = batches, 0, 0

    def _gone(self) -> None:
        self.alive -= 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        random = np.random.default_rng(0)
        for _ in range(self.batches):
            x = random.uniform(-1, 1, (100, 2))
            weakref.finalize(x, self._gone)
            self.alive += 1
            self.most = max(self.most, self.alive)
            yield torch.from_numpy(x), torch.from_numpy(np.sin(3 * x[:, :1]) + x[:, 1:] ** 2)


@pytest.mark.parametrize("opt", METHODS)
def test_a_loader_is_never_held_whole(opt: str) -> None:
    stream = Stream(120)
    model = KAN([2, 1, 1], grid=3)
    model.fit(DataLoader(stream, batch_size=None), opt=opt, steps=2)
    # A sample of about 4,096 rows may be.
    assert stream.most < 60
    assert model.dataset is None


def test_a_loader_fit_does_not_leave_other_rows_behind() -> None:
    x, y = pair()
    model = KAN([2, 2, 1])
    model.fit((x, y), steps=2)
    model.fit(DataLoader(TensorDataset(5 * x, y), batch_size=50), steps=2)
    # prune() and plot() would look at rows that the network was not last fitted to.
    assert model.dataset is None


# -- stopping ------------------------------------------------------------------------------------


def test_patience_keeps_the_best_test_parameters() -> None:
    rows = data(60, noise=0.5)
    model = KAN([2, 4, 1], grid=3)
    with pytest.warns(UserWarning, match="smaller grid"):
        history = model.fit(rows, steps=60, smoothness=0, patience=4)
    best = min(history.test_loss)
    assert "stopped early" in history.status
    assert history.steps[-1] < 60
    assert history.test_loss[history.best_step] == best
    assert rmse(model, rows["test_input"], rows["test_label"]) == pytest.approx(best)


@pytest.mark.parametrize("opt", METHODS)
def test_callbacks_see_progress_and_can_stop(opt: str) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool | None:
        seen.append(progress)
        assert progress.history.steps[-1] == progress.step
        return True if progress.step >= 3 else None

    model = KAN([2, 2, 1])
    history = model.fit(data(), opt=opt, steps=9, callbacks=[lambda progress: None, watch])
    assert [progress.step for progress in seen] == [1, 2, 3]
    assert history.steps == [0, 1, 2, 3]
    assert "callback" in history.status
    assert seen[0].steps == 9
    assert seen[0].model is model


# -- failures in mid-fit -------------------------------------------------------------------------


class Failing:
    """A loss that fails after some calls."""

    def __init__(self, calls: int, failure: float | BaseException) -> None:
        self.left, self.failure = calls, failure

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        self.left -= 1
        if self.left >= 0:
            return squares_of_rows(prediction, target)
        if isinstance(self.failure, BaseException):
            raise self.failure
        return prediction[:, 0] * self.failure


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("opt", ["LBFGS", "Adam"])
@pytest.mark.parametrize("calls", [2, 5, 12])
def test_losses_that_turn_nan_are_refused_and_reported(opt: str, calls: int, value: float) -> None:
    x, y = pair()
    model = KAN([2, 2, 1])
    model.restart(x, seed=1)
    start = rmse(model, x, y)
    history = model.fit((x, y), opt=opt, steps=300, loss=Failing(calls, value))
    assert rmse(model, x, y) <= start * (1 + 1e-9)
    assert history.refused > 0
    assert "not finite" in history.status


@pytest.mark.parametrize("lr", [1e3, 1e10, 1e300])
@pytest.mark.parametrize("opt", ["LBFGS", "Adam"])
@pytest.mark.parametrize("fresh", [True, False])
def test_huge_steps_do_no_harm(opt: str, lr: float, fresh: bool) -> None:
    x, y = pair()
    model = KAN([2, 2, 1])
    if not fresh:
        model.restart(x, seed=1)
    start = rmse(model, x, y)
    history = model.fit((x, y), opt=opt, steps=30, lr=lr)
    assert fresh or rmse(model, x, y) <= start * (1 + 1e-9)
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    assert history.status


@pytest.mark.parametrize("opt", ["LBFGS", "Adam"])
@pytest.mark.parametrize("failure", [RuntimeError("out of luck"), KeyboardInterrupt()])
def test_an_exception_leaves_a_network_no_worse(opt: str, failure: BaseException) -> None:
    x, y = pair()
    model = KAN([2, 2, 1])
    model.restart(x, seed=1)
    start = rmse(model, x, y)
    with pytest.raises(type(failure)):
        model.fit((x, y), opt=opt, steps=9, lr=1e4, loss=Failing(5, failure))
    assert rmse(model, x, y) <= start * (1 + 1e-9)


def test_an_interrupted_callback_leaves_a_network_no_worse() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    x, y = pair()
    model = KAN([2, 2, 1])
    with pytest.raises(KeyboardInterrupt):
        model.fit((x, y), opt="Adam", lr=100.0, steps=9, callbacks=[interrupt])
    assert rmse(model, x, y) < 2 * float(y.std())


# -- other people's modules ----------------------------------------------------------------------


class Net(nn.Sequential):
    input_count, output_count = 2, 1

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


def net(dtype: torch.dtype = torch.float64) -> Net:
    torch.manual_seed(0)
    return Net(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("opt", METHODS)
def test_any_module_can_be_fitted(opt: str, dtype: torch.dtype) -> None:
    model, rows = net(dtype), {key: value.to(dtype) for key, value in data().items()}
    steps = 300 if opt == "Adam" else 15
    history = fit(model, rows, opt=opt, steps=steps, lr=None if opt != "Adam" else 0.02)
    assert history.train_loss[-1] < 0.2
    assert model.dtype == dtype
    best = history.train_loss[history.steps.index(history.best_step)]
    assert rmse(model, rows["train_input"], rows["train_label"]) == pytest.approx(best, rel=1e-3)


def test_a_module_needs_only_its_two_counts() -> None:
    class Bare(nn.Sequential):
        input_count, output_count = 2, 1

    model = Bare(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    assert fit(model, data(), steps=5).train_loss[-1] < 1


def test_weights_of_a_module_are_repetitions() -> None:
    x, y = pair(90)
    times = torch.arange(90) % 3
    weighted, repeated = net(), net()
    fit(weighted, (x, y), weights=times, steps=5)
    fit(repeated, (x.repeat_interleave(times, 0), y.repeat_interleave(times, 0)), steps=5)
    assert distance(weighted, repeated, x) < 1e-6


@pytest.mark.parametrize("opt", METHODS)
@pytest.mark.parametrize("kind", ["KAN", "module"])
def test_frozen_parameters_stay(kind: str, opt: str) -> None:
    model = KAN([2, 2, 1]) if kind == "KAN" else net()
    if isinstance(model, KAN):
        model.restart(pair()[0], seed=1)
        frozen = model.layer(0).coefficients
    else:
        frozen = next(model.parameters())
    frozen.requires_grad_(False)
    before = frozen.clone()
    fit(model, data(), opt=opt, steps=4, update_grid=False)
    assert torch.equal(frozen, before)
