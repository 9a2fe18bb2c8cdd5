"""The end of a search: a front, constants on all rows, and a verdict, in the time left."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import sympy

from .clock import Clock
from .formula import Formula
from .front import finished, rivals_of
from .problem import Problem
from .refit import Fit, refitted, uncertainty
from .result import Discovery
from .rows import Prepared
from .surrogate import Surrogate, fit_surrogate
from .task import Settings
from .verdict import NO_FORMULA, NO_SIGNAL, Evidence, Verdict, judge
from .weighted import mean_of

__all__ = ["MOST_ROWS", "concluded"]

# Rows that the search sees; constants are fitted to all at the end.
MOST_ROWS = 4_000
# A network for the verdict gets so many seconds even if none are left.
_LEAST_SECONDS = 0.3
_TOO_SHORT = ("the time was too short to train a network, so whether there is a signal is open.",)
# A step may take so much of what is left.
_SHARE = 0.6
# Constants fitted to some thousand rows are so near those of all rows that few steps are left.
_FINAL_EVALUATIONS = 6
# Long columns do not stay in the processor's cache.
_SLOWER = 2.0


def concluded(
    problem: Problem,
    settings: Settings,
    data: Prepared,
    names: tuple[str, ...],
    note: str,
    complete: bool,
    whole: Clock,
) -> Discovery:
    """Return what a search found; no more than the best formula and a verdict if no time is left.

    Parameters
    ----------
    problem, settings, data
        Of the search.
    names : tuple of str
        Of all inputs.
    note, complete
        How the search ended, and whether by itself.
    whole : Clock
        What is left of the budget.
    """
    with np.errstate(all="ignore"):
        network = _best_network(problem, settings, whole)
        fits = [fit for fit in finished(problem, whole) if not fit.expression.is_number]
        mean = _mean(problem, data)
        chosen = min([*fits, mean], key=problem.worth)
        rivals = rivals_of(chosen, problem, whole)
        evidence = Evidence(chosen, chosen.complexity)
        verdict = judge(problem, evidence, network, max(_LEAST_SECONDS, _SHARE * whole.left))
        if verdict == NO_SIGNAL:
            # What fits noise predicts worse than the mean.
            chosen, rivals = mean, []
            if not complete and not problem.networks:
                verdict = Verdict(NO_FORMULA, _TOO_SHORT)
        if chosen is mean:
            fits = [
                mean,
                *(f for f in fits if f.complexity > mean.complexity and f.rmse < mean.rmse),
            ]
        place = next(k for k, fit in enumerate(fits) if fit is chosen)
        # The chosen one first, each with an equal share of the time.
        order = sorted(range(len(fits)), key=lambda k: k != place)
        formulas: dict[int, Formula] = {}
        for done, k in enumerate(order):
            share = whole.left / (1 if done == 0 else len(order) - done + len(rivals))
            formulas[k] = _on_all_rows(fits[k], data, problem, names, share)
        others = [
            _on_all_rows(fit, data, problem, names, whole.left / (len(rivals) - done))
            for done, fit in enumerate(rivals)
        ]
    error = problem.network_error(network)
    return Discovery(
        best=formulas[place],
        front=[formulas[k] for k in range(len(fits))],
        rivals=others,
        verdict=verdict,
        network=network.model,
        network_scaling=_scaling_of(network, problem, data, error),
        network_error=error,
        names=names,
        elapsed=whole.elapsed,
        complete=complete,
        note=note,
        data=data,
    )


def _mean(problem: Problem, data: Prepared) -> Fit:
    """Return the mean of all targets as a formula: what is left to say where no other is worth it.

    It is not rounded, as other constants are: nothing is gained by a mean that is not the mean.
    """
    _, targets, weights = data.every
    mean = mean_of(targets, weights)
    # 0.0 + x makes -0 a 0.
    fit = Fit.of(sympy.Float(0.0 + mean, 17), problem.symbols)
    return replace(fit, rmse=fit.error(*problem.rows))


def _best_network(problem: Problem, settings: Settings, whole: Clock) -> Surrogate:
    """Return the network of the whole problem; fit one if the search ended before it had any."""
    networks = problem.networks
    if not networks:
        clock = Clock(max(_LEAST_SECONDS, _SHARE * whole.left))
        networks = fit_surrogate(
            *problem.rows, starts=1, seed=settings.seed, clock=clock, unfinished=True
        )
    return min(networks, key=problem.network_error)


def _scaling_of(
    network: Surrogate, problem: Problem, data: Prepared, error: float
) -> dict[str, Any]:
    """Say what a network takes and gives, in the units of the data."""
    names = [symbol.name for symbol in problem.symbols]
    columns = [[symbol.name for symbol in data.symbols].index(name) for name in names]
    units, target = data.scaling.inputs[columns], data.scaling.target
    plain = network.kind == "plain"
    return {
        "inputs": names,
        "centre": (network.centre * units).tolist(),
        "scale": (network.scale * units).tolist(),
        "kind": network.kind,
        "offset": network.offset * (target if plain else 1.0),
        "reach": network.reach * (target if plain else 1.0),
        "unit": target * (network.unit if network.kind == "stretched" else network.sign),
        "held_out_error": error,
    }


def _on_all_rows(
    fit: Fit, data: Prepared, problem: Problem, names: tuple[str, ...], seconds: float
) -> Formula:
    """Fit the constants once more, in all columns' symbols, to as many rows as time allows."""
    fit, size = Fit.of(fit.expression, data.symbols, fit.rmse), fit.complexity
    train = data.train.take(slice(MOST_ROWS))
    if fit.expression.is_number:
        # The mean is that of all rows, those held out too.
        train = data.every
    elif len(data.y) > MOST_ROWS:
        start = time.monotonic()
        fit.tape.values_and_jacobian(train.X, fit.constants)
        one = time.monotonic() - start
        uncertainty(fit, *train)
        cost = _SLOWER * (2 * _FINAL_EVALUATIONS * one + time.monotonic() - start)
        # The order of rows is random, so that the first are like all.
        rows = int(min(len(data.y), MOST_ROWS * max(1.0, seconds / cost)))
        train = data.train.take(slice(rows))
        if rows > MOST_ROWS:
            better = refitted(fit, *train, evaluations=_FINAL_EVALUATIONS)
            fit = better if problem.allows(better) else fit
    return Formula.of_fit(fit, train, data.held, names, data.scaling, size)
