"""Training by gradients alone, through torch.optim: L-BFGS and Adam."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Samples
from ..network import KAN
from .batches import Batches, TensorBatches
from .losses import Loss, total_weight
from .methods import Method
from .penalties import PenaltyWeights, sparsity_penalty
from .saved import Saved

# An L-BFGS step that lowers the loss by less than this share gained nothing.
_QUASI_NEWTON_TOLERANCE = 1e-3
# Steps that Adam can count in float32.
_MOST_STEPS = 2.0**24
# Pairs of steps and changes of gradient that L-BFGS remembers.
_PAIRS = 10


class FirstOrderObjective:
    """Mean loss relative to the targets' variance, plus the penalty, for autograd."""

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        loss: Loss,
        variance: float,
        weights: PenaltyWeights,
    ) -> None:
        self.model = model
        self.batches = batches
        self.loss = loss
        self.variance = variance
        self.weights = weights

    def backward(self) -> Tensor:
        """Evaluate over all rows, adding gradients batch by batch; return the objective."""
        total = sum(total_weight(batch) for batch in self.batches)
        objective = torch.zeros((), dtype=torch.float64)
        for batch in self.batches:
            # Each batch's share of the penalty is that of its rows; over one batch it is exact.
            part = self._objective(batch, total_weight(batch) / total)
            part.backward()
            objective += part.detach().double().cpu()
        return objective

    def backward_batch(self, batch: Samples) -> Tensor:
        """Evaluate over one mini-batch and add its gradients."""
        objective = self._objective(batch, 1.0)
        objective.backward()
        return objective.detach()

    def _objective(self, batch: Samples, share: float) -> Tensor:
        scale = share / (total_weight(batch) * self.variance)
        if self.weights.lamb == 0 or not isinstance(self.model, KAN):
            return self.loss.total(self.model(batch.inputs), batch) * scale
        penalty, outputs = sparsity_penalty(self.model, batch.inputs, self.weights)
        return self.loss.total(outputs, batch) * scale + share * penalty


class QuasiNewtonMethod(Method):
    """L-BFGS with a strong Wolfe line search; a step is up to 20 of its iterations."""

    def __init__(self, objective: FirstOrderObjective, lr: float) -> None:
        self._objective = objective
        self._lr = lr
        self._idle = 0
        self.reset()

    def reset(self) -> None:
        """Forget the curvature."""
        self._optimizer = torch.optim.LBFGS(
            self._objective.model.parameters(),
            lr=self._lr,
            history_size=_PAIRS,
            line_search_fn="strong_wolfe",
            tolerance_grad=1e-32,
            tolerance_change=1e-32,
        )
        self._last = math.inf

    def _parameters(self) -> list[Tensor]:
        return self._optimizer.param_groups[0]["params"]

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on beside the network."""
        # torch.optim keeps the curvature with the first parameter.
        memory = self._optimizer.state.get(self._parameters()[0], {})
        return {
            "idle": self._idle,
            "refused": self.refused,
            "last": self._last,
            # What is in "al" is never read before it is written again.
            "memory": {key: value for key, value in memory.items() if key != "al"},
        }

    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave."""
        self._idle, self.refused = saved.integer("idle"), saved.integer("refused")
        self._last = saved.number("last")
        parameters, memory = self._parameters(), saved.part("memory")
        if len(memory):
            size = sum(parameter.numel() for parameter in parameters)
            self._optimizer.state[parameters[0]] = _curvature(memory, parameters[0].dtype, size)

    def step(self) -> str:
        """Take up to 20 iterations; return to the start of the step if they end nowhere."""
        parameters = [p for p in self._objective.model.parameters() if p.requires_grad]
        saved = [p.detach().clone() for p in parameters]

        def closure() -> float:
            self._optimizer.zero_grad()
            return float(self._objective.backward())

        started = float(self._optimizer.step(closure))
        finite = all(bool(p.isfinite().all()) for p in parameters) and math.isfinite(started)
        if not finite:
            with torch.no_grad():
                for parameter, value in zip(parameters, saved, strict=True):
                    parameter.copy_(value)
            self.refused += 1
            self.reset()
            if self.refused > 3:
                return "stopped: steps kept leading to values that are not finite; lower lr"
            return ""
        moved = any(
            not torch.equal(parameter, value)
            for parameter, value in zip(parameters, saved, strict=True)
        )
        if not moved:
            self._idle += 1
            self.reset()
            return "converged: the line search finds no lower loss" if self._idle > 1 else ""
        # The optimizer reports the loss before its iterations, so a gain shows one step later.
        gained = self._last - started > _QUASI_NEWTON_TOLERANCE * abs(started)
        self._idle = 0 if gained else self._idle + 1
        self._last = started
        if self._idle > 1:
            return "converged: a step of 20 iterations gains less than 0.1 %"
        return ""


def _curvature(memory: Saved, dtype: torch.dtype, size: int) -> dict[str, Any]:
    """Return what torch's L-BFGS remembers of a vector of parameters of that size."""
    known: dict[str, Any] = {key: memory.integer(key) for key in ("func_evals", "n_iter")}
    if "d" not in memory:
        return known
    pairs = len(memory.entries("old_dirs"))
    if pairs > _PAIRS:
        raise ValueError(f"old_dirs must have at most {_PAIRS} parts; it has {pairs}.")
    for key in ("d", "prev_flat_grad"):
        known[key] = memory.tensor(key, dtype, (size,))
    for key in ("old_dirs", "old_stps"):
        known[key] = memory.tensors(key, dtype, [(size,)] * pairs)
    known["ro"] = memory.tensors("ro", dtype, [()] * pairs)
    for key in ("t", "H_diag"):
        plain = not memory.is_tensor(key)
        known[key] = memory.number(key) if plain else memory.tensor(key, dtype, ())
    known["prev_loss"] = memory.number("prev_loss")
    return known


class AdamMethod(Method):
    """Adam on mini-batches; a step is one mini-batch."""

    def __init__(
        self, objective: FirstOrderObjective, lr: float, generator: torch.Generator
    ) -> None:
        self._objective = objective
        self._lr = lr
        self._generator = generator
        self._batches = self._endless()
        # The generator before the present time through the rows, and the batches taken since.
        self._before = generator.get_state()
        self._taken = 0
        self.reset()

    def reset(self) -> None:
        """Forget the moments."""
        self._optimizer = torch.optim.Adam(self._objective.model.parameters(), lr=self._lr)

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on beside the network."""
        moments = [self._optimizer.state.get(p, {}) for p in self._objective.model.parameters()]
        return {
            "refused": self.refused,
            "generator": self._before,
            "taken": self._taken,
            "moments": moments,
        }

    def take_up(self, saved: Saved) -> None:
        """Go on from what `state` gave."""
        self.refused = saved.integer("refused")
        generator = saved.tensor("generator", torch.uint8, self._before.shape)
        try:
            self._generator.set_state(generator.cpu())
        except RuntimeError as error:
            raise ValueError(f"the generator's state is none: {error}") from None
        taken = saved.integer("taken")
        batches = self._objective.batches
        if isinstance(batches, TensorBatches) and taken > len(batches):
            raise ValueError(f"taken is {taken}, but there are {len(batches)} batches.")
        self._batches = self._endless()
        for _ in islice(self._batches, taken):
            self._taken += 1
        parameters = list(self._objective.model.parameters())
        moments = saved.parts("moments")
        if len(moments) != len(parameters):
            raise ValueError(f"there are {len(moments)} moments for {len(parameters)} parameters.")
        for parameter, moment in zip(parameters, moments, strict=True):
            if len(moment):
                step = moment.tensor("step", torch.float32, ()).cpu()
                if not 0 < float(step) < _MOST_STEPS:
                    raise ValueError(f"a moment is of {float(step):g} steps.")
                self._optimizer.state[parameter] = {
                    "step": step,
                    "exp_avg": moment.tensor("exp_avg", parameter.dtype, parameter.shape),
                    "exp_avg_sq": moment.tensor("exp_avg_sq", parameter.dtype, parameter.shape),
                }

    def _endless(self) -> Iterator[Samples]:
        batches = self._objective.batches
        while True:
            self._before, self._taken = self._generator.get_state(), 0
            if isinstance(batches, TensorBatches):
                yield from batches.shuffled(self._generator)
            else:
                yield from batches

    def step(self) -> str:
        """Take one step on the next mini-batch, unless its gradient is not finite."""
        self._optimizer.zero_grad()
        batch = next(self._batches)
        self._taken += 1
        self._objective.backward_batch(batch)
        gradients = [p.grad for p in self._objective.model.parameters() if p.grad is not None]
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            self.refused += 1
            if self.refused > 100:
                return "stopped: gradients are not finite; lower lr or check the loss"
            return ""
        self._optimizer.step()
        return ""
