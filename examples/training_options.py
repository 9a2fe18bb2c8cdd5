"""
Training options: three methods and one task
============================================

Levenberg-Marquardt is the default for least squares: it solves for all splines at once. L-BFGS
takes any loss, and Adam goes through mini-batches. Steps of the three differ in length, so here
each loss is drawn over the time it took.
"""

from pathlib import Path

from matplotlib.figure import Figure

from knotwork import KAN, create_dataset

dataset = create_dataset(lambda x: (4 * x[:, 0]).sin() * x[:, 1].exp(), train_num=300)
fits = {
    "Levenberg-Marquardt": {"opt": "LM", "steps": 30},
    "L-BFGS": {"opt": "LBFGS", "steps": 6},
    "Adam": {"opt": "Adam", "lr": 0.01, "steps": 200},
    "Adam, batches of 50": {"opt": "Adam", "lr": 0.01, "batch_size": 50, "steps": 200},
}
KAN([2, 1]).fit(dataset, opt="Adam", steps=1)  # what torch loads once is not timed
figure = Figure(figsize=(6.5, 4), layout="constrained")
axes = figure.subplots()
for name, options in fits.items():
    history = KAN([2, 3, 1]).fit(dataset, **options)
    axes.loglog(history.seconds[1:], history.test_loss[1:], label=name)
    print(f"{name}: test RMSE {min(history.test_loss):.0e}")
axes.set(xlabel="seconds", ylabel="test RMSE")
axes.legend(frameon=False)

out = Path(__file__).parents[1] / "out" / "examples"
out.mkdir(parents=True, exist_ok=True)
figure.savefig(out / "training_options.png")
