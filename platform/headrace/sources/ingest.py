"""Ingestion: what has landed goes into the raw table, each file exactly once, each row into the day it happened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.errors import DataError, FileRefused
from headrace.core.names import did_you_mean, quoted, quoted_text
from headrace.core.sql import instant_sql, made_columns
from headrace.sources.declaration import Source
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW, FileText, Landed, landed_files, read_text
from headrace.store.digest import bytes_digest
from headrace.store.site import Site
from headrace.store.tables import DAY

OWN = (FILE, DIGEST, ROW, MALFORMED, DAY)


@dataclass
class Ingested:
    """What one look at the landing folder brought."""

    files: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    duplicates: dict[str, str] = field(default_factory=dict)
    """File → the file that has the same content."""
    refused: dict[str, str] = field(default_factory=dict)
    """File → why it was not read."""
    notes: list[str] = field(default_factory=list)
    """What is odd but harmless: columns that nobody declared, files without rows."""
    rows: int = 0
    days: Days | None = None
    """The days that rows were added to."""


def ingest(site: Site, name: str, source: Source) -> Ingested:
    """Bring all new or changed files of a source into its raw table, in one commit; the good ones, if some are bad."""
    table = site.product.table("raw", name)
    found = Ingested()
    with site.tables.alone(table):
        new = _new_files(site, table, source, found)
        texts = list(_readable(new, source, _expected(site, table, name, source), found))
        if texts:
            rows = converted(site, name, source, texts)
            found.rows, found.days = rows.num_rows, days_in(rows)
            digests = {text.name: text.digest for text in texts}
            site.tables.add_files(table, rows, digests=digests, replacing=found.replaced)
    return found


def readable_rows(site: Site, name: str, source: Source, files: Sequence[Landed]) -> pa.Table | None:
    """Return the rows of some files as ingestion would add them, leaving out files that it would refuse."""
    expected = _expected(site, site.product.table("raw", name), name, source)
    texts = list(_readable(files, source, expected, Ingested()))
    return converted(site, name, source, texts) if texts else None


def converted(site: Site, name: str, source: Source, texts: Sequence[FileText]) -> pa.Table:
    """Return the rows of the files with the columns that the source's SQL makes, and the day of each."""
    landed = pa.concat_tables([text.rows for text in texts], promote_options="default")
    rows = _made(site, source, landed) if source.sql else landed
    if not source.partition:
        return rows
    assert source.time
    if source.time not in rows.column_names:
        raise DataError(
            f"Source '{name}' has no column '{source.time}', which is its time; it has "
            f"{', '.join(c for c in rows.column_names if c not in OWN)}.{did_you_mean(source.time, rows.column_names)}"
        )
    return _with_days(site, source.time, rows)


def days_in(rows: pa.Table) -> Days | None:
    """Return the days that rows lie in, as one range."""
    if DAY not in rows.column_names or not rows.num_rows:
        return None
    span = pc.min_max(rows[DAY]).as_py()
    return Days(span["min"], span["max"])


def _new_files(site: Site, table: str, source: Source, found: Ingested) -> list[Landed]:
    known = _known(site, table)
    by_digest = {digest: file for file, digest in known.items()}
    new = []
    for file in landed_files(site.place.root, source):
        digest = bytes_digest(file.path.read_bytes())
        if known.get(file.name) == digest:
            continue
        if digest in by_digest:
            found.duplicates[file.name] = by_digest[digest]
            continue
        by_digest[digest] = file.name
        new.append(file)
        if file.name in known:
            found.replaced.append(file.name)
    return new


def _known(site: Site, table: str) -> dict[str, str]:
    if not site.tables.exists(table):
        return {}
    pairs = site.tables.read(table, columns=[FILE, DIGEST]).group_by([FILE, DIGEST]).aggregate([])
    return dict(zip(pairs[FILE].to_pylist(), pairs[DIGEST].to_pylist(), strict=True))


def _expected(site: Site, table: str, name: str, source: Source) -> list[str]:
    """Return the columns that every file must have: those of the raw table that the SQL did not make."""
    if not site.tables.exists(table):
        return []
    made = made_columns(site.text(source.sql), source.sql) if source.sql else set()
    return [c for c in site.tables.schema(table).names if c not in made and c not in OWN]


def _readable(files: Iterable[Landed], source: Source, expected: list[str], found: Ingested) -> Iterable[FileText]:
    for file in files:
        try:
            text = read_text(file, source)
            columns = [c for c in text.rows.column_names if c not in OWN]
            expected = expected or columns
            _refuse_missing(file.name, columns, expected)
        except FileRefused as error:
            found.refused[file.name] = str(error)
            continue
        added = [c for c in columns if c not in expected]
        if added:
            found.notes.append(f"{file.name} has columns that nobody knows: {', '.join(added)}; they are left out")
        if not text.rows.num_rows:
            found.notes.append(f"{file.name} has a header and no rows")
            continue
        found.files.append(file.name)
        yield FileText(text.name, text.digest, text.rows.select([*expected, FILE, DIGEST, ROW, MALFORMED]))


def _refuse_missing(file: str, columns: list[str], expected: list[str]) -> None:
    missing = [c for c in expected if c not in columns]
    if missing:
        added = [c for c in columns if c not in expected]
        raise FileRefused(
            f"{file} lacks {', '.join(repr(c) for c in missing)}; it has {', '.join(columns)}."
            f"{did_you_mean(missing[0], added)} Land it with the columns it had before, or declare the change."
        )


def _made(site: Site, source: Source, landed: pa.Table) -> pa.Table:
    assert source.sql
    origin = str(site.folder / source.sql)
    rows = site.engine.query(site.text(source.sql), {"landed": landed}, origin=origin)
    lost = [c for c in (FILE, DIGEST, ROW, MALFORMED) if c not in rows.column_names]
    if lost or rows.num_rows != landed.num_rows:
        raise DataError(
            f"{origin}: one row out for each row in, with all its columns: write `select *, ... from landed`. "
            f"It made {rows.num_rows} rows of {landed.num_rows}{f' and lost {lost}' if lost else ''}."
        )
    return rows


def _with_days(site: Site, time: str, rows: pa.Table) -> pa.Table:
    """Add the local day of each row; a row whose time cannot be read goes with most rows of its file."""
    zone = site.product.timezone
    moment = quoted(time) if pa.types.is_timestamp(rows.schema.field(time).type) else instant_sql(time, zone)
    fallback = f"date '{site.product.start}'"
    sql = f"""
with timed as (select *, cast(timezone({quoted_text(zone)}, {moment}) as date) as _own from landed),
usual as (select {FILE}, mode(_own) as _usual from timed group by {FILE})
select timed.* exclude (_own), coalesce(_own, _usual, {fallback}) as {DAY}
from timed join usual using ({FILE}) order by {FILE}, {ROW}"""
    return site.engine.query(sql, {"landed": rows}, origin=f"sources: the day of '{time}'")
