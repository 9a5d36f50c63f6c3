"""Note: an alarm opens an incident or joins one; what passes again is written down; and what has passed long enough is over.

Any number of processes may, at any moment: each entry stands behind the log as it was read, or is thought over again. What
was noted before is not noted twice, so that whoever looks may look at the same alarms again.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from headrace.core.errors import Refused
from headrace.core.failpoints import failpoint
from headrace.core.secrets import secrets_of, without
from headrace.incidents.incident import Incident, Line, Moment, incidents_from, named
from headrace.incidents.kinds import Kind
from headrace.releases.incidents import incidents_of
from headrace.store.publish import publish
from headrace.store.site import Site

MOST_LINES = 60
"""How many lines of a timeline are kept: the newest."""
MOST_WORDS = 2000


@dataclass(frozen=True)
class Alarm:
    """Something that failed."""

    kind: Kind
    of: str
    """What failed: with the kind, the fingerprint of its cause."""
    what: str
    moment: Moment
    evidence: str
    """What raised it, such as a row of Dagster's event log: an alarm is noted once."""
    first_bad: datetime | None = None
    assets: tuple[str, ...] = ()
    """What of the product failed, as `layer/name`: what had happened before is looked for upstream of these."""
    picture: bytes = field(default=b"", repr=False)
    ending: str = ""
    """How it ended, of what is over by the time it is noted."""
    after: tuple[str, ...] = ()
    """How the evidence of alarms begins of which this one is a mere consequence: it is told with theirs."""

    @property
    def cause(self) -> str:
        """The fingerprint."""
        return f"{self.kind}:{self.of}"


Background = Callable[[Alarm], Iterable[Line]]
"""What had happened before an alarm."""


def incidents(site: Site) -> list[Incident]:
    """Return a product's incidents, oldest first; raises StoreError where their log is not as it was written."""
    return incidents_from(_with_words(site, entry) for entry in incidents_of(site).entries())


def note_alarm(site: Site, alarm: Alarm, background: Background) -> Incident | None:
    """Let an alarm open an incident, or join the open one of its cause; return that, or None where it is told already."""
    kept: dict[str, Any] = {}

    def entry(known: list[Incident]) -> dict[str, Any] | None:
        if any(is_told(alarm, one) for one in known):
            return None
        same = next((one for one in known if one.is_open and one.cause == alarm.cause), None)
        words = _keep_words(site, alarm)
        facts = {**_at(alarm.moment), "what": alarm.cause, "words": words, "evidence": alarm.evidence}
        if same:
            return {**facts, "event": "joined", "incident": same.number}
        if not kept:
            lines = sorted(background(alarm), key=lambda line: line.at)[-MOST_LINES:]
            kept["timeline"] = [{"at": one.at.isoformat(), "what": one.what, "of": one.of} for one in lines]
            kept["picture"] = _keep_picture(site, alarm.picture)
        first = {"first_bad": alarm.first_bad.isoformat()} if alarm.first_bad else {}
        ending = {"ending": alarm.ending} if alarm.ending else {}
        told = {"kind": alarm.kind, "cause": alarm.cause, "assets": list(alarm.assets)}
        return {**facts, "event": "opened", **told, **first, **ending, **kept}

    written = _append(site, entry)
    return named(incidents(site), written.get("incident", written["number"])) if written else None


def is_told(alarm: Alarm, incident: Incident) -> bool:
    """Return whether an incident tells of an alarm already, or of what it is a mere consequence of."""
    return any(each == alarm.evidence or each.startswith(alarm.after) for each in incident.evidence)


def note_pass(site: Site, cause: str, moment: Moment, what: str) -> None:
    """Write down that what failed passes again, if an incident of that cause is open and did not know it."""

    def entry(known: list[Incident]) -> dict[str, Any] | None:
        now = next((one for one in known if one.is_open and one.cause == cause), None)
        if now is None or now.passed or moment.wall < now.newest.wall:
            return None
        return {**_at(moment), "event": "passed", "incident": now.number, "what": _short(what)}

    _append(site, entry)


def close_recovered(site: Site, after: timedelta, now: Moment) -> None:
    """Close the incidents of which all has passed for as long as declared."""
    for one in incidents(site):
        if one.is_open and one.passed and now.at - one.passed.at >= after:
            _append(site, lambda known, number=one.number: _recovered(named(known, number), after, now))  # type: ignore[misc]


def close(site: Site, number: int, cause: str, who: str, wall: datetime) -> Incident:
    """Close an incident by hand, with its cause; raises Refused where there is no such one, or nothing is said."""
    for word, said in (("cause", cause), ("by", who)):
        if not said.strip():
            raise Refused(f"An incident is closed with its cause and a name: say --{word} <text>.")
    moment = Moment(site.clock.now(), wall)

    def entry(known: list[Incident]) -> dict[str, Any]:
        now = named(known, number)
        if now.closed:
            raise Refused(f"Incident {number} was closed at {now.closed.at:%Y-%m-%d %H:%M} UTC: {now.ending}")
        return {**_at(moment), "event": "closed", "incident": number, "what": cause, "who": who}

    _append(site, entry)
    return named(incidents(site), number)


def picture_of(site: Site, incident: Incident) -> Path | None:
    """Return the file with the picture of an incident's first alarm, if it has one."""
    path = _pictures(site) / f"{incident.picture}.png"
    return path if incident.picture and path.exists() else None


def _recovered(now: Incident, after: timedelta, moment: Moment) -> dict[str, Any] | None:
    if not (now.is_open and now.passed) or moment.at - now.passed.at < after:
        return None
    what = f"It has passed since {now.passed.at:%Y-%m-%d %H:%M} UTC."
    return {**_at(moment), "event": "closed", "incident": now.number, "what": what}


def _append(site: Site, entry: Callable[[list[Incident]], dict[str, Any] | None]) -> dict[str, Any] | None:
    log = incidents_of(site)
    while True:
        entries = log.entries()
        facts = entry(incidents_from(entries))
        if facts is None:
            return None
        failpoint("incident")
        try:
            return log.append(facts, after=len(entries))
        except Refused:
            # Somebody else has written an entry: what this one says is thought over again.
            continue


def _keep_picture(site: Site, picture: bytes) -> str:
    if not picture:
        return ""
    digest = sha256(picture).hexdigest()[:32]
    publish(_pictures(site) / f"{digest}.png", picture, "the picture of an incident is not kept")
    return digest


def _keep_words(site: Site, alarm: Alarm) -> str:
    """Keep what an alarm says beside the log, and return its name: it may quote a row, and with it a person who is erased later.

    The log is chained and never rewritten; what lies beside it is masked by an erasure.
    """
    what = _short(without(alarm.what, secrets_of(site.product, site.environment)))
    name = sha256(alarm.evidence.encode()).hexdigest()[:32]
    publish(_words(site) / f"{name}.json", json.dumps({"what": what}).encode(), "the words of an incident are not kept")
    return name


def _with_words(site: Site, entry: dict[str, Any]) -> dict[str, Any]:
    path = _words(site) / f"{entry.get('words')}.json"
    return {**entry, **json.loads(path.read_bytes())} if "words" in entry and path.exists() else entry


def _words(site: Site) -> Path:
    return site.place.home / "incident_words" / site.product.product


def _pictures(site: Site) -> Path:
    return site.place.logs / site.product.product / "incident_pictures"


def _at(moment: Moment) -> dict[str, str]:
    return {"at": moment.at.isoformat(), "wall": moment.wall.isoformat()}


def _short(text: str) -> str:
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]} ..."
