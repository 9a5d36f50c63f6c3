"""Notices: what is to be told of incidents at a moment, each once. A pure function of incidents and of what was told."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from zoneinfo import ZoneInfo

from headrace.alerts.declaration import Alert, Quiet
from headrace.core.declaration import Identity
from headrace.incidents.incident import Incident, Line, Moment
from headrace.incidents.listing import span_text

Event = Literal["opened", "repeated", "recovered", "over", "test"]
"""`over`: an incident that was over before anybody was told, such as a rollback."""
TOO_OLD = timedelta(days=1)
"""What has been over for so long is told nobody who was not told of it before."""
MOST_LINES = 6
TELLING = ("contract", "code", "decision", "rollout", "training")
"""What of a timeline a notice shows: not what is made each day."""
RUNBOOK = "docs/runbook.md#incident-{kind}"


@dataclass(frozen=True)
class Told:
    """A notice that stands in the outbox: whose, and when it was put there."""

    event: Event
    at: datetime


@dataclass(frozen=True)
class Notice:
    """Something to tell."""

    id: str
    """The same for every try, so that who can tell two deliveries of it apart takes it once."""
    event: Event
    product: str
    incident: Incident
    runbook: str

    @property
    def thread(self) -> str:
        """What all notices of one incident have in common."""
        return _digest(self.product, str(self.incident.number), self.incident.cause)


def due(
    product: Identity, alert: Alert, incidents: Sequence[Incident], told: Mapping[str, Told], now: datetime
) -> Iterator[Notice]:
    """Yield what an alert has to tell now, oldest incident first, and has not told. `now` is by the clock on the wall."""
    silent = alert.quiet is not None and is_quiet(alert.quiet, now, product.timezone)
    for incident in incidents:
        if incident.kind in alert.on and not (silent and incident.kind not in alert.urgent):
            yield from _due(product.product, alert, incident, told, now)


def is_quiet(quiet: Quiet, now: datetime, zone: str) -> bool:
    """Return whether a moment lies in quiet hours: from `begins` on, before `ends`, by the zone's clock."""
    local = now.astimezone(ZoneInfo(zone)).time()
    if quiet.begins < quiet.ends:
        return quiet.begins <= local < quiet.ends
    return local >= quiet.begins or local < quiet.ends


def trial(product: str, alert: Alert, now: datetime) -> Notice:
    """Return a notice that says that it is a test."""
    from_now = Incident(0, "check", "test", "This is a test of the alerts: nothing is wrong.", Moment(now, now))
    return Notice(
        _digest(product, alert.channel, now.isoformat()), "test", product, from_now, runbook_of(alert, "check")
    )


def runbook_of(alert: Alert, kind: str) -> str:
    """Return where it says what to do."""
    return (alert.runbook or RUNBOOK).replace("{kind}", kind)


def title(notice: Notice) -> str:
    """Return a notice in one line."""
    incident = notice.incident
    state = {
        "opened": "",
        "repeated": "still open: ",
        "recovered": "over: ",
        "over": "over already: ",
        "test": "test: ",
    }
    words = incident.what.splitlines()[0][:300]
    return f"[{notice.product}] {state[notice.event]}{incident.kind}: {words}"


def lines(notice: Notice) -> Iterator[str]:
    """Yield what a notice says below its title."""
    incident = notice.incident
    yield f"Since {incident.opened.at:%Y-%m-%d %H:%M} UTC, {incident.alarms} alarm{'s' * (incident.alarms > 1)}."
    if incident.first_bad:
        first = f"{incident.first_bad:%Y-%m-%d %H:%M} UTC"
        yield f"First bad: {first}; noticed after {span_text(incident.detected_in)}."
    if incident.closed:
        yield f"Over since {(incident.passed or incident.closed).at:%Y-%m-%d %H:%M} UTC: {incident.ending}"
    before = [line for line in incident.timeline if line.of in TELLING][-MOST_LINES:]
    yield from (["Before it:"] if before else [])
    yield from (f"  {_line(line)}" for line in before)
    yield f"What to do: {notice.runbook}"
    if notice.event != "test":
        yield f"More: headrace incidents show {incident.number} --product {notice.product}"


def facts(notice: Notice) -> dict[str, Any]:
    """Return a notice as values that go into JSON."""
    incident = notice.incident
    return {
        "id": notice.id,
        "event": notice.event,
        "product": notice.product,
        "incident": incident.number,
        "kind": incident.kind,
        "cause": incident.cause,
        "title": title(notice),
        "text": "\n".join(lines(notice)),
        "opened": incident.opened.at.isoformat(),
        "closed": incident.closed.at.isoformat() if incident.closed else None,
        "alarms": incident.alarms,
        "runbook": notice.runbook,
        "thread": notice.thread,
    }


def _due(product: str, alert: Alert, incident: Incident, told: Mapping[str, Told], now: datetime) -> Iterator[Notice]:
    def notice(event: Event, number: int = 0) -> Notice:
        key = _digest(product, alert.channel, str(incident.number), incident.cause, event, str(number))
        return Notice(key, event, product, incident, runbook_of(alert, incident.kind))

    opened = notice("opened")
    first = told.get(opened.id)
    if first is None and incident.is_open:
        yield opened
    elif first is None and incident.closed and now - incident.closed.wall < TOO_OLD:
        yield from _new([notice("over")], told)
    elif first and not incident.is_open:
        yield from _new([notice("recovered")] if alert.recovery else [], told)
    elif first and alert.repeat:
        number = (now - first.at) // alert.repeat
        yield from _new([notice("repeated", number)] if number > 0 else [], told)


def _new(notices: Sequence[Notice], told: Mapping[str, Told]) -> Iterator[Notice]:
    yield from (notice for notice in notices if notice.id not in told)


def _line(line: Line) -> str:
    return f"{line.at:%Y-%m-%d %H:%M} {line.what[:200]}"


def _digest(*words: str) -> str:
    return sha256("\n".join(words).encode()).hexdigest()[:32]
