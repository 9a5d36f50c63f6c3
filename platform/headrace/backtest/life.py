"""One policy, day by day: what is scored, what is measured of it, what is decided, and what comes of that."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np

from headrace.automation.alarm import Reading
from headrace.automation.decide import Grown, Seen, Signal, Spent, decide
from headrace.automation.declaration import Retrain
from headrace.automation.evidence import drift_readings, end_of, quality_readings
from headrace.backtest.challenger import Challenger, Challengers, Scores
from headrace.backtest.declaration import Policy
from headrace.backtest.history import History
from headrace.core.days import DAY, Days
from headrace.evaluation.evaluate import LEAST_ROWS, measure
from headrace.evaluation.metrics import Aim
from headrace.models.predict import SCORE
from headrace.monitoring.declaration import Monitors
from headrace.monitoring.drift import drift_by_day, window_start
from headrace.monitoring.quality import Realized

_HOUR = 3600.0


@dataclass(frozen=True)
class Trained:
    """One training of a policy: why, what it took, and what became of it."""

    day: date
    """The day at whose end it began."""
    at: datetime
    reasons: tuple[str, ...]
    released: bool
    outcome: str
    cpu_seconds: float


@dataclass(frozen=True)
class World:
    """What all policies share: the history, the models of its days, what is measured, and what a CPU hour costs."""

    history: History
    challengers: Challengers
    monitors: Monitors
    declared: Retrain
    """What decides until a first model is live, for all policies: they begin with the same one."""
    aim: Aim
    needed: timedelta
    """How long a history must be before anything is trained: the test, the wait for its labels, and that of the rows before it."""
    cpu_hour: float | None = None

    def measured(self, days: Days, scores: Scores) -> tuple[float | None, int]:
        """Return the watched metric of the scores of some days whose labels are known, and of how many rows it is."""
        place = self.history.between(days.first, days.last)
        answers = self.history.answers[place]
        own = scores[place]
        known = np.isfinite(answers) & np.isfinite(own)
        count = int(known.sum())
        if count < LEAST_ROWS:
            return None, count
        return measure(answers[known], own[known], self.aim).metrics.get(self.monitors.quality.metric), count


@dataclass
class Life:
    """A product under one policy."""

    policy: Policy
    world: World
    scores: Scores
    """Of each row of the history, by the model that was live; not a number before any was."""
    champion: Challenger | None = None
    trainings: list[Trained] = field(default_factory=list)
    releases: list[date] = field(default_factory=list)
    decided_at: datetime | None = None
    _scored_by: dict[date, datetime] = field(default_factory=dict)
    _readings: dict[str, list[Reading]] = field(default_factory=lambda: {"drift": [], "quality": []})
    _measured_to: date | None = None

    def pass_day(self, day: date) -> None:
        """Score a day, measure what its end tells, and decide."""
        now = end_of(day, self.world.history.zone)
        if self.champion:
            self._score(self.champion, day)
            self._readings["drift"] += self._drift(self.champion, day)
            self._readings["quality"] += self._quality(now)
        decision = decide(self.policy.retrain if self.champion else self.world.declared, self._seen(now), now)
        if decision.train:
            self._train(now, day, decision.reasons)

    def _score(self, champion: Challenger, day: date) -> None:
        place = self.world.history.between(day, day)
        if place.stop > place.start:
            self.scores[place] = self.world.challengers.scores(champion, day)
            self._scored_by[day] = champion.at

    def _drift(self, champion: Challenger, day: date) -> Iterator[Reading]:
        """Yield how far the rows of the window that ends on a day have moved; of part of a window nothing."""
        policy = self.world.monitors.drift
        if day not in self._scored_by or not self._asks("drift"):
            return
        window = Days(window_start(day, policy.window), day)
        own = {d: self._scored_by[d] == champion.at for d in window if d in self._scored_by}
        profiles = [self.world.challengers.day_profile(champion, d, policy, own=is_own) for d, is_own in own.items()]
        reference, limits = self.world.challengers.reference(champion, policy)
        first = min(self._scored_by)
        since = dict.fromkeys((i.name for i in champion.predictor.inputs), first)
        since[SCORE] = min(d for d, at in self._scored_by.items() if at == champion.at)
        moved = [m for m in drift_by_day(profiles, reference, policy, since, limits) if m.day == day]
        yield from drift_readings(moved, policy, self.world.history.zone)

    def _quality(self, now: datetime) -> Iterator[Reading]:
        """Yield what labels that came say of the champion's scores, for each day that is wholly known by now."""
        world, policy = self.world, self.world.monitors.quality
        if not self._asks("quality") or not policy.has_limit or not self.releases:
            return
        last = (now - world.history.label.known_after).astimezone(world.history.zone).date() - DAY
        first = (self._measured_to or self.releases[-1]) + DAY
        for day in Days(first, last) if last >= first else ():
            self._measured_to = day
            since = max(window_start(day, policy.window), self.releases[-1] + DAY)
            value, rows = world.measured(Days(since, day), self.scores)
            if value is not None:
                found = Realized(day, "", rows, value, metric=policy.metric)
                yield from quality_readings([found], policy, world.history.zone)

    def _asks(self, kind: str) -> bool:
        return any(trigger.on == kind for trigger in self.policy.retrain.when)

    def _seen(self, now: datetime) -> Seen:
        world, price = self.world, self.world.cpu_hour
        costs = tuple(Spent(t.at, t.cpu_seconds / _HOUR * price) for t in self.trainings) if price else ()
        known = world.history.known_at(now).num_rows
        return Seen(
            live_since=end_of(self.releases[-1], world.history.zone) if self.releases else None,
            signals=tuple(self._stale(now)),
            readings={kind: tuple(found) for kind, found in self._readings.items()},
            grown=Grown(self.champion.rows, known) if self.champion else None,
            trainings=tuple(t.at for t in self.trainings),
            costs=costs,
            decided_at=self.decided_at,
            lacks="" if self._is_long_enough(now) else "no history yet that is long enough",
        )

    def _is_long_enough(self, now: datetime) -> bool:
        begin = end_of(self.world.history.days.first - DAY, self.world.history.zone)
        return now - begin > self.world.needed

    def _stale(self, now: datetime) -> Iterator[Signal]:
        limit = self.world.monitors.freshness
        if limit and self.champion and now - self.champion.newest > limit:
            age = (now - self.champion.newest) / DAY
            yield Signal(
                "freshness", f"the live model was judged on labels to {self.champion.newest:%Y-%m-%d}, {age:.0f} d ago"
            )

    def _train(self, now: datetime, day: date, reasons: tuple[str, ...]) -> None:
        made = self.world.challengers.at(now)
        if isinstance(made, str):
            self.trainings.append(
                Trained(day, now, reasons, released=False, outcome=f"failed: {made}", cpu_seconds=0.0)
            )
            return
        verdicts = self.world.challengers.verdicts(made, self.champion)
        failed = [f"{one.gate}: {one.why}" for one in verdicts if not one.passed]
        outcome = f"refused: {'; '.join(failed)}" if failed else "released"
        self.trainings.append(Trained(day, now, reasons, not failed, outcome, made.cpu_seconds))
        self.decided_at = now
        if not failed:
            self.champion, self._measured_to = made, None
            self.releases.append(day)
            self._readings = {"drift": [], "quality": []}


def live_through(policy: Policy, world: World, days: Days, say: Callable[[str], None]) -> Life:
    """Return what becomes of a product under a policy, day by day; nothing is scored before its first model is released."""
    life = Life(policy, world, np.full(world.history.rows.num_rows, np.nan))
    for day in days:
        before = len(life.trainings)
        life.pass_day(day)
        for trained in life.trainings[before:]:
            say(f"{policy.name} {day}: {'; '.join(trained.reasons)} -> {trained.outcome.partition(':')[0]}")
    return life
