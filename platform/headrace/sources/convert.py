"""Conversion: landed text gets the columns that a source's own SQL makes, and each row its day."""

from datetime import date, timedelta
from hashlib import sha256

import polars as pl
import pyarrow as pa

from headrace.core.days import local_day
from headrace.core.errors import DataError
from headrace.core.names import did_you_mean, quoted, quoted_text
from headrace.core.sql import instant_sql, normalized
from headrace.sources.declaration import Source
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW
from headrace.store.site import Site
from headrace.store.tables import DAY

OWN = (FILE, DIGEST, ROW, MALFORMED, DAY)
"""The columns that ingestion adds to those of the file."""
AHEAD_DAYS = 366
"""How far ahead of now an open product believes a time."""


def converted(site: Site, name: str, source: Source, landed: pa.Table) -> pa.Table:
    """Return the landed rows with the columns that the source's SQL makes, and the day of each."""
    rows = _made(site, source.sql, landed) if source.sql else landed
    if not (source.partition and source.time):
        return rows
    if source.time not in rows.column_names:
        raise DataError(
            f"Source '{name}' has no column '{source.time}', which is its time; it has "
            f"{', '.join(c for c in rows.column_names if c not in OWN)}.{did_you_mean(source.time, rows.column_names)}"
        )
    return _with_days(site, source, rows)


def conversion_version(site: Site, source: Source) -> str:
    """Return a version that changes when landed text would be converted to other rows."""
    product = site.product
    sql = normalized(site.text(source.sql), source.sql) if source.sql else ""
    parts = [sql, source.time, source.partition, product.timezone, product.start, product.end]
    return sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]


def own_day_sql(site: Site, time: str, types: pa.Schema) -> str:
    """Return SQL for the local day of a row's time: null where it cannot be read, or lies outside the product's days."""
    moment = quoted(time) if pa.types.is_timestamp(types.field(time).type) else instant_sql(time, site.product.timezone)
    day = f"try_cast(timezone({quoted_text(site.product.timezone)}, {moment}) as date)"
    return f"case when {day} between date '{site.product.start}' and date '{last_day(site)}' then {day} end"


def last_day(site: Site) -> date:
    """Return the last day that a row may lie in: the product's last, or one far ahead of now."""
    product = site.product
    if product.end:
        return product.end - timedelta(days=1)
    return local_day(site.clock.now(), product.timezone) + timedelta(days=AHEAD_DAYS)


def _made(site: Site, file: str, landed: pa.Table) -> pa.Table:
    origin = str(site.folder / file)
    rows = site.engine.query(site.text(file), {"landed": landed}, origin=origin)
    lost = [c for c in landed.column_names if c not in rows.column_names]
    changed = [] if lost or rows.num_rows != landed.num_rows else _changed_columns(rows, landed)
    if lost or changed or rows.num_rows != landed.num_rows:
        what = f" and lost {', '.join(lost)}" if lost else f" and changed {', '.join(changed)}" if changed else ""
        raise DataError(
            f"{origin}: one row out for each row in, with all its columns as they landed: write "
            f"`select *, ... from landed`. It made {rows.num_rows} rows of {landed.num_rows}{what}."
        )
    return rows


def _changed_columns(rows: pa.Table, landed: pa.Table) -> list[str]:
    """Return the landed columns that say something else; rows may stand in another order."""
    place = [FILE, ROW]
    kept, was = pl.DataFrame(rows.select(landed.column_names)), pl.DataFrame(landed)
    if not kept.select(place).equals(was.select(place)):
        kept, was = kept.sort(place), was.sort(place)
    kept = kept.cast(was.schema)
    return [column for column in was.columns if not kept[column].equals(was[column])]


def _with_days(site: Site, source: Source, rows: pa.Table) -> pa.Table:
    """Add the local day of each row; a row without one goes with most rows of its file."""
    own, origin = own_day_sql(site, source.time or "", rows.schema), f"sources: the day of '{source.time}'"
    days = site.engine.query(f"select {own} as {DAY} from landed", {"landed": rows}, origin=origin)[DAY]
    if not days.null_count:
        return rows.append_column(DAY, days)
    sql = f"""
with usual as (select {FILE}, mode({DAY}) as _usual from landed group by {FILE})
select landed.* replace (coalesce({DAY}, _usual, date '{site.product.start}') as {DAY})
from landed join usual using ({FILE}) order by {FILE}, {ROW}"""
    return site.engine.query(sql, {"landed": rows.append_column(DAY, days)}, origin=origin)
