"""Overload: three times of what a server bears, and how soon it is well again."""

from pydantic import BaseModel

from headrace.load.search import Ask
from headrace.load.step import Step

TIMES = 3
RECOVERY_S = 5.0


class Overload(BaseModel, frozen=True):
    """How a server did at three times its capacity, and from five seconds after that on."""

    capacity: float
    loaded: Step
    calm: Step
    """A third of the capacity, from five seconds after the overload on."""

    @property
    def goodput(self) -> float:
        """How many of the requests that it could answer were answered, as a share of the capacity."""
        return self.loaded.answered / self.loaded.seconds / self.capacity

    @property
    def told(self) -> str:
        """What happened, in a sentence."""
        loaded, calm = self.loaded, self.calm
        errors = sum(loaded.errors.values())
        return (
            f"At {TIMES} times the capacity ({loaded.rate:g}/s) {self.goodput:.0%} of it was answered, with a p99 of "
            f"{_ms(loaded.p99_ms)}; {loaded.shed:,} of {loaded.asked:,} were refused, {loaded.with_retry:,} of them with "
            f"Retry-After, and {errors:,} failed otherwise. {RECOVERY_S:g} s later, at {calm.rate:g}/s, p99 was "
            f"{_ms(calm.p99_ms)}, and {calm.failed:,} of {calm.asked:,} were not answered."
        )


def overloaded(ask: Ask, capacity: float, seconds: float) -> Overload:
    """Ask three times the capacity, then a third of it, and return what came of both."""
    loaded = ask(TIMES * capacity, seconds)
    ask(capacity / TIMES, RECOVERY_S)
    return Overload(capacity=capacity, loaded=loaded, calm=ask(capacity / TIMES, seconds))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
