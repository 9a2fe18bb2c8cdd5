"""Random rows of a known function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from knotwork._checks import check_device, check_dtype, check_integer, check_number
from knotwork.data.matrices import finite_in


def create_dataset(
    f: Callable[[Tensor], Tensor],
    n_var: int = 2,
    ranges: Any = (-1, 1),
    train_num: int = 1000,
    test_num: int = 1000,
    seed: int = 0,
    *,
    noise: float = 0.0,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> dict[str, Tensor]:
    """Draw uniform random rows and label them with a function.

    Rows are drawn and `f` is called on the CPU in float64, so the numbers depend on `seed` alone;
    the results are then converted to `dtype` and moved to `device`. The global random state is
    neither read nor changed.

    Parameters
    ----------
    f : callable
        Takes a tensor of shape (rows, n_var); returns (rows,), (rows, 1) or (rows, outputs).
    n_var : int
        Number of inputs.
    ranges : pair, or n_var pairs
        Lowest and highest value, of all inputs or of each.
    train_num, test_num : int
        Numbers of rows.
    seed : int
        Fixes rows and noise.
    noise : float
        Standard deviation of the Gaussian noise added to train and test labels alike, relative to
        the standard deviation of each output over the training rows.
    dtype : torch.dtype
        A floating dtype.
    device : torch.device or str, optional
        The CPU by default.

    Returns
    -------
    dict of Tensor
        ``train_input`` and ``test_input``, shape (rows, n_var); ``train_label`` and
        ``test_label``, shape (rows, outputs).

    Raises
    ------
    TypeError
        If `f` is no function of tensors, or another argument has the wrong type.
    ValueError
        If an argument is out of range, or `f` returns a wrong shape, nan or infinity.

    Examples
    --------
    >>> data = create_dataset(lambda x: x[:, 0] * x[:, 1], ranges=[(0, 1), (2, 5)], train_num=100)
    >>> data["train_input"].shape, data["train_label"].shape
    (torch.Size([100, 2]), torch.Size([100, 1]))
    """
    if not callable(f):
        raise TypeError(f"f must be a function of a tensor of shape (rows, n_var); got {f!r}.")
    n_var = check_integer(n_var, "n_var", low=1)
    train_num = check_integer(train_num, "train_num", low=1)
    test_num = check_integer(test_num, "test_num", low=1)
    seed = check_integer(seed, "seed", low=0, high=2**63 - 1)
    noise = check_number(noise, "noise", low=0.0)
    low, high = _bounds(ranges, n_var)
    dtype = check_dtype(dtype)
    device = check_device(device)

    generator = torch.Generator().manual_seed(seed)
    on_cpu: dict[str, Any] = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    inputs = low + (high - low) * torch.rand(train_num + test_num, n_var, **on_cpu)
    train_label = _labels(f, inputs[:train_num], "training")
    test_label = _labels(f, inputs[train_num:], "test")
    if train_label.shape[1] != test_label.shape[1]:
        raise ValueError(
            f"f returned {train_label.shape[1]} columns for {train_num} rows, but "
            f"{test_label.shape[1]} for {test_num}: {_BROADCAST}"
        )
    if noise > 0:
        spread = noise * train_label.std(dim=0, correction=0)
        for label in (train_label, test_label):
            label += spread * torch.randn(label.shape, **on_cpu)

    parts = {
        "train_input": inputs[:train_num],
        "train_label": train_label,
        "test_input": inputs[train_num:],
        "test_label": test_label,
    }
    return {key: finite_in(dtype, part, key).to(device) for key, part in parts.items()}


_BROADCAST = (
    "the number of outputs must not depend on the number of rows. Use x[:, [0]] for a column of "
    "shape (rows, 1) or x[:, 0] for one of shape (rows,), and do not mix the two."
)


def _bounds(ranges: Any, n_var: int) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest value of every input, each of shape (n_var,)."""
    wanted = f"ranges must be one pair (low, high) or {n_var} such pairs, one for each input"
    try:
        pairs = np.asarray(ranges, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{wanted}; got {ranges!r}.") from None
    if pairs.shape not in {(2,), (n_var, 2)}:
        raise ValueError(f"{wanted}; got {ranges!r}.")
    pairs = np.broadcast_to(pairs, (n_var, 2))
    for index, (low, high) in enumerate(pairs):
        if not (np.isfinite(high - low) and low < high):
            raise ValueError(
                f"ranges must have low below high, both finite; input {index} has "
                f"({low:g}, {high:g})."
            )
    low, high = torch.from_numpy(pairs.copy()).unbind(1)
    return low, high


def _labels(f: Callable[[Tensor], Tensor], inputs: Tensor, part: str) -> Tensor:
    """Return what `f` makes of `inputs`, checked, as float64 of shape (rows, outputs)."""
    rows = inputs.shape[0]
    result: Any = f(inputs.clone())
    if not isinstance(result, Tensor):
        raise TypeError(
            f"f must return a torch tensor; it returned {type(result).__name__}. Write it with "
            "torch functions, or wrap its result in torch.as_tensor."
        )
    if result.is_complex():
        raise ValueError("f must return real numbers; it returned complex ones.")
    shape = tuple(result.shape)
    if result.ndim not in (1, 2) or shape[0] != rows or shape[-1] == 0:
        hint = " Join several outputs with torch.stack(..., dim=1)." if shape[1:] == (rows,) else ""
        raise ValueError(
            f"f must return shape ({rows},) or ({rows}, outputs) for {rows} rows; it returned "
            f"{shape}.{hint}"
        )
    if shape == (rows, rows) and rows > 1 and f(inputs[1:].clone()).shape[-1] != rows:
        raise ValueError(f"f returned shape {shape} for {rows} rows: {_BROADCAST}")
    labels = result.detach().to("cpu", torch.float64, copy=True).reshape(rows, -1)
    bad = (~labels.isfinite()).any(dim=1)
    if bad.any():
        row = int(bad.int().argmax())
        raise ValueError(
            f"f returned {labels[row].tolist()} for {part} row {row}, x = {inputs[row].tolist()} "
            f"({int(bad.sum())} of {rows} rows are not finite). Choose ranges where f is defined."
        )
    return labels
