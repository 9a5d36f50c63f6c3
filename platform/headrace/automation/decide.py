"""Whether to train again, and why: a pure function of what is declared, what is seen, and the time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from headrace.automation.alarm import Alarm, Reading, Rules, alarm_of
from headrace.automation.declaration import Money, Retrain, Trigger
from headrace.core.names import duration_text

MOST_TRIES = 3
"""How often what failed is tried at once: an ingestion, and a training while no model is live."""


@dataclass(frozen=True)
class Signal:
    """A check that failed: which kind, and in words which value against which limit."""

    on: Literal["drift", "shifts", "quality", "estimated", "freshness"]
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The values behind it, which go into JSON."""


@dataclass(frozen=True)
class Grown:
    """How many labelled rows the live model was trained on, and how many there are by now."""

    trained_on: int
    labelled: int

    @property
    def more(self) -> int:
        """How many came since."""
        return self.labelled - self.trained_on


@dataclass(frozen=True)
class Spent:
    """What a training cost, in the currency of the product's price."""

    at: datetime
    amount: float


@dataclass(frozen=True)
class Seen:
    """What is known of a product at a moment."""

    live_since: datetime | None = None
    signals: tuple[Signal, ...] = ()
    readings: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    """Kind of signal → what was measured of the live model window by window, oldest first. A signal without any counts as it is."""
    grown: Grown | None = None
    changed: Mapping[str, str] = field(default_factory=dict)
    """`schema` or `code` → in words what is not as it was when the live model was trained."""
    late_sources: tuple[str, ...] = ()
    broken_contracts: tuple[str, ...] = ()
    trainings: tuple[datetime, ...] = ()
    """When trainings were launched, oldest first."""
    costs: tuple[Spent, ...] = ()
    """What trainings cost as far as that was measured, oldest first."""
    decided_at: datetime | None = None
    """When a candidate was last released or refused: trainings since then came to no end."""
    busy: str = ""
    """What is under way and must end first; empty when nothing is."""
    waits: str = ""
    """The candidate that waits for somebody's approval; empty when none does."""
    lacks: str = ""
    """What is lacking for a training; empty when nothing is."""


@dataclass(frozen=True)
class Fired:
    """One reason to train: which kind, in words, and the values behind it."""

    on: str
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return self.what if self.on == "first" else f"{self.on}: {self.what}"


@dataclass(frozen=True)
class Decision:
    """Train or not, in words."""

    train: bool
    reasons: tuple[str, ...]
    obstacles: tuple[str, ...]
    fired: tuple[Fired, ...] = ()
    """The reasons as facts."""
    notes: tuple[str, ...] = ()
    """How each trigger stands that is no reason."""

    @property
    def state(self) -> str:
        """What stays the same while nothing but numbers change: whether to train, kinds of reasons and of obstacles."""
        reasons = ",".join(sorted({fired.on for fired in self.fired}))
        return (
            f"{'train' if self.train else 'wait'} | {reasons} | {','.join(o.partition(':')[0] for o in self.obstacles)}"
        )

    def __str__(self) -> str:
        if self.train:
            return "Train: " + "; ".join(self.reasons)
        if not self.reasons:
            return f"Nothing to do: {'; '.join(self.notes) or 'no trigger is declared'}."
        return f"Not now ({'; '.join(self.obstacles)}), although: {'; '.join(self.reasons)}"


def decide(policy: Retrain, seen: Seen, now: datetime) -> Decision:
    """Return whether to train, with every reason for it, every obstacle, and how each trigger stands that is no reason."""
    looks = _looks(policy, seen, now)
    fired = tuple(look for look in looks if isinstance(look, Fired))
    notes = tuple(look for look in looks if isinstance(look, str))
    obstacles = tuple(_obstacles(policy, seen, now))
    return Decision(bool(fired) and not obstacles, tuple(map(str, fired)), obstacles, fired, notes)


def alarms(policy: Retrain, seen: Seen, now: datetime) -> dict[str, Alarm]:
    """Return how the alarm of each kind stands that was measured window by window."""
    rules = Rules(policy.confirm.windows, policy.confirm.of, policy.clear, policy.budget.per)
    answered = [at for at in seen.trainings if seen.decided_at and at <= seen.decided_at]
    return {on: alarm_of(readings, rules, answered, now) for on, readings in seen.readings.items() if readings}


def _looks(policy: Retrain, seen: Seen, now: datetime) -> list[Fired | str]:
    """Return for each trigger the reasons that it gives, or in words how it stands."""
    if seen.live_since is None:
        tries = _failed_tries(seen)
        what = f"no model is live yet (try {tries + 1}: {tries} failed)" if tries else "no model is live yet"
        return [Fired("first", what, {"failed": tries})]
    standing = alarms(policy, seen, now)
    return [look for trigger in policy.when for look in _look(trigger, seen, standing, now)]


def _look(trigger: Trigger, seen: Seen, standing: Mapping[str, Alarm], now: datetime) -> list[Fired | str]:
    if trigger.on == "age":
        return [_age(trigger, seen, now)]
    if trigger.on == "rows":
        return [_rows(trigger, seen)]
    if trigger.on in ("schema", "code"):
        return [_changed(trigger.on, seen)]
    signals = [Fired(signal.on, signal.what, signal.facts) for signal in seen.signals if signal.on == trigger.on]
    alarm = standing.get(trigger.on)
    if alarm is None:
        return [*signals] or [f"{trigger.on}: no check fails"]
    if not alarm.fires:
        return [f"{trigger.on}: {alarm.what}"]
    return [*signals] or [Fired(trigger.on, alarm.what, {"since": str(alarm.since)})]


def _age(trigger: Trigger, seen: Seen, now: datetime) -> Fired | str:
    age = now - (seen.live_since or now)
    limit = trigger.older_than or timedelta()
    if age <= limit:
        return f"age: live for {_days(age)} of {duration_text(limit)}"
    since = seen.live_since.isoformat() if seen.live_since else None
    facts = {"live_since": since, "days": age / timedelta(days=1), "limit": duration_text(limit)}
    return Fired("age", f"live for {_days(age)}, more than {duration_text(limit)}", facts)


def _rows(trigger: Trigger, seen: Seen) -> Fired | str:
    grown = seen.grown
    if grown is None:
        return "rows: nothing is known of those that the live model was trained on"
    least = trigger.more_rows or grown.trained_on * (trigger.more_share or 0.0)
    limit = str(trigger).partition("> ")[2]
    what = f"{grown.more:,} labelled rows more than the {grown.trained_on:,} that the live model was trained on"
    if grown.more <= least:
        return f"rows: {what}, of {limit}"
    return Fired("rows", f"{what}, above {limit}", {"trained_on": grown.trained_on, "labelled": grown.labelled})


def _changed(on: str, seen: Seen) -> Fired | str:
    what = seen.changed.get(on)
    return Fired(on, what, {"changed": what}) if what else f"{on}: as when the live model was trained"


def _obstacles(policy: Retrain, seen: Seen, now: datetime) -> list[str]:
    found = [f"under way: {seen.busy}"] if seen.busy else []
    if seen.waits:
        found.append(f"{seen.waits} waits for approval")
    if seen.lacks:
        found.append(seen.lacks)
    if "late_source" in policy.unless:
        found += [f"late source: {text}" for text in seen.late_sources]
    if "broken_contract" in policy.unless:
        found += [f"broken contract: {text}" for text in seen.broken_contracts]
    return found + list(_limits(policy, seen, now))


def _limits(policy: Retrain, seen: Seen, now: datetime) -> Iterator[str]:
    trainings, tries, budget = seen.trainings, _failed_tries(seen), policy.budget
    if trainings and now - trainings[-1] < policy.cooldown and not 0 < tries < MOST_TRIES:
        failed = f", and {tries} have failed in a row" if tries else ""
        ago = _days(now - trainings[-1])
        yield f"cooldown: last training {ago} ago, less than {duration_text(policy.cooldown)}{failed}"
    launched = sum(1 for at in trainings if now - at < budget.per)
    if budget.trainings is not None and launched >= budget.trainings:
        yield f"budget: {launched} trainings of {budget}"
    if budget.cost is not None:
        yield from _over(budget.cost, launched, [s for s in seen.costs if now - s.at < budget.per], seen.costs)


def _over(limit: Money, launched: int, period: list[Spent], costs: tuple[Spent, ...]) -> Iterator[str]:
    """Yield why there is no money for another training: what the period took, and what the last one did, pass the limit.

    A training that was launched and never measured, as it failed, counts as the last one that was.
    """
    expected = costs[-1].amount if costs else 0.0
    spent = sum(one.amount for one in period) + max(0, launched - len(period)) * expected
    if spent + expected > limit.amount:
        yield f"budget: {spent:.4g} of {limit} are spent, and a training takes about {expected:.4g}"


def _failed_tries(seen: Seen) -> int:
    """Return how many trainings have failed since a candidate was last judged, while no model is live.

    The cooldown keeps a live model from being replaced too often. Where none is live there is nothing to keep, and what
    failed is tried again; what was refused would be refused again until other data have come.
    """
    if seen.live_since:
        return 0
    return sum(1 for at in seen.trainings if seen.decided_at is None or at > seen.decided_at)


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.1f} d"
