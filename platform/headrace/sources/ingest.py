"""Ingestion: what has landed goes into the raw table, each file exactly once, each row into the day it happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from headrace.sources.convert import OWN, conversion_version, converted
from headrace.sources.declaration import Source
from headrace.sources.fit import Columns, read_fitting
from headrace.sources.ingested import Ingested
from headrace.sources.known import (
    CONVERSION,
    READING,
    Known,
    candidates,
    column_facts,
    known_files,
    new_files,
    reading_version,
)
from headrace.sources.landing import Landed
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW, FileText
from headrace.store.site import Site
from headrace.store.tables import DAY, Addition


@dataclass(frozen=True)
class Arrived:
    """The files that go in, and those whose earlier rows go out."""

    texts: list[FileText]
    replaced: list[str]


def ingest(site: Site, name: str, source: Source) -> Ingested:
    """Bring all new or changed files of a source into its raw table, in one commit; the good ones, if some are bad.

    When the source's SQL has changed, what landed earlier is converted again, from the text in the table.
    """
    table = site.product.table("raw", name)
    with site.tables.alone(table):
        known, found = known_files(site, name, source), Ingested()
        new = new_files(list(candidates(site, source)), known.files, found)
        texts = read_fitting(new, source, known.columns, found)
        found.replaced = [file for file in found.replaced if file in found.files or file in found.duplicates]
        addition = _addition(site, name, source, known, Arrived(texts, found.replaced))
        if addition:
            found.rows = sum(text.rows.num_rows for text in texts)
            found.days = _touched(site, name, addition)
            site.tables.add_files(table, addition, after=known.version)
    return found


def readable_rows(site: Site, name: str, source: Source, files: Sequence[Landed]) -> pa.Table | None:
    """Return the rows of some files as ingestion would add them, leaving out files that it would refuse."""
    texts = read_fitting(files, source, known_files(site, name, source).columns, Ingested())
    return converted(site, name, source, _joined([text.rows for text in texts])) if texts else None


def days_of_files(site: Site, name: str, files: Sequence[str] | None) -> set[date]:
    """Return the days that rows of some files (None: of all) lie in already."""
    table = site.product.table("raw", name)
    if not site.tables.exists(table) or DAY not in site.tables.schema(table).names:
        return set()
    rows = site.tables.read(table, columns=[FILE, DAY])
    return days_in(rows if files is None else rows.filter(pc.is_in(rows[FILE], pa.array(list(files), pa.string()))))


def days_in(rows: pa.Table) -> set[date]:
    """Return the days that rows lie in."""
    return set(pc.unique(rows[DAY]).to_pylist()) if DAY in rows.column_names else set()


def _addition(site: Site, name: str, source: Source, known: Known, arrived: Arrived) -> Addition | None:
    """Return what the table lacks, and what has to go; None where nothing has changed."""
    texts, replaced = arrived.texts, arrived.replaced
    version = conversion_version(site, source)
    again = known.version is not None and known.conversion != version
    if not (texts or replaced or again):
        return None
    wholly = not source.partition and bool(texts)
    landed = [text.rows for text in texts]
    if again and not wholly:
        landed.append(_earlier_text(site, name, known, replaced))
    columns = known.columns or _columns_of(landed[0])
    return Addition(
        rows=converted(site, name, source, _joined(landed)) if landed else _no_rows(site, name),
        digests={text.name: text.digest for text in texts},
        replacing=None if again or wholly else replaced,
        facts={CONVERSION: version, READING: reading_version(source), **column_facts(columns)},
    )


def _columns_of(landed: pa.Table) -> Columns:
    return {column.name: column.type for column in landed.schema if column.name not in OWN}


def _earlier_text(site: Site, name: str, known: Known, replaced: list[str]) -> pa.Table:
    columns = [*known.columns, FILE, DIGEST, ROW, MALFORMED]
    rows = site.tables.read(site.product.table("raw", name), columns=columns, version=known.version)
    return rows.filter(pc.invert(pc.is_in(rows[FILE], pa.array(replaced, pa.string()))))


def _no_rows(site: Site, name: str) -> pa.Table:
    return site.tables.schema(site.product.table("raw", name)).empty_table()


def _touched(site: Site, name: str, addition: Addition) -> tuple[date, ...]:
    gone = days_of_files(site, name, addition.replacing) if addition.replacing != [] else set()
    return tuple(sorted(days_in(addition.rows) | gone))


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="default")
