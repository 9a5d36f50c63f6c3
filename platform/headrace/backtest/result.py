"""What came of each policy, side by side, and which one the evidence is for."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from pydantic import BaseModel

from headrace.automation.evidence import end_of
from headrace.backtest.life import Life, Trained, World
from headrace.core.days import DAY, Days, unbroken
from headrace.models.blocks import drawn, interval
from headrace.monitoring.declaration import BETTER_LOW

WEEK = 7
LEAST_WEEKS = 8
"""Of how many weeks policies are at least compared: fewer tell nothing."""
CONFIDENCE = 0.95
_HOUR = 3600.0


class Training(BaseModel):
    """One training of a policy."""

    day: date
    reasons: tuple[str, ...]
    released: bool
    outcome: str


class Figures(BaseModel):
    """What came of one policy."""

    policy: str
    left_out: tuple[str, ...]
    trainings: list[Training]
    released: int
    mean: float | None
    """The watched metric, averaged over weeks; None where no week could be measured."""
    worst: float | None
    worst_week: date | None
    """The first day of the week in which it was worst."""
    weeks: list[tuple[date, float | None]]
    beyond: int | None
    """On how many days the metric of the seven days before lay beyond its limit; None without a limit."""
    episodes: int
    detected: int
    """In how many of the spans beyond the limit a training was launched, and how many there were."""
    delay_days: float | None
    """From the first day of such a span to that training, on average."""
    cpu_seconds: float
    cost: float | None
    """The processor time of its trainings, in the declared currency; None without a price."""
    difference: tuple[float, float, float] | None = None
    """How far its mean lies above the best policy's, with the interval of 95 %; None for the best one itself."""

    @property
    def is_surely_worse(self) -> bool:
        """Whether chance does not explain why another policy did better."""
        return self.difference is not None and not self.difference[1] <= 0 <= self.difference[2]


class Backtest(BaseModel):
    """A back-test: which history, how it was replayed, and what came of each policy."""

    product: str
    metric: str
    limit: str
    """The limit of the metric in words."""
    first: date
    last: date
    rows: int
    versions: dict[str, int]
    left_out: list[str]
    """Gates that could not be replayed."""
    otherwise: str
    """How the models differ from those that the product trains; empty where they are those."""
    currency: str
    models: int
    """How many different models were trained."""
    seconds: float
    policies: list[Figures]
    recommended: str | None
    why: str


def figures_of(life: Life, world: World, days: Days) -> Figures:
    """Return what came of a policy, of whole weeks from the first scored day on."""
    weeks = [(week.first, world.measured(week, life.scores)[0]) for week in weeks_of(life, days)]
    known = [(first, value) for first, value in weeks if value is not None]
    side = -1 if world.monitors.quality.metric in BETTER_LOW else 1
    worst_week, worst = min(known, key=lambda one: side * one[1], default=(None, None))
    spans = _beyond(life, world, days)
    delays = [delay for span in spans for delay in _detected(span, life.trainings, world)]
    cpu = sum(one.cpu_seconds for one in life.trainings)
    return Figures(
        policy=life.policy.name,
        left_out=life.policy.left_out,
        trainings=[
            Training(day=t.day, reasons=t.reasons, released=t.released, outcome=t.outcome) for t in life.trainings
        ],
        released=len(life.releases),
        mean=float(np.mean([value for _, value in known])) if known else None,
        worst=worst,
        worst_week=worst_week,
        weeks=weeks,
        beyond=sum(len(span) for span in spans) if world.monitors.quality.has_limit else None,
        episodes=len(spans),
        detected=len(delays),
        delay_days=float(np.mean(delays)) if delays else None,
        cpu_seconds=cpu,
        cost=cpu / _HOUR * world.cpu_hour if world.cpu_hour else None,
    )


def weeks_of(life: Life, days: Days) -> list[Days]:
    """Return whole weeks from the first scored day on: the same for all policies, as they all begin with one model."""
    if not life.releases:
        return []
    first = life.releases[0] + DAY
    count = ((days.last - first).days + 1) // WEEK
    return [Days(first + DAY * WEEK * n, first + DAY * (WEEK * (n + 1) - 1)) for n in range(count)]


def compared(found: Sequence[Figures], metric: str) -> tuple[list[Figures], str | None, str]:
    """Return the policies with their differences from the best, the one that is recommended, and why.

    That is the cheapest of those that chance may have kept from being the best: weeks are drawn with replacement, the same
    for both policies (a paired bootstrap over blocks; B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993).
    """
    known = [one for one in found if one.mean is not None]
    weeks = min((sum(value is not None for _, value in one.weeks) for one in known), default=0)
    if weeks < LEAST_WEEKS:
        return (
            list(found),
            None,
            f"Nothing is recommended: {weeks} measured weeks tell too little, {LEAST_WEEKS} are the least.",
        )
    side = -1 if metric in BETTER_LOW else 1
    best = max(known, key=lambda one: (side * (one.mean or 0.0), -one.cpu_seconds))
    judged = [one if one is best else one.model_copy(update={"difference": _difference(one, best)}) for one in found]
    good = [one for one in judged if one.mean is not None and not one.is_surely_worse]
    chosen = min(good, key=lambda one: (one.cpu_seconds, len(one.trainings)))
    return judged, chosen.policy, _why(chosen, best, metric, weeks, [one for one in judged if one.is_surely_worse])


def _why(chosen: Figures, best: Figures, metric: str, weeks: int, worse: Sequence[Figures]) -> str:
    own = f"{metric} {chosen.mean:.4f} over {weeks} weeks, {len(chosen.trainings)} trainings, {chosen.cpu_seconds:.0f} s of processor"
    behind = "; ".join(f"{one.policy} {_told(one.difference)}" for one in worse)
    others = f" Surely worse than {best.policy}: {behind}." if worse else ""
    if chosen.policy == best.policy:
        return f"{chosen.policy}: the best, and none that does as well costs less ({own}).{others}"
    found = f"{best.policy} reaches {best.mean:.4f} with {len(best.trainings)} and {best.cpu_seconds:.0f} s"
    return f"{chosen.policy}: {own}. {found}; the difference of {_told(chosen.difference)} may be chance.{others}"


def _told(difference: tuple[float, float, float] | None) -> str:
    return "{:+.4f} ({:+.4f} to {:+.4f})".format(*difference) if difference else "unknown"


def _difference(one: Figures, best: Figures) -> tuple[float, float, float] | None:
    pairs = [(own, other) for (_, own), (_, other) in zip(one.weeks, best.weeks, strict=False)]
    gaps = np.array([own - other for own, other in pairs if own is not None and other is not None])
    if len(gaps) < LEAST_WEEKS:
        return None
    bounds = interval(drawn(len(gaps)) @ gaps / len(gaps), len(gaps), CONFIDENCE)
    return (float(gaps.mean()), *bounds) if bounds else None


def _beyond(life: Life, world: World, days: Days) -> list[Days]:
    """Return the spans of days on which the metric of the week that ends there lay beyond its limit."""
    policy = world.monitors.quality
    if not policy.has_limit or not life.releases:
        return []
    first = life.releases[0] + DAY * WEEK
    bad = []
    for day in Days(first, days.last) if days.last >= first else ():
        value, _ = world.measured(Days(day - DAY * (WEEK - 1), day), life.scores)
        if value is not None and not policy.allows(value):
            bad.append(day)
    return unbroken(bad)


def _detected(span: Days, trainings: Sequence[Trained], world: World) -> list[float]:
    """Return the days from the first one of a span to the first training within it, if there is one."""
    begin, end = (end_of(day, world.history.zone) for day in (span.first, span.last))
    return [(one.at - begin) / DAY for one in trainings if begin <= one.at <= end][:1]
