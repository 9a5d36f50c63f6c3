"""Whether to train again, and why: a pure function of what is declared, what is seen, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from headrace.automation.declaration import Retrain, Trigger
from headrace.core.names import duration_text

MOST_TRIES = 3
"""How often what failed is tried at once: an ingestion, and a training while no model is live."""


@dataclass(frozen=True)
class Signal:
    """A check that failed: which kind, and in words which value against which limit."""

    on: Literal["drift", "quality", "freshness"]
    what: str
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The values behind it, which go into JSON."""


@dataclass(frozen=True)
class Seen:
    """What is known of a product at a moment."""

    live_since: datetime | None = None
    signals: tuple[Signal, ...] = ()
    late_sources: tuple[str, ...] = ()
    broken_contracts: tuple[str, ...] = ()
    trainings: tuple[datetime, ...] = ()
    """When trainings were launched, oldest first."""
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

    def __str__(self) -> str:
        if self.train:
            return "Train: " + "; ".join(self.reasons)
        if not self.reasons:
            return "Nothing to do: no check fails, and the model is young enough."
        return f"Not now ({'; '.join(self.obstacles)}), although: {'; '.join(self.reasons)}"


def decide(policy: Retrain, seen: Seen, now: datetime) -> Decision:
    """Return whether to train, with every reason for it and every obstacle."""
    fired = tuple(_reasons(policy, seen, now))
    obstacles = tuple(_obstacles(policy, seen, now))
    return Decision(bool(fired) and not obstacles, tuple(map(str, fired)), obstacles, fired)


def _reasons(policy: Retrain, seen: Seen, now: datetime) -> list[Fired]:
    if seen.live_since is None:
        tries = _failed_tries(seen)
        what = f"no model is live yet (try {tries + 1}: {tries} failed)" if tries else "no model is live yet"
        return [Fired("first", what, {"failed": tries})]
    return [one for trigger in policy.when for one in _fired(trigger, seen, seen.live_since, now)]


def _fired(trigger: Trigger, seen: Seen, live_since: datetime, now: datetime) -> list[Fired]:
    if trigger.older_than is not None:
        age = now - live_since
        limit = duration_text(trigger.older_than)
        facts = {"live_since": live_since.isoformat(), "days": age / timedelta(days=1), "limit": limit}
        too_old = age > trigger.older_than
        return [Fired("age", f"live for {_days(age)}, more than {limit}", facts)] if too_old else []
    return [Fired(signal.on, signal.what, signal.facts) for signal in seen.signals if signal.on == trigger.on]


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
    return found + _limits(policy, seen, now)


def _limits(policy: Retrain, seen: Seen, now: datetime) -> list[str]:
    found = []
    trainings, tries = seen.trainings, _failed_tries(seen)
    if trainings and now - trainings[-1] < policy.cooldown and not 0 < tries < MOST_TRIES:
        failed = f", and {tries} have failed in a row" if tries else ""
        found.append(
            f"cooldown: last training {_days(now - trainings[-1])} ago, less than {duration_text(policy.cooldown)}{failed}"
        )
    spent = sum(1 for at in trainings if now - at < policy.budget.per)
    if spent >= policy.budget.trainings:
        found.append(f"budget: {spent} trainings of {policy.budget}")
    return found


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
