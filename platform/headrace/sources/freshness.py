"""Whether a source is fresh: how old its newest row is, by the one clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from headrace.core.names import duration_text, quoted, quoted_text
from headrace.core.sql import instant_sql
from headrace.sources.declaration import Source
from headrace.store.engine import TableView
from headrace.store.site import Site


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
    """Return how fresh a source is; it must declare `fresh_within` and `time`. Times that are still to come do not count."""
    assert source.fresh_within and source.time
    limit, table = source.fresh_within, site.product.table("raw", name)
    now = site.clock.now()
    if not site.tables.exists(table):
        return Freshness(None, limit / timedelta(hours=1), f"source '{name}' has never arrived")
    is_text = not pa.types.is_timestamp(site.tables.schema(table).field(source.time).type)
    moment = instant_sql(source.time, site.product.timezone) if is_text else quoted(source.time)
    sql = f"select max(moment) as newest from (select {moment} as moment from raw) where moment <= {_instant(now)}"
    newest = site.engine.query(sql, {"raw": TableView(table)})["newest"][0].as_py()
    if newest is None:
        return Freshness(None, limit / timedelta(hours=1), f"source '{name}' has no row whose time can be read and has come")
    age = (now - newest) / timedelta(hours=1)
    verdict = "within" if now - newest <= limit else "more than"
    what = f"newest row of '{name}' is {age:.1f} h old ({newest:%Y-%m-%d %H:%M} UTC), {verdict} {duration_text(limit)}"
    return Freshness(age, limit / timedelta(hours=1), what)


def _instant(moment: datetime) -> str:
    return f"cast({quoted_text(moment.isoformat())} as timestamptz)"
