"""What is logged of a fit is what its history says."""

import pytest

from knotwork import KAN, callbacks, create_dataset
from knotwork.callbacks import MLflowCallback, TensorBoardCallback

DATA = create_dataset(lambda x: x[:, 0] ** 2, n_var=1, train_num=60, test_num=20)
NAMES = {"train_loss", "test_loss", "penalty", "grid"}


def two_fits(callback):
    """Return what two fits with one callback should log: names, steps and values."""
    model = KAN([1, 1], grid=3)
    first = model.fit(DATA, steps=4, callbacks=[callback])
    second = model.refine(6).fit(DATA, steps=3, lamb=1e-3, callbacks=[callback])
    steps = first.steps + [first.steps[-1] + step for step in second.steps]
    return {
        name: list(zip(steps, getattr(first, name) + getattr(second, name), strict=True))
        for name in NAMES
    }


def test_tensorboard_has_the_history(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "a" / "log"
    with TensorBoardCallback(folder) as log:
        expected = two_fits(log)
        # Before it is closed, too.
        events = EventAccumulator(str(folder)).Reload()
    assert set(events.Tags()["scalars"]) == NAMES
    for name, entries in expected.items():
        found = events.Scalars(name)
        assert [event.step for event in found] == [step for step, _ in entries]
        values = [value for _, value in entries]
        assert [event.value for event in found] == pytest.approx(values, rel=1e-6)
    times = [event.wall_time for event in events.Scalars("train_loss")]
    assert times == sorted(times)


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    # A store in files needs no database; MLflow wants to be asked for it.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")
    monkeypatch.chdir(tmp_path)
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(tmp_path.joinpath("runs").as_uri())
    yield mlflow
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


# MLflow's own and its dependencies'.
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_history(mlflow):
    with mlflow.start_run() as run:
        expected = two_fits(MLflowCallback())
    client = mlflow.MlflowClient()
    assert client.get_run(run.info.run_id).data.metrics.keys() == NAMES
    for name, entries in expected.items():
        history = client.get_metric_history(run.info.run_id, name)
        # Exactly: they are kept as text of all digits.
        assert sorted((metric.step, metric.value) for metric in history) == sorted(entries)
    # A run that is over can still be named.
    KAN([1, 1]).fit(DATA, steps=1, callbacks=[MLflowCallback(run.info.run_id)])
    assert mlflow.active_run() is None


@pytest.mark.filterwarnings("ignore")
def test_mlflow_without_a_run_is_refused_and_starts_none(mlflow):
    with pytest.raises(ValueError, match=r"no run of MLflow is active: make the callback inside"):
        MLflowCallback()
    assert mlflow.active_run() is None


@pytest.mark.parametrize(
    ("make", "package"),
    [(lambda: TensorBoardCallback("log"), "tensorboard"), (MLflowCallback, "mlflow")],
)
def test_what_is_missing_is_named_before_anything_is_written(make, package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(callbacks, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=rf"{package}: install it with .*knotwork\[logging\]"):
        make()
    assert not list(tmp_path.iterdir())
