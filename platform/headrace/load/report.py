"""The report of a load test: its steps, the capacity, and what became of the promise."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from headrace.core.columns import in_columns
from headrace.load.declaration import Bounds
from headrace.load.overload import Overload
from headrace.load.step import Step
from headrace.serving.declaration import Sla

HEAD = ("rate", "answered", "429", "503", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms", "own delay ms")


class Held(BaseModel, frozen=True):
    """One promise, held against what was measured."""

    promise: str
    kept: bool
    why: str


class Report(BaseModel, frozen=True):
    """What a load test has found."""

    product: str
    of: str
    """What was asked: an address, the live model, a candidate."""
    bounds: Bounds
    steps: list[Step]
    """In the order of their rates."""
    capacity: float | None
    """The highest rate that was borne, in requests a second; None where none was."""
    evidence: Step | None = None
    """The step at the rate of the promise, or at the one that gates are held against."""
    held: list[Held] = []
    """What became of the promises; nothing where none were made."""
    overload: Overload | None = None
    note: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether a promise is not kept."""
        return not all(held.kept for held in self.held)

    def facts(self) -> dict[str, Any]:
        """Return all of it for programs."""
        return self.model_dump(mode="json")

    @property
    def text(self) -> str:
        """All of it, for people at a terminal."""
        lines = [f"{self.product}: {self.of}", in_columns(HEAD, [_row(step) for step in self.steps]), "", self.told]
        lines += [f"{'kept  ' if held.kept else 'MISSED'} {held.promise}: {held.why}" for held in self.held]
        lines += [self.overload.told] if self.overload else []
        lines += [self.note] if self.note else []
        return "\n".join(lines)

    @property
    def told(self) -> str:
        """The capacity, in a sentence."""
        share = (
            f" and no more than {self.bounds.errors:.2%} without an answer"
            if self.bounds.errors
            else " and all answered"
        )
        limit = f"a p99 within {self.bounds.p99:g} ms{share}"
        if self.capacity is None:
            return f"No rate that was asked was borne: {limit} was not reached at any."
        return f"Capacity: {self.capacity:,.0f} requests/s, the highest rate of those asked with {limit}."


def bounds_of(sla: Sla | None) -> Bounds:
    """Return what counts as borne: what is promised, or else a p99 within 100 ms and no errors."""
    return Bounds(p99=sla.p99, errors=sla.errors) if sla else Bounds()


def hold(sla: Sla, step: Step) -> list[Held]:
    """Return what became of the promises at the rate that they are made for."""
    at = f"at {step.rate:g}/s"
    share = step.failed / step.asked if step.asked else 1.0
    fast = step.p99_ms is not None and step.p99_ms <= sla.p99
    found = "nothing was answered" if step.p99_ms is None else f"{step.p99_ms:.1f} ms of {step.answered:,} answers"
    blame = f"; the generator itself was late by {step.late_ms:.1f} ms" if step.is_behind and not fast else ""
    failed = f"{share:.2%} of {step.asked:,}: {_failures(step)}" if step.failed else f"all {step.asked:,} were answered"
    return [
        Held(promise=f"p99 <= {sla.p99:g}ms {at}", kept=fast, why=f"{found}{blame}"),
        Held(
            promise=f"errors <= {sla.errors * 100:g}% {at}", kept=bool(step.asked) and share <= sla.errors, why=failed
        ),
    ]


def _failures(step: Step) -> str:
    counts = {"429": step.too_many, "503": step.unavailable, **step.errors}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _row(step: Step) -> Sequence[object]:
    times = (step.p50_ms, step.p95_ms, step.p99_ms, step.max_ms, step.late_ms)
    counts = (step.answered, step.too_many, step.unavailable, sum(step.errors.values()))
    return (f"{step.rate:g}/s", *counts, *(("-" if ms is None else f"{ms:.1f}").rjust(7) for ms in times))
