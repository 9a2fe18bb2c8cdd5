"""Draw the pictures of README.md and of the pages: ``.venv/bin/python docs/make_images.py``.

Those of the tutorial are what its own code writes.
"""

import contextlib
import re
import shutil
import tempfile
from pathlib import Path

import explanation_images
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from knotwork import KAN, create_dataset
from knotwork.plotting import plot_basis, plot_interpolation

PAGES = Path(__file__).parent
IMAGES = PAGES / "images"
DPI = 110
GAP = 40
WHITE = 255


def main() -> None:
    """Draw all pictures."""
    IMAGES.mkdir(exist_ok=True)
    draw_introduction()
    draw_tutorial()
    draw_explanations()


def draw_explanations() -> None:
    """Draw the pictures of the explanation pages; print the figures that these quote."""
    model, perceptron = explanation_images.networks()
    beside = side_by_side(model.plot(), explanation_images.plot_perceptron(perceptron))
    imsave(IMAGES / "kan_and_mlp.png", beside)
    for name, figure in {
        "basis": plot_basis(),
        "interpolation": plot_interpolation(),
        "runge": explanation_images.plot_runge(),
        "error_bars": explanation_images.plot_error_bars(),
    }.items():
        imsave(IMAGES / f"{name}.png", pixels(figure))


def draw_tutorial() -> None:
    """Run the tutorial, and keep the pictures that it saves."""
    text = (PAGES / "tutorial.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
            exec(block, names)
        for picture in Path(folder).glob("*.png"):
            shutil.copyfile(picture, IMAGES / f"tutorial_{picture.name}")


def draw_introduction() -> None:
    """Draw the introductory example's network before and after it is pruned and symbolic."""
    dataset = create_dataset(
        lambda x: torch.exp(torch.sin(torch.pi * x[:, [0]]) + x[:, [1]] ** 2), n_var=2
    )
    model = KAN(width=[2, 5, 1], grid=5, k=3, seed=0)
    model.train(dataset, opt="LBFGS", steps=20, lamb=0.01, lamb_entropy=10.0)
    trained = model.plot(title="Trained: 15 splines")
    model = model.prune()
    model.train(dataset, opt="LBFGS", steps=50)
    model.auto_symbolic(lib=["x", "x^2", "x^3", "x^4", "exp", "log", "sqrt", "sin", "abs"])
    symbolic = model.plot(title="Pruned and symbolic")
    imsave(IMAGES / "introduction.png", side_by_side(trained, symbolic))


def side_by_side(*figures: Figure) -> np.ndarray:
    """Return the pixels of figures beside each other, their middles at the same height."""
    pictures = [pixels(figure) for figure in figures]
    height = max(len(picture) for picture in pictures)
    columns: list[np.ndarray] = []
    for picture in pictures:
        above = (height - len(picture)) // 2
        below = height - len(picture) - above
        space = ((above, below), (GAP // 2, GAP // 2), (0, 0))
        columns.append(np.pad(picture, space, constant_values=WHITE))
    return np.concatenate(columns, axis=1)


def pixels(figure: Figure) -> np.ndarray:
    """Return a figure as an array of shape (rows, columns, 3)."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]


if __name__ == "__main__":
    main()
