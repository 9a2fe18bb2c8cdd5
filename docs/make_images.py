"""Draw the pictures of README.md: ``.venv/bin/python docs/make_images.py``."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave

from knotwork import KAN, create_dataset

IMAGES = Path(__file__).parent / "images"
DPI = 110
GAP = 40
WHITE = 255


def main() -> None:
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
    IMAGES.mkdir(exist_ok=True)
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
