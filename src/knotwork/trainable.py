"""What every network of this library has in common: the doors to training and to files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from torch import nn

from .data import Dataset

if TYPE_CHECKING:
    from os import PathLike

    from .training import History


class Trainable(nn.Module):
    """A module that can be fitted to data and saved.

    Attributes
    ----------
    dataset : Dataset or None
        What it was last fitted to, if that is in memory.
    input_names, output_names : tuple of str or None
        Taken from the data where it has names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dataset: Dataset | None = None
        self.input_names: tuple[str, ...] | None = None
        self.output_names: tuple[str, ...] | None = None

    def fit(self, data: Any, **options: Any) -> History:
        """Fit to data in place; see `knotwork.training.fit` for all options.

        Parameters
        ----------
        data : dict, (X, y), Dataset or DataLoader
        **options
            ``opt="LM" | "LBFGS" | "Adam"``, ``steps``, ``loss``, ``weights``, ``lr``,
            ``batch_size``, ``patience``, ``callbacks``, ``progress``, ``seed``; for a `KAN` also
            ``lamb``, ``lamb_entropy``, ``smoothness``, ``starts`` and ``update_grid``.

        Returns
        -------
        History
        """
        from .training import fit

        return fit(self, data, **options)

    def train(self, mode: Any = True, **options: Any) -> Any:
        """Fit to a dataset, or set training mode as every ``nn.Module`` does.

        Given data it is `fit` and returns its `History`; given a bool it is ``nn.Module.train``
        and returns the network.
        """
        if isinstance(mode, bool):
            if options:
                raise TypeError(
                    f"train({mode}) sets the mode and takes no options; to fit, give data first: "
                    "train(dataset, ...)."
                )
            return super().train(mode)
        return self.fit(mode, **options)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a checkpoint, atomically; `knotwork.load` reads it."""
        from .io import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str], **options: Any) -> Self:
        """Read a checkpoint of a network of this class; see `knotwork.load` for options."""
        from .io import load_as

        return load_as(cls, path, **options)
