"""First bad: the event time of the first bad data behind an alarm, where our own tables tell."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

from headrace.incidents.kinds import Kind
from headrace.store.site import Site
from headrace.store.tables import DAY

Facts = Mapping[str, Any]
"""What the check has said beside its words: value, limit, column, days."""


def first_bad(site: Site, kind: Kind, asset: Sequence[str], facts: Facts, now: datetime) -> datetime | None:
    """Return since when data were bad, aware, in UTC; None where nobody knows.

    Of drift and quality: the start of the first day of those, one after the other up to the newest, that are beyond the limit.
    Of freshness: when the newest row became too old. Of a contract: the start of the first day with a row that was set aside.
    """
    if kind == "freshness":
        unit = timedelta(days=1) if asset[1] == "model" else timedelta(hours=1)
        value, limit = facts.get("value"), facts.get("limit")
        return now - (value - limit) * unit if value is not None and limit is not None else None
    if kind in ("drift", "quality"):
        day = _first_of_last(site, kind, facts)
    else:
        day = _first_set_aside(site, asset[2], facts) if kind == "contract" else None
    return _start(day, site.product.timezone) if day else None


def _first_of_last(site: Site, kind: str, facts: Facts) -> date | None:
    """Return the first of the days up to the newest that are all beyond the limit, of the column that is farthest beyond it."""
    table, live = site.product.table("monitoring", kind), site.releases.live(site.product.product)
    if live is None or not site.tables.exists(table):
        return None
    rows = [row for row in site.tables.read(table).to_pylist() if row["model"] == live.model]
    own = [row for row in rows if row.get("column") == facts.get("column") and row["value"] is not None]
    bad: dict[date, bool] = {}
    for row in own:
        bad[row["day"]] = bad.get(row["day"], False) or _is_beyond(row, facts)
    first = None
    for day in sorted(bad, reverse=True):
        if not bad[day]:
            break
        first = day
    return first


def _is_beyond(row: Facts, facts: Facts) -> bool:
    if "limit" in row:
        return bool(row["value"] > row["limit"])
    floor = facts.get("limit")
    return floor is not None and bool(row["value"] < floor)


def _first_set_aside(site: Site, source: str, facts: Facts) -> date | None:
    table = site.product.table("quarantine", source)
    if not site.tables.exists(table) or DAY not in site.tables.schema(table).names:
        return None
    days = site.tables.read(table, columns=[DAY])[DAY]
    first, _, last = str(facts.get("days", "")).partition(" to ")
    if _is_day(first) and _is_day(last or first):
        span = date.fromisoformat(first), date.fromisoformat(last or first)
        days = days.filter(pc.and_(pc.greater_equal(days, span[0]), pc.less_equal(days, span[1])))
    found: date | None = pc.min(days).as_py()
    return found


def _is_day(text: str) -> bool:
    return len(text) == len("2024-01-01") and text[:4].isdigit()


def _start(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
