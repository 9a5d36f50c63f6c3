"""Landed rows as validation sees them: what the raw table holds, with mended rows in the place of those they mend."""

from collections.abc import Mapping

import pyarrow as pa

from headrace.core.days import Days
from headrace.sources.read import DIGEST, FILE, ROW
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.tables import DAY

KEY = (FILE, DIGEST, ROW)
"""What names a landed row: its file, what was in the file, its number there."""
LAIN = "_lain"
"""The column of a mended row that remembers the days it has lain in."""
Views = Mapping[str, TableView | pa.Table]


def landed_rows(site: Site, name: str, days: Days | None) -> pa.Table:
    """Return the landed rows of some days (None: all), by day, file and row."""
    sql, views = landed_before(site, name, days)
    order = ", ".join([*([DAY] if _has_days(site, name) else []), FILE, ROW])
    return site.engine.query(f"{sql} order by {order}", views, origin="contracts: landed rows")


def landed_before(site: Site, name: str, days: Days | None) -> tuple[str, dict[str, TableView | pa.Table]]:
    """Return SQL for the landed rows of some days, and the views that it reads.

    A mended row counts in its own day, which may be another than that of the row it mends, and only as long as the
    file that it was mended from is still the one that landed.
    """
    raw, mended = site.product.table("raw", name), mended_table(site, name)
    if not site.tables.exists(mended):
        return "select * from raw", {"raw": TableView(raw, days)}
    on = " and ".join(f"one.{key} = other.{key}" for key in KEY)
    within = f" where one.{DAY} between date '{days.first}' and date '{days.last}'" if days else ""
    sql = (
        f"select one.* from raw as one anti join mended as other on {on} "
        f"union all by name select one.* exclude ({LAIN}) from mended as one "
        f"semi join (select distinct {FILE}, {DIGEST} from everything) as other using ({FILE}, {DIGEST}){within}"
    )
    return sql, {"raw": TableView(raw, days), "everything": TableView(raw), "mended": TableView(mended)}


def mended_table(site: Site, name: str) -> str:
    """Return the name of the table of a source's mended rows."""
    return site.product.table("mended", name)


def days_with_rows(site: Site, name: str, days: Days) -> dict[str, int]:
    """Return how many landed rows each day has, by its date in ISO 8601; days without rows are left out."""
    sql, views = landed_before(site, name, days)
    counted = f"select cast({DAY} as varchar) as day, count(*) as rows from ({sql}) group by all order by all"
    rows = site.engine.query(counted, views, origin="contracts: days").to_pylist()
    return {row["day"]: row["rows"] for row in rows}


def _has_days(site: Site, name: str) -> bool:
    return DAY in site.tables.schema(site.product.table("raw", name)).names
