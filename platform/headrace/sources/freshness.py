"""Whether a source is fresh: how old its newest row is, by the one clock."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from headrace.core.names import duration_text, quoted, quoted_text
from headrace.core.sql import instant_sql
from headrace.sources.declaration import Source
from headrace.store.engine import TableView
from headrace.store.site import Site

END = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Freshness:
    """How old the newest row is, in hours, against the limit; None where nothing has arrived."""

    age_hours: float | None
    limit_hours: float
    what: str

    @property
    def fresh(self) -> bool:
        """Whether the newest row is young enough."""
        return self.age_hours is not None and self.age_hours <= self.limit_hours


def freshness(site: Site, name: str, source: Source) -> Freshness:
    """Return how fresh a source is, by `fresh_within`. Times that are still to come do not count."""
    limit, table = source.fresh_within or timedelta.max, site.product.table("raw", name)
    now = site.clock.now()
    if not site.tables.exists(table):
        return Freshness(None, limit / timedelta(hours=1), f"source '{name}' has never arrived")
    return freshness_of(name, limit, _newest_come(site, table, source.time or "", now), now)


def newest_row(site: Site, name: str, source: Source) -> datetime | None:
    """Return the newest time of a source's rows, also where it is still to come; None where nothing is there."""
    table = site.product.table("raw", name)
    return _newest(site, table, source.time or "", END) if site.tables.exists(table) else None


def freshness_of(name: str, limit: timedelta, newest: datetime | None, now: datetime) -> Freshness:
    """Return how fresh a source is whose newest row that has come is of some time."""
    limit_hours = limit / timedelta(hours=1)
    if newest is None:
        return Freshness(None, limit_hours, f"source '{name}' has no row whose time can be read and has come")
    verdict, age = "within" if now - newest <= limit else "more than", (now - newest) / timedelta(hours=1)
    what = f"newest row of '{name}' is {age:.1f} h old ({newest:%Y-%m-%d %H:%M} UTC), {verdict} {duration_text(limit)}"
    return Freshness(age, limit_hours, what)


def _newest_come(site: Site, table: str, time: str, now: datetime) -> datetime | None:
    """Return the newest time that has come; of a table where none is still to come it is found once a version."""
    what = f"newest {time} in {site.product.timezone}"
    newest = site.ledger.remembered(table, what, lambda: _text(_newest(site, table, time, END)))
    found = datetime.fromisoformat(newest) if newest else None
    return found if found is None or found <= now else _newest(site, table, time, now)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _newest(site: Site, table: str, time: str, now: datetime) -> datetime | None:
    is_typed = pa.types.is_timestamp(site.tables.schema(table).field(time).type)
    moment = quoted(time) if is_typed else instant_sql(time, site.product.timezone)
    has_come = f"moment <= cast({quoted_text(now.isoformat())} as timestamptz)"
    sql = f"select max(moment) as newest from (select {moment} as moment from raw) where {has_come}"
    newest: datetime | None = site.engine.query(sql, {"raw": TableView(table)})["newest"][0].as_py()
    return newest
