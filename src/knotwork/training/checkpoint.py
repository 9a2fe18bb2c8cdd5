"""A fit on disk, so that one that was stopped goes on to the same end, bit for bit."""

from __future__ import annotations

import hashlib
import reprlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import _checkpoint_file
from .._checkpoint_file import TRAINING, CheckpointError
from .._pace import Pace
from ..data import Dataset, Samples
from ..network import KAN
from .options import FitOptions
from .saved import Saved, pack

__all__ = ["Checkpoint", "Identity"]


@dataclass(frozen=True)
class Identity:
    """What a fit is of; only a fit of the same goes on from a checkpoint.

    Attributes
    ----------
    data, network : str
        Digests of the rows, and of the network as it was given.
    options : dict
        Options by name, as numbers and texts.
    """

    data: str
    network: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, model: nn.Module, dataset: Dataset, options: FitOptions) -> Identity:
        """Return the identity of a fit that has not begun."""
        return cls(_digest_of_data(dataset), _digest_of_network(model), _plain(options))

    def check(self, header: Mapping[str, Any]) -> None:
        """Raise ValueError unless a file's header says that it is of the same fit."""
        if header.get("data") != self.data:
            raise ValueError("it is of other data: give the same rows, or leave out resume.")
        if header.get("network") != self.network:
            raise ValueError(
                "it is of another network, or the network is not as it was when that fit began: "
                "make it as it was made then, or leave out resume."
            )
        options = header.get("options")
        then = options if isinstance(options, dict) else {}
        for name, now in self.options.items():
            if then.get(name) != now:
                was = reprlib.repr(then.get(name))  # what is in a file may be of any length
                raise ValueError(
                    f"it is of other options, {name} was {was} and is now {now!r}: "
                    "give the same ones, or leave out resume."
                )


@dataclass
class Checkpoint:
    """Where a fit is kept.

    Attributes
    ----------
    path : Path
    every : int or None
        Steps between two savings; None saves every few seconds.
    identity : Identity
    saved : Saved or None
        The state to go on from; None begins at the start.
    """

    path: Path
    every: int | None
    identity: Identity
    saved: Saved | None = None
    _pace: Pace = field(default_factory=Pace)

    def due(self, step: int) -> bool:
        """Tell whether to save after this step."""
        return self._pace.due() if self.every is None else step % self.every == 0

    def save(self, state: Mapping[str, Any] | None) -> None:
        """Write the state of the fit, None before its first step; see `saved.pack`."""
        began = time.monotonic()
        tensors: dict[str, Tensor] = {}
        header = {
            "class": TRAINING,
            "data": self.identity.data,
            "network": self.identity.network,
            "options": dict(self.identity.options),
            "state": pack(state, tensors),
        }
        _checkpoint_file.write(self.path, header, tensors)
        self._pace.saved(began)

    def load(self, device: torch.device) -> None:
        """Read the fit to go on with, its tensors onto a device, into `saved`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        CheckpointError
            If the file is damaged, or of another fit.
        """
        if not self.path.exists():
            raise FileNotFoundError(
                f"there is no fit to go on with: {self.path} does not exist. Leave out resume to "
                "start one."
            )
        header, tensors = _checkpoint_file.read(self.path)
        if header.get("class") != TRAINING:
            raise CheckpointError(
                f"{self.path} holds a network, not a fit under way: give the file that checkpoint "
                "named, or leave out resume."
            )
        try:
            self.identity.check(header)
        except ValueError as error:
            raise CheckpointError(f"{self.path} cannot be resumed: {error}") from None
        if header.get("state") is None:
            return
        try:
            # Copies begin where torch's own tensors do: sums of numbers that begin elsewhere in
            # memory can differ in their last digit.
            on_device = {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}
            self.saved = Saved(header["state"], on_device)
        except ValueError as error:
            raise self.wrong(error) from None

    def wrong(self, error: Exception) -> CheckpointError:
        """Return the error of a state that cannot be right; whoever wrote it, it was not `save`."""
        return CheckpointError(f"{self.path}: the state of the fit cannot be right: {error}")


def _digest_of_data(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for samples in (dataset.train, dataset.test):
        _add(digest, samples)
    return digest.hexdigest()


def _add(digest: Any, samples: Samples | None) -> None:
    parts = () if samples is None else (samples.inputs, samples.targets, samples.weights)
    digest.update(repr(len(parts)).encode())
    for part in parts:
        if part is not None:
            _add_tensor(digest, part)


def _add_tensor(digest: Any, tensor: Tensor) -> None:
    digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy())


def _digest_of_network(model: nn.Module) -> str:
    digest = hashlib.sha256(type(model).__name__.encode())
    free = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, value in model.state_dict().items():
        digest.update(repr((name, free.get(name))).encode())
        if isinstance(value, Tensor):
            _add_tensor(digest, value)
    if isinstance(model, KAN):
        # What the tensors do not say; a restart of an untrained network goes by its seed.
        settings = [
            (
                layer.k,
                layer.residual,
                layer.grid_eps,
                layer.extrapolation,
                [function.name for function in layer.functions],
            )
            for layer in (model.layer(index) for index in range(model.depth))
        ]
        digest.update(repr((model.width, model.fresh, model.seed, settings)).encode())
    return digest.hexdigest()


def _plain(options: FitOptions) -> dict[str, Any]:
    loss, penalty = options.loss, options.penalty
    own = f" {getattr(loss.rows, '__qualname__', '')}" if loss.name == "custom" else ""
    return {
        "opt": options.method,
        "loss": loss.name + own,
        "steps": options.steps,
        "lamb": penalty.lamb,
        "lamb_l1": penalty.l1,
        "lamb_entropy": penalty.entropy,
        "lamb_coef": penalty.coefficients,
        "lamb_coefdiff": penalty.differences,
        "smoothness": penalty.smoothness,
        "lr": options.rate,
        "batch_size": options.batch_size,
        "starts": options.starts,
        "patience": options.patience,
        "update_grid": options.update_grid,
        "seed": options.seed,
    }
