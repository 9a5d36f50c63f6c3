"""Incidents in words and as plain values, for whoever asks."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from headrace.core.columns import in_columns
from headrace.incidents.incident import Incident, mean

WIDTH = 100
MOST_LINES = 30
HEAD = ("incident", "state", "kind", "since (UTC)", "alarms", "detected in", "restored in", "what")


def listed(product: str, incidents: Sequence[Incident]) -> Iterator[str]:
    """Yield the incidents of a product as lines, newest first, and the means of their times."""
    if not incidents:
        yield f"{product}: no incidents."
        return
    shown = [[str(cell) for cell in _row(one)] for one in reversed(incidents)]
    still = sum(one.is_open for one in incidents)
    yield f"{product}: {len(incidents)} incidents, {still} open"
    yield in_columns(HEAD, shown)
    detect, restore = means(incidents)
    yield f"mean time to detect {span_text(detect)}, to restore {span_text(restore)}"


def means(incidents: Sequence[Incident]) -> tuple[timedelta | None, timedelta | None]:
    """Return the mean time from the first bad data to the alarm, and from the alarm until it was well again."""
    return mean(one.detected_in for one in incidents), mean(one.restored_in for one in incidents)


def shown(incident: Incident) -> Iterator[str]:
    """Yield all that is known of one incident as lines."""
    yield f"incident {incident.number}: {incident.kind}, {_state(incident)}"
    yield incident.what
    yield f"cause      {incident.cause}"
    if incident.first_bad:
        yield f"first bad  {incident.first_bad:%Y-%m-%d %H:%M} UTC, noticed after {span_text(incident.detected_in)}"
    yield f"alarm      {incident.opened.at:%Y-%m-%d %H:%M} UTC, {incident.alarms} in all, the last {incident.newest.at:%Y-%m-%d %H:%M}"
    if incident.passed and incident.is_open:
        yield f"passes     since {incident.passed.at:%Y-%m-%d %H:%M} UTC; it closes when that has held for as long as declared"
    if incident.closed:
        by = f" by {incident.by}" if incident.by else ""
        yield f"closed     {incident.closed.at:%Y-%m-%d %H:%M} UTC{by}, restored in {span_text(incident.restored_in)}: {incident.ending}"
    lines = incident.timeline[-MOST_LINES:]
    yield "before it, the newest last:" if lines else "nothing is known of what was before it"
    for line in lines:
        yield f"  {line.at:%Y-%m-%d %H:%M}  {line.of:<12}  {line.what}"


def facts(product: str, incident: Incident) -> dict[str, Any]:
    """Return an incident as values that go into JSON; times in seconds."""
    return {
        "product": product,
        "number": incident.number,
        "kind": incident.kind,
        "cause": incident.cause,
        "what": incident.what,
        "open": incident.is_open,
        "alarms": incident.alarms,
        "opened": incident.opened.at.isoformat(),
        "last_alarm": incident.newest.at.isoformat(),
        "first_bad": incident.first_bad.isoformat() if incident.first_bad else None,
        "passes_since": incident.passed.at.isoformat() if incident.passed else None,
        "closed": incident.closed.at.isoformat() if incident.closed else None,
        "ending": incident.ending or None,
        "closed_by": incident.by or None,
        "detected_in_s": _seconds(incident.detected_in),
        "restored_in_s": _seconds(incident.restored_in),
        "assets": list(incident.assets),
        "timeline": [{"at": line.at.isoformat(), "of": line.of, "what": line.what} for line in incident.timeline],
    }


def span_text(span: timedelta | None) -> str:
    """Return a span of time in its two largest units; "-" where it is not known."""
    if span is None:
        return "-"
    minutes = int(span.total_seconds() // 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes % 60}m" if hours else f"{minutes}m"


def _row(one: Incident) -> tuple[object, ...]:
    words = one.what.splitlines()[0]
    return (
        one.number,
        _state(one),
        one.kind,
        f"{one.opened.at:%Y-%m-%d %H:%M}",
        one.alarms,
        span_text(one.detected_in),
        span_text(one.restored_in),
        words if len(words) <= WIDTH else f"{words[: WIDTH - 4]} ...",
    )


def _state(one: Incident) -> str:
    if not one.is_open:
        return "closed"
    return "passes again" if one.passed else "open"


def _seconds(span: timedelta | None) -> float | None:
    return span.total_seconds() if span is not None else None
