"""The search: which rates are asked, and which of them is the highest that a server bears."""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

from headrace.load.declaration import Bounds, Plan
from headrace.load.step import Step

FIRST_RATE, MOST_RATE = 50.0, 51_200.0
NEAR = 1.1
"""The capacity is known when the rate that is borne and the one that is not are no further apart than that."""
Ask = Callable[[float, float], Step]


class Found(NamedTuple):
    """What came of a search."""

    steps: list[Step]
    """In the order of their rates."""
    capacity: float | None
    """The highest rate that was borne; None where none was."""
    note: str = ""
    """Why it may be more, or nothing is known."""


def search(ask: Ask, plan: Plan, bounds: Bounds) -> Found:
    """Return how a server does at the rates of a plan, and its capacity."""
    if plan.rates:
        steps = [ask(rate, plan.seconds) for rate in plan.rates]
        return found_of(steps, bounds, "")
    steps, note = _until_broken(ask, plan, bounds)
    borne = [step.rate for step in steps if step.is_borne(bounds)]
    if borne and not note:
        low, high = borne[-1], steps[-1].rate
        while high / low > NEAR:
            middle = float(round(sqrt(low * high)))
            steps.append(_asked_twice(ask, middle, plan, bounds))
            low, high = (middle, high) if steps[-1].is_borne(bounds) else (low, middle)
    return found_of(steps, bounds, note)


def _until_broken(ask: Ask, plan: Plan, bounds: Bounds) -> tuple[list[Step], str]:
    """Return steps that double until one is not borne, and why that may not be the server's limit."""
    steps: list[Step] = []
    rate = FIRST_RATE
    while rate <= MOST_RATE:
        steps.append(_asked_twice(ask, rate, plan, bounds))
        if not steps[-1].is_borne(bounds):
            return steps, behind(steps[-1])
        rate *= 2
    return steps, f"Nothing above {MOST_RATE:,.0f}/s was asked: the server may bear more."


def _asked_twice(ask: Ask, rate: float, plan: Plan, bounds: Bounds) -> Step:
    """Return how the server does at a rate; one that is not borne is asked once more before it counts: a machine may hiccup."""
    step = ask(rate, plan.seconds)
    return step if step.is_borne(bounds) else ask(rate, plan.seconds)


def behind(step: Step) -> str:
    """Return that it was the generator that fell behind at a rate; nothing where it did not."""
    if not step.is_behind:
        return ""
    return (
        f"At {step.rate:g}/s the load generator itself was late by {step.late_ms:.3g} ms and more: what is slow there may "
        "not be the server. Ask from a machine, or at an hour, with more to spare."
    )


def found_of(steps: list[Step], bounds: Bounds, note: str) -> Found:
    """Return steps in the order of their rates, with the highest that was borne."""
    in_order = sorted(steps, key=lambda step: step.rate)
    borne = [step.rate for step in in_order if step.is_borne(bounds)]
    return Found(in_order, max(borne, default=None), note)
