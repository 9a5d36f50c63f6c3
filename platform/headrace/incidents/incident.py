"""Incidents as their log tells them: a pure function of its entries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from headrace.core.errors import Refused
from headrace.core.names import did_you_mean

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Moment:
    """A moment twice: by the product's clock, which all figures are in, and by the one on the wall, which people live by."""

    at: datetime
    wall: datetime


@dataclass(frozen=True)
class Line:
    """Something that happened before an incident."""

    at: datetime
    what: str
    of: str
    """Which kind: materialized, code, contract, decision, training, rollout."""


@dataclass(frozen=True)
class Incident:
    """Something that went wrong: all alarms of one cause, from the first one on until it was well again."""

    number: int
    kind: str
    cause: str
    """Its fingerprint: alarms of the same belong together."""
    what: str
    """What the newest alarm said."""
    opened: Moment
    first_bad: datetime | None = None
    """Event time of the first bad data, or since when the bad model was live; None where nobody knows."""
    alarms: int = 1
    last: Moment | None = None
    """When the newest alarm was; the first one's moment where there was one alone."""
    evidence: frozenset[str] = frozenset()
    """What each alarm was raised by."""
    passed: Moment | None = None
    """Since when what failed passes again."""
    closed: Moment | None = None
    ending: str = ""
    """How it ended, in words."""
    by: str = ""
    """Who closed it, where a person did."""
    picture: str = ""
    """The digest of the picture of its first alarm."""
    assets: tuple[str, ...] = ()
    """What of the product failed, as `layer/name`."""
    timeline: tuple[Line, ...] = field(default=(), repr=False)

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.closed is None

    @property
    def newest(self) -> Moment:
        """When the newest alarm was."""
        return self.last or self.opened

    @property
    def detected_in(self) -> timedelta | None:
        """How long the first bad data, or the bad model, stood before an alarm; None where that is not known."""
        return max(self.opened.at - self.first_bad, timedelta()) if self.first_bad else None

    @property
    def restored_in(self) -> timedelta | None:
        """How long it took from the first alarm to what was well again; None while it is not."""
        end = self.passed or self.closed if self.closed else None
        return max(end.at - self.opened.at, timedelta()) if end else None


def incidents_from(entries: Iterable[Entry]) -> list[Incident]:
    """Return the incidents that the entries of a log tell, oldest first.

    An entry without `event` is what the guard or a rollout has found and written down: an incident that is over at once where it
    was mended, and else one that the same finding joins.
    """
    known: dict[int, Incident] = {}
    for entry in entries:
        told = entry if "event" in entry else _as_event(entry, known.values())
        _TELL[told["event"]](known, told)
    return list(known.values())


def named(incidents: Sequence[Incident], number: int) -> Incident:
    """Return the incident of a number; raises Refused where there is none."""
    found = next((one for one in incidents if one.number == number), None)
    if found is None:
        known = [str(one.number) for one in incidents]
        there = f"there are {', '.join(known[-10:])}" if known else "there is none"
        raise Refused(f"No incident has the number {number}; {there}.{did_you_mean(str(number), known)}")
    return found


def mean(spans: Iterable[timedelta | None]) -> timedelta | None:
    """Return the mean of the spans that are known; None where none is."""
    known = [span for span in spans if span is not None]
    return sum(known, timedelta()) / len(known) if known else None


def _as_event(entry: Entry, known: Iterable[Incident]) -> Entry:
    kind, what = entry.get("kind", "tampered"), entry["what"]
    cause = f"{kind}:{entry.get('of') or what}"
    mended = entry.get("mended", True)
    now = next((one for one in known if one.is_open and one.cause == cause), None)
    if now and not mended:
        return {**entry, "event": "joined", "incident": now.number}
    ending = {"ending": entry["done"]} if mended else {}
    return {**entry, "event": "opened", "kind": kind, "cause": cause, **ending}


def moment_of(entry: Entry) -> Moment:
    """Return when an entry was written; old ones know the product's clock alone."""
    at = datetime.fromisoformat(entry["at"])
    return Moment(at, datetime.fromisoformat(entry["wall"]) if "wall" in entry else at)


def _opened(known: dict[int, Incident], entry: Entry) -> None:
    moment, first = moment_of(entry), entry.get("first_bad")
    known[entry["number"]] = Incident(
        number=entry["number"],
        kind=entry["kind"],
        cause=entry["cause"],
        what=entry["what"],
        opened=moment,
        first_bad=datetime.fromisoformat(first) if first else None,
        evidence=frozenset({entry["evidence"]} if "evidence" in entry else ()),
        closed=moment if "ending" in entry else None,
        ending=entry.get("ending", ""),
        picture=entry.get("picture", ""),
        assets=tuple(entry.get("assets", ())),
        timeline=tuple(
            Line(datetime.fromisoformat(line["at"]), line["what"], line["of"]) for line in entry.get("timeline", ())
        ),
    )


def _joined(known: dict[int, Incident], entry: Entry) -> None:
    now = known[entry["incident"]]
    evidence = now.evidence | ({entry["evidence"]} if "evidence" in entry else set())
    known[now.number] = replace(
        now, what=entry["what"], alarms=now.alarms + 1, last=moment_of(entry), evidence=evidence, passed=None
    )


def _passed(known: dict[int, Incident], entry: Entry) -> None:
    known[entry["incident"]] = replace(known[entry["incident"]], passed=moment_of(entry))


def _closed(known: dict[int, Incident], entry: Entry) -> None:
    known[entry["incident"]] = replace(
        known[entry["incident"]], closed=moment_of(entry), ending=entry["what"], by=entry.get("who", "")
    )


_TELL = {"opened": _opened, "joined": _joined, "passed": _passed, "closed": _closed}
