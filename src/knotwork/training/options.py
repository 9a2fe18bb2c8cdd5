"""The options of a fit, checked together before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .._checks import MOST_SEED, check_choice, check_integer, check_number
from ..network import KAN
from .losses import Loss, resolve_loss
from .methods import parameter_count
from .penalties import PenaltyWeights

OPTIMIZERS = ("LM", "LBFGS", "Adam")
# Beyond this many parameters a Cholesky solve costs more than it gains.
MOST_SECOND_ORDER_PARAMETERS = 5000
# Up to this many parameters several starts cost next to nothing.
_MANY_STARTS_PARAMETERS = 1000
DEFAULT_STARTS = 4
_DEFAULT_STEPS = {"LM": 50, "LBFGS": 20, "Adam": 1000}
_DEFAULT_RATES = {"LM": 1.0, "LBFGS": 1.0, "Adam": 1e-3}


@dataclass(frozen=True)
class FitOptions:
    """Options of a fit after checking; their meaning is that of `knotwork.training.fit`."""

    method: str
    loss: Loss
    penalty: PenaltyWeights
    steps: int
    rate: float
    batch_size: int | None
    starts: int
    patience: int | None
    update_grid: bool
    seed: int


def check_options(
    model: nn.Module,
    *,
    opt: str | None,
    loss: str | Callable[[Tensor, Tensor], Tensor],
    steps: int | None,
    penalties: dict[str, float],
    smoothness: float | None,
    lr: float | None,
    batch_size: int | None,
    starts: int | None,
    patience: int | None,
    update_grid: bool,
    seed: int,
    callbacks: Sequence[Any],
) -> FitOptions:
    """Check all options and fill in what depends on the method.

    Raises
    ------
    TypeError, ValueError
        Naming the option, what came, and what to do.
    """
    for attribute in ("input_count", "output_count"):
        if not hasattr(model, attribute):
            raise TypeError(
                f"model must have the attribute {attribute} so that data can be checked against "
                f"it; {type(model).__name__} has none."
            )
    for callback in callbacks:
        if not callable(callback):
            raise TypeError(f"callbacks must be functions of a Progress; got {callback!r}.")
    record = resolve_loss(loss)
    method = _check_method(model, opt, record)
    strengths = {name: check_number(value, name, low=0) for name, value in penalties.items()}
    if strengths["lamb"] and not isinstance(model, KAN):
        raise ValueError("lamb penalises the edges of a KAN; this model has none: use lamb=0.")
    if smoothness is not None:
        smoothness = check_number(smoothness, "smoothness", low=0)
        if smoothness and method != "LM":
            raise ValueError("smoothness needs opt='LM'; use lamb_coefdiff with the others.")
    if batch_size is not None:
        batch_size = check_integer(batch_size, "batch_size", low=1)
        if method != "Adam":
            raise ValueError(f"batch_size needs opt='Adam'; {method} uses all rows in every step.")
    if lr is not None and method == "LM":
        raise ValueError("lr needs opt='LBFGS' or 'Adam'; LM finds the length of its steps itself.")
    if starts is None:
        few = method == "LM" and parameter_count(model) <= _MANY_STARTS_PARAMETERS
        starts = DEFAULT_STARTS if few else 1
    return FitOptions(
        method,
        record,
        PenaltyWeights(
            lamb=strengths["lamb"],
            l1=strengths["lamb_l1"],
            entropy=strengths["lamb_entropy"],
            coefficients=strengths["lamb_coef"],
            differences=strengths["lamb_coefdiff"],
            smoothness=smoothness,
        ),
        check_integer(_DEFAULT_STEPS[method] if steps is None else steps, "steps", low=0),
        check_number(_DEFAULT_RATES[method] if lr is None else lr, "lr", low=0, strict=True),
        batch_size,
        check_integer(starts, "starts", low=1),
        None if patience is None else check_integer(patience, "patience", low=1),
        bool(update_grid),
        check_integer(seed, "seed", low=0, high=MOST_SEED),
    )


def _check_method(model: nn.Module, opt: str | None, loss: Loss) -> str:
    if opt is None:
        small = parameter_count(model) <= MOST_SECOND_ORDER_PARAMETERS
        return "LM" if loss.name == "mse" and small else "LBFGS"
    name = check_choice(opt, "opt", OPTIMIZERS)
    if name == "LM" and loss.name != "mse":
        raise ValueError(
            f"opt='LM' solves least squares, so it needs loss='mse'; got loss={loss.name!r}: use "
            "opt='LBFGS' or 'Adam'."
        )
    return name
