"""Which rows of a database are new: a window behind the last one, and what became visible late before it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError
from headrace.core.names import quoted, quoted_text
from headrace.sources.arrived import Arrived
from headrace.sources.database import DatabaseTable, Value, cursor_text, open_table
from headrace.sources.declaration import Database, Source
from headrace.sources.fit import fitting
from headrace.sources.ingested import Ingested
from headrace.sources.known import WINDOW, Known
from headrace.sources.parsed import Parsed
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW, FileText, placed
from headrace.store.digest import rows_digest
from headrace.store.engine import TableView
from headrace.store.site import Site

MOST_ROWS = 1_000_000
"""How many rows one window takes: a first ingestion of a large table is many commits."""


def arrived_rows(site: Site, name: str, source: Source, known: Known, most: int) -> Arrived:
    """Return the next window of a source's table, of about `most` rows: new ones, and late ones before them.

    With a declared key the earlier versions of its rows go out.
    """
    assert source.database
    declared, last = source.database, _last_window(known)
    with open_table(name, declared, site.environment) as table:
        high = table.cursor_value(last.high) if last.high is not None else None
        end = table.end_of_window(high, most)
        low = table.before(high) if high is not None else None
        there = table.rows(low, end)
        lost = table.without_cursor()
        newest = _newest(table, there, high)
    seen = Ingested(
        notes=[f"{lost:,} rows of {declared.table} have no {declared.cursor}: they are not taken"] if lost else []
    )
    window = f"{declared.table}#{last.number + 1:06d}"
    fitted = _fitted(window, there, known, seen)
    if fitted is None:
        return Arrived([], [], refused=seen.refused, notes=tuple(seen.notes), changes=tuple(seen.changes))
    fitted = site.erasures.without(fitted)
    _refuse_twins(fitted, declared)
    new = _unseen(fitted, _held_since(site, name, known, declared, low))
    texts, kept = list[FileText](), list[FileText]()
    if new.num_rows:
        numbers = pa.array(range(1, new.num_rows + 1), pa.int64())
        texts = [FileText(window, "window", placed(Parsed(new, numbers), window, rows_digest(new)), "database")]
        kept = other_keys(site, name, known, declared.keys, new)
    return Arrived(
        [*texts, *kept],
        [other.name for other in kept],
        more=bool(texts) and end is not None,
        facts=_record(last.number + 1, newest, new.num_rows) if texts else {},
        notes=tuple(seen.notes),
        changes=tuple(seen.changes),
    )


def _record(number: int, high: Value | None, rows: int) -> dict[str, str]:
    assert high is not None
    return {WINDOW: json.dumps({"number": number, "high": cursor_text(high), "rows": rows})}


@dataclass(frozen=True)
class _Window:
    number: int
    high: str | None


def _last_window(known: Known) -> _Window:
    """Return the last window that was taken, from the record that its commit holds."""
    if known.window is None:
        return _Window(max((int(file.rpartition("#")[2]) for file in known.files), default=0), None)
    record = json.loads(known.window)
    return _Window(record["number"], record["high"])


def _fitted(window: str, there: pa.Table, known: Known, seen: Ingested) -> pa.Table | None:
    """Return the rows in the columns and types that the source has always had; None where there are none, or they do not fit."""
    if not there.num_rows:
        return None
    numbered = placed(Parsed(there, pa.array(range(there.num_rows), pa.int64())), window, "")
    fitted = list(fitting([FileText(window, "", numbered, "database")], known.columns, seen))
    return fitted[0].rows.drop_columns([FILE, DIGEST, ROW, MALFORMED]) if fitted else None


def _newest(table: DatabaseTable, rows: pa.Table, high: Value | None) -> Value | None:
    """Return the highest cursor value that was read; rows come in its order."""
    values = rows[table.declared.cursor]
    if not len(values):
        return high
    last = values[-1].as_py()
    found: Value = table.cursor_value(last) if isinstance(last, str) else last
    return found if high is None else max(found, high)


def _refuse_twins(rows: pa.Table, declared: Database) -> None:
    """Raise DataError where a key stands in two rows of one look."""
    twins = rows.num_rows - rows.group_by(declared.keys).aggregate([]).num_rows if declared.keys else 0
    if twins:
        raise DataError(
            f"'{declared.table}' has {twins:,} rows whose {', '.join(declared.keys)} another row has: that is no key. "
            "Declare the columns that tell its rows apart as `key`."
        )


def _held_since(site: Site, name: str, known: Known, declared: Database, low: Value | None) -> pa.Table | None:
    """Return the rows that the raw table holds from a cursor value on, as they landed; None where there is no table."""
    if known.version is None:
        return None
    columns = ", ".join(map(quoted, known.columns))
    since = f" where {quoted(declared.cursor)} >= {_literal(low)}" if low is not None else ""
    view = TableView(site.product.table("raw", name), version=known.version)
    held = site.engine.query(f"select {columns} from raw{since}", {"raw": view}, origin=f"source '{name}'")
    return held.cast(pa.schema(list(known.columns.items())))


def _literal(value: Value) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"timestamptz '{value.isoformat()}'" if value.tzinfo else quoted_text(value.isoformat(" "))
    return f"date '{value}'" if isinstance(value, date) else quoted_text(value)


def _unseen(rows: pa.Table, held: pa.Table | None) -> pa.Table:
    """Return the rows that are not held as often."""
    if held is None:
        return rows
    columns = rows.column_names
    drawn, there = (
        pl.DataFrame(t.select(columns)).with_columns(pl.int_range(pl.len()).over(columns).alias("_nth"))
        for t in (rows, held)
    )
    new = drawn.join(there, on=drawn.columns, how="anti", nulls_equal=True, maintain_order="left")
    return new.drop("_nth").to_arrow().cast(rows.schema)


def other_keys(site: Site, name: str, known: Known, keys: Sequence[str], new: pa.Table) -> list[FileText]:
    """Return the earlier windows that hold a key of the new rows, without those rows."""
    if not keys or known.version is None:
        return []
    changed = new.select(list(keys))
    view = TableView(site.product.table("raw", name), version=known.version)
    same = " and ".join(f"raw.{quoted(key)} is not distinct from new.{quoted(key)}" for key in keys)
    touched = f"select distinct {FILE} from raw where exists (select 1 from new where {same})"
    windows = site.engine.query(touched, {"raw": view, "new": changed}, origin=f"source '{name}'")[FILE].to_pylist()
    columns = ", ".join(map(quoted, (*known.columns, FILE, DIGEST, ROW, MALFORMED)))
    sql = f"select {columns} from raw where {FILE} in (from touched) and not exists (select 1 from new where {same})"
    views = {"raw": view, "new": changed, "touched": pa.table({FILE: pa.array(windows, pa.string())})}
    staying = site.engine.query(sql, views, origin=f"source '{name}'")
    return [
        FileText(window, f"without {rows_digest(new)}", staying.filter(pc.equal(staying[FILE], window)), "database")
        for window in sorted(windows)
    ]
