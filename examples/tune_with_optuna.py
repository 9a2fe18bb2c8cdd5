"""
Tuning with Optuna
==================

The width, the grid and the penalty of a network are yours to choose, or a tuner's: Optuna looks
for those with the least error on rows kept aside.
"""

from pathlib import Path

import optuna

from knotwork import KAN, create_dataset

data = create_dataset(lambda x: x[:, [0]] * x[:, [1]], n_var=2, train_num=200, test_num=100)


def fitted(hidden: int, grid: int, lamb: float) -> KAN:
    model = KAN([2, hidden, 1], grid=grid)
    model.fit(data, lamb=lamb, steps=20)
    return model


def error(trial: optuna.Trial) -> float:
    size = trial.suggest_int("hidden", 1, 3), trial.suggest_int("grid", 2, 6)
    model = fitted(*size, trial.suggest_float("lamb", 1e-6, 1e-2, log=True))
    return (model(data["test_input"]) - data["test_label"]).square().mean().sqrt().item()


study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(error, n_trials=8)
print(f"hidden nodes: {study.best_params['hidden']}, RMSE on new rows: {study.best_value:.4f}")

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
fitted(**study.best_params).plot().savefig(out / "tune_with_optuna.png")
