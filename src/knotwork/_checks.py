"""Checks of arguments, shared by every public door.

A message says which argument is wrong, what came, and what to do about it; all checks run before
any work starts.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import torch

# Seeds of torch's generators are 64-bit.
MOST_SEED = 2**63 - 1


def near_spellings(name: object, options: Iterable[str]) -> str:
    """Return `` Did you mean 'sin'?`` if one of `options` is spelled nearly like `name`."""
    known = list(options)
    same = [option for option in known if option.casefold() == str(name).casefold()]
    close = same or difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_choice(value: Any, argument: str, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`; raise ValueError naming the choices otherwise."""
    choices = list(options)
    if isinstance(value, str) and value in choices:
        return value
    listed = ", ".join(repr(choice) for choice in choices)
    raise ValueError(
        f"{argument} must be one of {listed}; got {value!r}.{near_spellings(value, choices)}"
    )


def check_integer(value: Any, argument: str, *, low: int, high: int | None = None) -> int:
    """Return `value` as an int between `low` and `high` (both included), or raise.

    Raises
    ------
    TypeError
        If `value` is not a whole number (a bool is not one).
    ValueError
        If it is out of range.
    """
    span = f"at least {low}" if high is None else f"from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{argument} must be a whole number, {span}; got {value!r}.")
    number = int(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{argument} must be {span}; got {number}.")
    return number


def check_index(value: Any, argument: str, size: int, what: str) -> int:
    """Return `value` as an index from 0 to ``size - 1`` (negative ones count from the end)."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{argument} must be a whole number; got {value!r}.")
    number = int(value)
    if not -size <= number < size:
        raise IndexError(
            f"{argument} is {number}, but there are {size} {what}: use 0 to {size - 1}."
        )
    return number % size


def check_number(
    value: Any, argument: str, *, low: float = -math.inf, strict: bool = False
) -> float:
    """Return `value` as a finite float not below `low` (above it if `strict`), or raise.

    Raises
    ------
    TypeError
        If `value` is not a real number.
    ValueError
        If it is nan, infinite or too small.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{argument} must be a number; got {value!r}.")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{argument} must be finite; got {number}.")
    if number < low or (strict and number == low):
        raise ValueError(
            f"{argument} must be {'above' if strict else 'at least'} {low}; got {number}."
        )
    return number


def check_range(grid_range: Any) -> tuple[float, float]:
    """Return a pair (low, high) of finite numbers with low < high, or raise ValueError."""
    if not isinstance(grid_range, Sequence) or isinstance(grid_range, str) or len(grid_range) != 2:
        raise ValueError(f"grid_range must be a pair (low, high); got {grid_range!r}.")
    low = check_number(grid_range[0], "grid_range[0]")
    high = check_number(grid_range[1], "grid_range[1]")
    if low >= high:
        raise ValueError(f"grid_range must be (low, high) with low < high; got {grid_range!r}.")
    return low, high


def check_dtype(dtype: Any) -> torch.dtype:
    """Return `dtype` if it is a floating dtype of torch; raise TypeError otherwise."""
    if isinstance(dtype, torch.dtype) and dtype.is_floating_point:
        return dtype
    raise TypeError(f"dtype must be a floating dtype of torch, as torch.float64; got {dtype!r}.")


def check_device(device: Any) -> torch.device:
    """Return the device, the CPU for None; raise ValueError if torch cannot use it here."""
    try:
        return torch.empty(0, device="cpu" if device is None else device).device
    except (AssertionError, RuntimeError, TypeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {device!r} cannot be used here: {reason}") from None


def autocast_converts(x: torch.Tensor, dtype: torch.dtype) -> bool:
    """Tell whether autocast is on where `x` is, and converts `x` and parameters of `dtype`.

    As in torch's own layers float64 is left alone.
    """
    return torch.float64 not in (x.dtype, dtype) and torch.is_autocast_enabled(x.device.type)


def check_input(x: Any, *, inputs: int, like: torch.Tensor, network: str) -> None:
    """Raise unless `x` is a tensor of shape (..., inputs) as a network of that class takes it.

    `like` is one of the network's own tensors, of its dtype and on its device.

    Raises
    ------
    TypeError
        If it is no tensor, or of another dtype.
    ValueError
        If it is on another device or of another shape.
    """
    dtype, device = like.dtype, like.device
    if not isinstance(x, torch.Tensor):
        raise TypeError(
            f"X must be a tensor; got {type(x).__name__}: use torch.as_tensor(X, dtype={dtype})."
        )
    if x.device != device:
        raise ValueError(
            f"X is on {x.device}, but the network is on {device}: use X.to({str(device)!r})."
        )
    if x.dtype != dtype and not autocast_converts(x, dtype):
        raise TypeError(
            f"X is {x.dtype}, but the network is {dtype}: use X.to({dtype}), or "
            f"{network}(..., dtype={x.dtype})."
        )
    if x.dim() == 0 or x.shape[-1] != inputs:
        raise ValueError(
            f"X has shape {tuple(x.shape)}, but the network takes {inputs} inputs "
            "in the last dimension."
        )
