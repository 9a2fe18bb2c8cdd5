"""What every fit must do, whichever the method."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch import Tensor

from compiled import COMPILED
from knotwork import KAN, create_dataset, kernels
from knotwork.data import Samples
from knotwork.training import fit
from knotwork.training.losses import LOSSES
from knotwork.training.polish import polish
from knotwork.training.start import SEED_STRIDE, start_on_data

METHODS = {"LM": 10, "LBFGS": 6, "Adam": 150}
FEW_ROWS = pytest.mark.filterwarnings("ignore:the network has .* parameters")


def data(rows: int = 200, seed: int = 0, outputs: int = 1) -> dict[str, Tensor]:
    def f(x: Tensor) -> Tensor:
        columns = [torch.sin(3 * x[:, 0]) + x[:, 1] ** 2, x[:, 0] * x[:, 1], 5 + 40 * x[:, 1].abs()]
        return torch.stack(columns[:outputs], dim=1)

    return create_dataset(f, train_num=rows, test_num=60, seed=seed)


@torch.no_grad()
def rmse(model: Any, x: Tensor, y: Tensor) -> float:
    return float((model(x) - y).square().mean().sqrt())


def state(model: torch.nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("opt", METHODS)
def test_every_method_lowers_the_loss(opt: str, outputs: int) -> None:
    rows = data(outputs=outputs)
    model = KAN([2, 3, outputs], grid=4)
    lr = {"Adam": 0.02}.get(opt)
    history = model.fit(rows, opt=opt, steps=METHODS[opt], lr=lr)
    assert history.train_loss[-1] < 0.5 * float(
        rows["train_label"].std(dim=0).square().mean().sqrt()
    )
    assert history.train_loss[-1] < history.train_loss[0]
    best = history.steps.index(history.best_step)
    assert rmse(model, rows["train_input"], rows["train_label"]) == pytest.approx(
        history.train_loss[best]
    )
    assert rmse(model, rows["test_input"], rows["test_label"]) == pytest.approx(
        history.test_loss[best]
    )


def test_default_methods() -> None:
    # Only Levenberg-Marquardt gets this far in 15 steps; only L-BFGS takes 5,000 parameters.
    assert KAN([2, 2, 1]).fit(data(), steps=15).train_loss[-1] < 2e-2
    with pytest.warns(UserWarning, match="parameters"):
        history = KAN([2, 200, 1], grid=5).fit(data(), steps=1)
    assert history.train_loss[-1] < history.train_loss[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("opt", METHODS)
def test_the_dtype_of_the_network_stays(opt: str, dtype: torch.dtype) -> None:
    rows = {key: value.to(dtype) for key, value in data().items()}
    model = KAN([2, 2, 1], grid=4, dtype=dtype)
    history = model.fit(rows, opt=opt, steps=METHODS[opt])
    assert all(p.dtype == dtype for p in model.parameters())
    assert model(rows["test_input"]).dtype == dtype
    assert history.train_loss[-1] < history.train_loss[0]


def test_levenberg_marquardt_is_as_good_in_single_precision() -> None:
    rows = data()
    double, single = KAN([2, 2, 1]), KAN([2, 2, 1], dtype=torch.float32)
    double.fit(rows, steps=25)
    with pytest.warns(UserWarning, match="float64, now converted to the network's float32"):
        single.fit(rows, steps=25)
    x, y = rows["test_input"], rows["test_label"]
    assert rmse(single, x.float(), y.float()) < 1.1 * rmse(double, x, y) + 1e-5


@pytest.mark.parametrize("opt", METHODS)
def test_histories_are_consistent(opt: str) -> None:
    rows = data()
    with_test = KAN([2, 2, 1]).fit(rows, opt=opt, steps=7, lamb=1e-3)
    without = KAN([2, 2, 1]).fit((rows["train_input"], rows["train_label"]), opt=opt, steps=7)
    for history, tested in ((with_test, True), (without, False)):
        count = len(history.steps)
        lists = (history.train_loss, history.penalty, history.grid, history.seconds)
        assert [len(entries) for entries in lists] == [count] * 4
        assert len(history.test_loss) == (count if tested else 0)
        assert history.steps[0] == 0
        assert history.steps == sorted(set(history.steps))
        assert history.steps[-1] <= 7
        assert history.best_step in history.steps
        assert history.seconds == sorted(history.seconds)
        assert set(history.grid) == {5}
        assert history.status
        assert all(math.isfinite(loss) for loss in history.train_loss)
    assert all(value > 0 for value in with_test.penalty)
    assert set(without.penalty) == {0.0}


def test_no_steps_record_the_start_only() -> None:
    model = KAN([2, 2, 1])
    history = model.fit(data(), steps=0)
    assert history.steps == [0]
    assert history.best_step == 0
    assert rmse(model, data()["train_input"], data()["train_label"]) == pytest.approx(
        history.train_loss[0]
    )


@pytest.mark.parametrize("opt", METHODS)
def test_same_seed_same_result_and_nothing_global_touched(
    opt: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()
    models = [KAN([2, 2, 1], seed=3) for _ in range(2)]
    histories = []
    for model in models:
        options: dict[str, Any] = {"batch_size": 32} if opt == "Adam" else {}
        histories.append(model.fit(data(), opt=opt, steps=8, progress=False, seed=4, **options))
        torch.randn(3)  # the second fit starts from another global state
    torch.set_rng_state(before[0])
    models[0].fit(data(), opt=opt, steps=2, progress=False)
    assert same(state(models[1]), state(models[1]))
    assert histories[0].train_loss == histories[1].train_loss
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (torch.get_default_dtype(), torch.get_num_threads()) == before[1:]
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_the_seed_orders_mini_batches() -> None:
    models = [KAN([2, 2, 1]) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        model.fit(data(), opt="Adam", steps=10, batch_size=16, seed=seed)
    assert same(state(models[0]), state(models[1]))
    assert not same(state(models[0]), state(models[2]))


def test_progress_goes_to_standard_error_only(capfd: pytest.CaptureFixture[str]) -> None:
    KAN([2, 2, 1]).fit(data(), steps=3, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "step" in err


def test_the_data_is_not_changed() -> None:
    rows, kept = data(), data()
    KAN([2, 2, 1]).fit(rows, steps=3)
    assert all(torch.equal(rows[key], kept[key]) for key in kept)


@pytest.mark.parametrize("opt", METHODS)
def test_knots_stay_with_update_grid_false(opt: str) -> None:
    model = KAN([2, 2, 1])
    knots = [model.layer(index).knots.clone() for index in range(2)]
    model.fit(data(), opt=opt, steps=6, update_grid=False)
    assert all(torch.equal(model.layer(index).knots, knots[index]) for index in range(2))
    wide = {key: 3 * value for key, value in data().items()}
    model.fit(wide, opt=opt, steps=20)
    low, high = model[0, 0, 0].knot_range
    assert low < -2.9
    assert high > 2.9


@pytest.mark.parametrize("change", ["coefficients", "affine", "mask", "trained outside"])
def test_a_network_that_was_touched_is_not_restarted(change: str) -> None:
    model, x = KAN([2, 2, 1]), data()["train_input"]
    if change == "coefficients":
        with torch.no_grad():
            model.layer(1).coefficients[0, 2, 0] += 0.1
    elif change == "affine":
        model.update_grid(x)
        model.fix_symbolic(0, 0, 0, "sin", X=x)
    elif change == "mask":
        model = model.prune_edges(1e-9, X=x)
    else:
        model(x).square().mean().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
    before = model(x).detach()
    model.fit(data(), steps=0)
    assert torch.allclose(model(x), before, atol=1e-12)


def test_symbolic_edges_set_by_hand_survive_the_start() -> None:
    from knotwork.functions import get

    model, x = KAN([2, 1]), data()["train_input"]
    model.layer(0).set_symbolic(0, 0, get("sin"), 3.0, 0.0, 1.0, 0.0)
    model.layer(0).set_symbolic(1, 0, get("x^2"), 1.0, 0.0, 1.0, 0.0)
    before = model(x).detach()
    model.fit(data(), steps=0)
    assert torch.allclose(model(x), before, atol=1e-12)


def test_an_untouched_network_starts_on_the_scale_of_the_data() -> None:
    x = data()["train_input"] * 1e5 - 3e7
    y = 1e-6 * data()["train_label"] + 1e-3
    model = KAN([2, 3, 1])
    history = model.fit((x, y), opt="Adam", steps=1)
    # A step of Adam moves the last bias by 0.001, a thousand times the targets' spread.
    assert history.train_loss[1] < 1e4 * float(y.std()) < history.train_loss[0]


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(2, 40),
    outputs=st.integers(1, 2),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    opt=st.sampled_from(["LM", "LBFGS", "Adam"]),
    update_grid=st.booleans(),
)
@FEW_ROWS
def test_never_ends_worse_than_it_started(
    rows: int, outputs: int, seed: int, scale: float, opt: str, update_grid: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(rows, outputs, generator=generator, dtype=torch.float64) / scale
    model = KAN([2, 2, outputs], grid=3, seed=seed)
    model.restart(x, seed=seed)
    with torch.no_grad():
        model.layer(0).bias += 0.1
    start = rmse(model, x, y)
    history = model.fit((x, y), opt=opt, steps=5, update_grid=update_grid)
    end = rmse(model, x, y)
    assert end <= start * (1 + 1e-9)
    assert end == pytest.approx(
        history.train_loss[history.steps.index(history.best_step)], rel=1e-6
    )


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_and_origin_of_the_data_do_not_matter(scale: float, shift: float) -> None:
    rows = data()
    x = scale * (rows["train_input"] + shift)
    y = (rows["train_label"] + shift) / scale
    model = KAN([2, 2, 1])
    model.fit((x, y), steps=20)
    assert rmse(model, x, y) * scale < 5e-3


@pytest.mark.parametrize("opt", METHODS)
def test_dead_nodes_keep_everything_finite(opt: str) -> None:
    model = KAN([2, 3, 1])
    with torch.no_grad():
        model.layer(0).coefficients[:, :, 1] = 0
        model.layer(0).residual_weight[:, 1] = 0
        model.layer(1).coefficients[1] = 0
        model.layer(1).residual_weight[1] = 0
    history = model.fit(data(), opt=opt, steps=METHODS[opt], lamb=1e-3)
    assert max(history.train_loss) < 3 * history.train_loss[0]
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    assert bool(model.layer(1).knots.diff(dim=1).gt(1e-6).all())
    assert history.train_loss[-1] < history.train_loss[0]


@FEW_ROWS
@pytest.mark.parametrize("opt", METHODS)
def test_the_smallest_problem(opt: str) -> None:
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    model = KAN([1, 1])
    model.fit((x, 3 * x + 1), opt=opt, steps=METHODS[opt])
    assert rmse(model, x, 3 * x + 1) < 1.0


@FEW_ROWS
def test_a_wide_problem() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 60, generator=generator, dtype=torch.float64)
    history = KAN([60, 1], grid=3).fit((x, x[:, :3].sum(dim=1)), opt="LM", steps=5, lamb=1e-4)
    assert history.train_loss[-1] < 0.05


def test_fit_as_a_function_and_train_are_the_same() -> None:
    models = [KAN([2, 2, 1]) for _ in range(3)]
    fit(models[0], data(), steps=3)
    models[1].fit(data(), steps=3)
    models[2].train(data(), steps=3)
    assert same(state(models[0]), state(models[1]))
    assert same(state(models[0]), state(models[2]))


def test_with_noise_and_a_sparsity_penalty_the_best_of_all_steps_is_kept_though_grids_move():
    rows = create_dataset(
        lambda x: torch.exp(torch.sin(torch.pi * x[:, 0]) + x[:, 1] ** 2), train_num=300, noise=0.02
    )
    history = KAN([2, 3, 1]).fit(rows, lamb=0.01)
    variance = float(rows["train_label"].var(correction=0))
    objectives = [
        loss**2 / variance + penalty
        for loss, penalty in zip(history.train_loss, history.penalty, strict=True)
    ]
    kept = history.steps.index(history.best_step)
    assert objectives[kept] == pytest.approx(min(objectives))
    assert history.train_loss[kept] < 0.2 * variance**0.5


def test_a_penalty_that_is_renewed_leads_to_the_same_end_whatever_the_rounding() -> None:
    # A sum of curves is linear: its first step is the last for the penalty at hand, and only
    # rounding decides whether a second one still lowers the objective.
    x, _, y, _ = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    rows = torch.as_tensor(x), torch.as_tensor(y)
    variance = float(rows[1].var(correction=0))
    found: list[tuple[float, list[Tensor]]] = []
    for backend in ("reference", *COMPILED):
        model = KAN([10, 1], grid=3)
        with kernels.use(backend):
            history = model.fit(rows, lamb=0.003, smoothness=1e-6)
        kept = history.steps.index(history.best_step)
        objective = history.train_loss[kept] ** 2 / variance + history.penalty[kept]
        found.append((objective, [layer.kind for layer in model.prune().layers]))
    for objective, kinds in found[1:]:
        assert objective == pytest.approx(found[0][0], rel=1e-5)
        assert same(kinds, found[0][1])


@pytest.mark.parametrize("width", [[2, 2, 1], [2, 2, 2, 1]])
def test_the_best_of_several_starts_goes_on_and_of_two_grids_in_deep_networks(
    width: list[int],
) -> None:
    samples, loss = Samples(data()["train_input"], data()["train_label"]), LOSSES["mse"]
    model = KAN(width, seed=1)
    start_on_data(model, samples, loss, 2)

    def winner(grid: int, steps: int) -> KAN:
        field: dict[float, KAN] = {}
        for seed in (1, 1 + SEED_STRIDE):
            twin = KAN(width, grid=grid, seed=seed)
            start_on_data(twin, samples, loss, 1)
            field[polish(twin, samples, steps, tolerance=0.0)] = twin
        return field[min(field)]

    best = winner(5, 8)
    if len(width) > 3:
        coarse = winner(2, 12)
        polish(coarse, samples, 24, tolerance=0.0)
        polish(best, samples, 16, tolerance=0.0)
        field = best, coarse.refine(5)
        best = min(field, key=lambda twin: polish(twin, samples, 16, tolerance=0.0))
    assert same(state(model), state(best))


@pytest.mark.parametrize("seed", [0, 1])
def test_deep_networks_are_fitted_on_fine_grids(seed: int) -> None:
    """Started on the fine grid alone, these end at a relative error of 0.1 to 0.3."""

    def nested(x: Tensor) -> Tensor:
        first, second = (x**2).unflatten(1, (2, 2)).sum(dim=2).mul(torch.pi).sin().T
        return torch.exp((first + second) / 2)

    table = create_dataset(nested, n_var=4, train_num=800, test_num=10)
    history = KAN([4, 4, 2, 1], grid=10, seed=seed).fit(table, steps=20)
    assert history.train_loss[-1] < 0.02 * float(table["train_label"].std())


def test_a_polish_that_meets_no_numbers_is_worth_nothing() -> None:
    model = KAN([1, 1, 1])
    with torch.no_grad():
        model.layer(0).coefficients.mul_(1e200)
        model.layer(1).coefficients.mul_(1e200)
    samples = Samples(data()["train_input"][:, :1], data()["train_label"])
    assert polish(model, samples, 5) == math.inf


@pytest.mark.parametrize("opt", METHODS)
def test_the_first_fit_leaves_held_parameters_alone(opt: str) -> None:
    model = KAN([2, 3, 1], seed=0)
    held = model.layer(0)
    for parameter in held.parameters():
        parameter.requires_grad_(False)
    assert held.residual_weight is not None
    before = held.residual_weight.clone()
    history = model.fit(data(), opt=opt, steps=METHODS[opt])
    # Its splines are expressed on other knots, so what says whether it was drawn anew is this.
    assert torch.equal(held.residual_weight, before)
    assert history.train_loss[-1] < history.train_loss[0]
