"""Adam with a held-out measure: the best of the steps, early stopping, refusal of what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any

from kukla.errors import InputError
from kukla.train.extra import import_torch

__all__ = ["Best", "take_steps"]

MEASURE_EVERY = 20


@dataclass(frozen=True, eq=False)
class Best:
    """The values of the parameters at the best measured step (0: none was better), and its recall."""

    values: list[Any]
    step: int
    recall: float


def take_steps(
    parameters: Sequence[Any],
    loss: Callable[[], Any],
    measure: Callable[[], float],
    *,
    steps: int,
    learning_rate: float,
    patience: int,
    recall: float,
    report: Callable[[int], None],
) -> Best:
    """Train ``parameters`` in place; they end at the best measured step.

    Parameters
    ----------
    parameters : sequence of tensors
    loss : callable
        Of one step, differentiable.
    measure : callable
        The held-out recall of the parameters as they are.
    steps, patience : int
    learning_rate : float
        Of the first step; it falls to 0 as half a cosine.
    recall : float
        To be beaten.
    report : callable
        Takes the number of steps done.

    Raises
    ------
    InputError
        The loss is no longer finite.
    """
    torch = import_torch()
    optimizer = torch.optim.Adam(list(parameters), lr=learning_rate)
    best = Best([one.detach().clone() for one in parameters], 0, recall)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * 0.5 * (1 + cos(pi * (step - 1) / steps))
        value = loss()
        if not isfinite(value.item()):
            raise InputError(
                f"the loss became {value.item()} in step {step} at the learning rate {learning_rate:g}; a "
                "smaller one may help"
            )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        report(step)
        if step % MEASURE_EVERY and step != steps:
            continue
        with torch.no_grad():
            found = measure()
        if found > best.recall:
            best = Best([one.detach().clone() for one in parameters], step, found)
        elif step - best.step >= patience:
            break
    with torch.no_grad():
        for parameter, value in zip(parameters, best.values, strict=True):
            parameter.copy_(value)
    report(steps)
    return best
