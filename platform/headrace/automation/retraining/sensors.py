"""The sensor that retrains: it sees, decides, keeps what it decided, and asks for a run."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from json import dumps, loads
from textwrap import shorten

import dagster as dg
from dagster import RunsFilter

from headrace.automation.alarm import Reading
from headrace.automation.decide import Seen, Signal, decide
from headrace.automation.diary import Last
from headrace.automation.evidence import changed, grown, readings, spent
from headrace.automation.looks.sensors import (
    ESTIMATED,
    PRODUCT,
    REASON,
    SIGNALS,
    TRAINING,
    Key,
    Said,
    diary_of,
    failed_checks,
    request,
    said_last,
    said_since,
    steady,
)
from headrace.automation.loop import Loop
from headrace.automation.memory import Memory
from headrace.core.days import Days
from headrace.core.pace import SOON_S, every
from headrace.core.resources import instance_of
from headrace.resources import UNDER_WAY
from headrace.sources.freshness import freshness, freshness_of, newest_row
from headrace.store.releases import Release, live_of, waiting_of

KEPT_READINGS = 200
LONGEST_REASON = 500
"""How many characters of a reason go into the tag of a run; the log of trainings has all of it."""
NOTHING = Last()


@dataclass(frozen=True)
class Remembered:
    """What the cursor holds: the decision that was written down last, and what the check of estimated quality has said."""

    last: Last = NOTHING
    model: str = ""
    """Of which model it has."""
    newest: int = 0
    """The evaluation that was heard last."""
    estimated: tuple[Reading, ...] = ()

    @classmethod
    def of(cls, cursor: str | None) -> "Remembered":
        """Return what a cursor holds."""
        facts = loads(cursor or "{}")
        if not facts:
            return cls()
        heard = [Reading(datetime.fromisoformat(at), ratio, what) for at, ratio, what in facts["estimated"]]
        return cls(Last(**facts["last"]), facts["model"], facts["newest"], tuple(heard))

    def cursor(self, last: Last) -> str:
        """Return it as a cursor, with another last decision."""
        heard = [(reading.at.isoformat(), reading.ratio, reading.what) for reading in self.estimated]
        return dumps({"last": asdict(last), "model": self.model, "newest": self.newest, "estimated": heard})


def retrain_sensor(loop: Loop) -> dg.SensorDefinition:
    """Return the sensor that asks for trainings."""
    name, memory = f"{loop.site.product.product}__retrain", Memory()

    @dg.sensor(
        name=name,
        job_name=loop.site.product.product,
        minimum_interval_seconds=every(loop.site.place.root, SOON_S),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains for one of the reasons of `retrain: when:`, unless something forbids it, and says why or why not.",
    )
    @steady(loop, name)
    def retrain(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        instance = instance_of(context)
        lost = _lost_training(loop, instance)
        if lost:
            return dg.SensorResult(run_requests=[_training_request(loop, **lost)], cursor=context.cursor)
        now, known = loop.site.clock.now(), Remembered.of(context.cursor)
        seen, known = see(loop, instance, known, memory)
        decision = decide(loop.retrain, seen, now)
        if decision.train and seen.live_since:
            decision = decide(loop.retrain, replace(seen, lacks=loop.lacks()), now)
        cursor = known.cursor(diary_of(loop).note(decision, now, known.last))
        if not decision.train:
            context.update_cursor(cursor)
            return dg.SkipReason(str(decision))
        asked = _training_request(loop, loop.record_training(decision), "; ".join(decision.reasons))
        return dg.SensorResult(run_requests=[asked], cursor=cursor)

    return retrain


def see(loop: Loop, instance: dg.DagsterInstance, known: Remembered, memory: Memory) -> tuple[Seen, Remembered]:
    """Return what is known of a product at this moment, as far as its triggers ask for it, and what to remember of it.

    What a training beside a live model lacks is not among it: that is looked for last, as it takes longer than all the rest.
    """
    product, decisions = loop.site.product, loop.site.releases.all(loop.site.product.product)
    live, waiting = live_of(decisions), waiting_of(decisions)
    asked = {trigger.on for trigger in loop.retrain.when}
    said = said_last(loop, instance, memory)
    failed = failed_checks(said)
    busy = instance.get_runs(RunsFilter(tags={PRODUCT: product.product}, statuses=UNDER_WAY), limit=1)
    known = _heard(loop, instance, known, live, said.get(ESTIMATED)) if "estimated" in asked else known
    measured = readings(loop, live, memory) if live and asked & {"drift", "shifts", "quality"} else {}
    seen = Seen(
        live_since=live.at if live else None,
        signals=tuple(_signals(failed, known)),
        readings=measured | ({"estimated": known.estimated} if live else {}),
        grown=grown(loop, live, memory) if live and "rows" in asked else None,
        changed=changed(loop, live) if live and asked & {"schema", "code"} else {},
        late_sources=(*_late(loop, memory), *(one.what for key, one in failed.items() if key[0] == "raw")),
        broken_contracts=tuple(one.what for key, one in failed.items() if key[0] == "validated"),
        trainings=loop.trainings(),
        costs=spent(loop) if loop.retrain.budget.cost else (),
        decided_at=decisions[-1].at if decisions else None,
        lacks="" if live else loop.lacks(),
        busy=f"run {busy[0].run_id[:8]}" if busy else "",
        waits=f"model {waiting.model[:12]} (decision {waiting.number})" if waiting else "",
    )
    return seen, known


def _signals(failed: Mapping[Key, Said], known: Remembered) -> Iterator[Signal]:
    """Yield the checks that failed; estimated quality only where that was said of the model that is live."""
    for key, one in failed.items():
        if key in SIGNALS and (key != ESTIMATED or known.estimated):
            yield Signal(SIGNALS[key], one.what, one.facts)


def _heard(
    loop: Loop, instance: dg.DagsterInstance, known: Remembered, live: Release | None, said: Said | None
) -> Remembered:
    """Return what is remembered, with what the check of estimated quality has said of the live model since."""
    model, newest = live.model if live else "", said.id if said else 0
    if known.model and model != known.model:
        # What was said before the release is of the model before it.
        return Remembered(known.last, model, newest)
    known = replace(known, model=model)
    if newest <= known.newest:
        return known
    now = loop.site.clock.now()
    new = said_since(loop, instance, ESTIMATED, known.newest, loop.retrain.confirm.of)
    heard = (*known.estimated, *(Reading(now, _ratio(one), one.what) for one in new))
    return Remembered(known.last, model, newest, heard[-KEPT_READINGS:])


def _ratio(said: Said) -> float:
    """Return how far a value lies from its limit, above which or, of a share such as the AUC, below which the check fails.

    Where a check says neither, it lies wholly beyond or within.
    """
    value, limit = said.facts.get("value"), said.facts.get("limit")
    if not isinstance(value, int | float) or not isinstance(limit, int | float):
        return 0.0 if said.passed else 2.0
    is_floor = (value < limit) != said.passed
    if is_floor and limit < 1:
        return (1 - value) / (1 - limit)
    return value / limit if limit > 0 and not is_floor else (0.0 if said.passed else 2.0)


def _late(loop: Loop, memory: Memory) -> Iterator[str]:
    """Yield which sources are late at this very moment: time passes between two looks of a check."""
    now = loop.site.clock.now()
    for site, name, source in loop.sources_watched():
        if source.fresh_within:
            table = site.product.table("raw", name)
            newest = memory.of((table, "newest"), site.tables.stamp(table), partial(newest_row, site, name, source))
            is_to_come = newest is None or newest > now
            found = (
                freshness(site, name, source) if is_to_come else freshness_of(name, source.fresh_within, newest, now)
            )
            if not found.fresh:
                yield found.what if site is loop.site else f"{site.product.product}: {found.what}"


def _lost_training(loop: Loop, instance: dg.DagsterInstance) -> dict[str, str] | None:
    """Return the newest training if it was written down but never launched: the daemon died in between."""
    entries = loop.site.trainings.entries()
    if not entries:
        return None
    number = str(entries[-1]["number"])
    known = instance.get_runs_count(RunsFilter(tags={TRAINING: number, PRODUCT: loop.site.product.product}))
    return None if known else {"number": number, "reason": "; ".join(entries[-1]["reasons"])}


def _training_request(loop: Loop, number: str, reason: str) -> dg.RunRequest:
    newest = loop.newest_day()
    tags = {REASON: shorten(reason, LONGEST_REASON, placeholder=" ..."), TRAINING: number}
    return request(loop, f"training-{number}", loop.model_keys + loop.live_keys, Days(newest, newest), tags)
