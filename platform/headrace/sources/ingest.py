"""Ingestion: what has landed goes into the raw table, each file exactly once, each row into the day it happened."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from json import dumps

import pyarrow as pa
import pyarrow.compute as pc

from headrace.sources.arrived import Arrived
from headrace.sources.convert import OWN, conversion_version, converted
from headrace.sources.declaration import Source
from headrace.sources.fit import Columns, read_fitting
from headrace.sources.ingested import Ingested
from headrace.sources.known import (
    CONVERSION,
    EMPTY,
    READING,
    WINDOW,
    Known,
    candidates,
    column_facts,
    earlier_text,
    known_files,
    new_files,
    reading_version,
)
from headrace.sources.landing import Landed
from headrace.sources.pulled import pulled_rows
from headrace.sources.read import FILE, FileText
from headrace.sources.windows import MOST_ROWS, arrived_rows
from headrace.store.site import Site
from headrace.store.tables import DAY, Addition


def ingest(site: Site, name: str, source: Source, most: int = MOST_ROWS) -> Ingested:
    """Bring all that is new or changed into a source's raw table; the good files, if some are bad.

    Files come in one commit, rows of a database in one commit a window of about `most` rows. When the source's SQL has changed, what
    landed earlier is converted again, from the text in the table.
    """
    found = Ingested()
    with site.tables.alone(site.product.table("raw", name)):
        while _has_taken_a_part(site, name, source, most, found):
            pass
    return found


def _has_taken_a_part(site: Site, name: str, source: Source, most: int, found: Ingested) -> bool:
    """Take what one commit holds, and return whether there is more."""
    known = known_files(site, name, source)
    if source.files is None:
        arrived = _noted(arrived_windows(site, name, source, known, most), known, found)
    else:
        arrived = _arrived_files(site, source, known, found)
    addition = _addition(site, name, source, known, arrived)
    if addition:
        found.rows += sum(text.rows.num_rows for text in arrived.texts if text.name not in known.files or source.files)
        found.days = tuple(sorted({*found.days, *_touched(site, name, addition)}))
        site.tables.add_files(site.product.table("raw", name), addition, after=known.version)
    return arrived.more


def _noted(arrived: Arrived, known: Known, found: Ingested) -> Arrived:
    """Return what has arrived, with what is to be said about it written down."""
    found.refused.update(arrived.refused)
    found.notes += [note for note in arrived.notes if note not in found.notes]
    found.changes += arrived.changes
    found.files += [text.name for text in arrived.texts if text.name not in known.files]
    return arrived


def _arrived_files(site: Site, source: Source, known: Known, found: Ingested) -> Arrived:
    there = list(candidates(site, source))
    new = new_files(there, known.files, found)
    texts = _without_erased(site, read_fitting(new, source, known.columns, found), found)
    if known.version is None or source.newest_is_all:
        texts = [text for text in texts if text.rows.num_rows]
        found.files = [text.name for text in texts]
    found.replaced = [file for file in found.replaced if file in found.files or file in found.duplicates]
    for file in there:
        file.forget()
    return Arrived(texts, found.replaced)


def _without_erased(site: Site, texts: Sequence[FileText], found: Ingested) -> list[FileText]:
    """Return the texts without rows of anybody who was erased; a text that holds nothing else is left out."""
    kept = [replace(text, rows=site.erasures.without(text.rows)) for text in texts]
    emptied = [
        text.name
        for text, whole in zip(kept, texts, strict=True)
        if whole.rows.num_rows and not text.rows.num_rows and text.name not in found.replaced
    ]
    found.files = [file for file in found.files if file not in emptied]
    found.notes += [f"{file} holds rows of erased persons alone" for file in emptied]
    return [text for text in kept if text.name not in emptied]


def arrived_windows(site: Site, name: str, source: Source, known: Known, most: int) -> Arrived:
    """Return the next window of a source that has no files: about `most` rows of a database, or what dlt pulls."""
    return pulled_rows(site, name, source, known) if source.dlt else arrived_rows(site, name, source, known, most)


def readable_rows(site: Site, name: str, source: Source, files: Sequence[Landed]) -> pa.Table | None:
    """Return the rows of some files as ingestion would add them, leaving out files that it would refuse."""
    found = Ingested()
    texts = _without_erased(site, read_fitting(files, source, known_files(site, name, source).columns, found), found)
    return rows_of(site, name, source, texts) if texts else None


def rows_of(site: Site, name: str, source: Source, texts: Sequence[FileText]) -> pa.Table:
    """Return the rows of what was read, converted as ingestion would."""
    return converted(site, name, source, _joined([text.rows for text in texts]))


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
    wholly = source.newest_is_all and bool(texts)
    landed = [text.rows for text in texts]
    if again and not wholly:
        landed.append(earlier_text(site, name, known, replaced))
    columns = known.columns or _columns_of(landed[0])
    return Addition(
        rows=converted(site, name, source, _joined(landed)) if landed else _no_rows(site, name),
        digests={text.name: text.digest for text in texts},
        replacing=None if again or wholly else replaced,
        facts={
            CONVERSION: version,
            READING: reading_version(source),
            EMPTY: dumps(_empty_files(known, arrived)),
            **column_facts(columns),
            **_window(known, arrived),
        },
    )


def _empty_files(known: Known, arrived: Arrived) -> dict[str, str]:
    """Return the files without rows, with their digests: no row remembers them."""
    taken = {text.name: text.digest for text in arrived.texts if not text.rows.num_rows}
    there = {text.name for text in arrived.texts} | set(arrived.replaced)
    return {file: digest for file, digest in known.empty.items() if file not in there} | taken


def _columns_of(landed: pa.Table) -> Columns:
    return {column.name: column.type for column in landed.schema if column.name not in OWN}


def _window(known: Known, arrived: Arrived) -> Mapping[str, str]:
    return arrived.facts or ({WINDOW: known.window} if known.window else {})


def _no_rows(site: Site, name: str) -> pa.Table:
    return site.tables.schema(site.product.table("raw", name)).empty_table()


def _touched(site: Site, name: str, addition: Addition) -> set[date]:
    return days_in(addition.rows) | (
        days_of_files(site, name, addition.replacing) if addition.replacing != [] else set()
    )


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="default")
