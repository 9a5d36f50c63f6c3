"""Which landed files are new: by name and content, against what the raw table holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from json import loads

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.sql import made_columns
from headrace.sources.bucket import bucket_files
from headrace.sources.convert import OWN
from headrace.sources.declaration import Source
from headrace.sources.fit import Columns
from headrace.sources.ingested import Ingested
from headrace.sources.landing import Landed, files_below
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW
from headrace.store.site import Site

CONVERSION, READING = "headrace.conversion", "headrace.reading"
LANDED, TYPES, WINDOW = "headrace.landed", "headrace.types", "headrace.window"
EMPTY = "headrace.empty"
CHANGED = "read otherwise"
"""Stands for the content of a file that was read as it would no longer be: no digest is equal to it."""


@dataclass(frozen=True)
class Known:
    """What a raw table holds before a look at the landing folder."""

    version: int | None
    """Its version; None where there is no table."""
    files: Mapping[str, str]
    """File → digest of the content that was taken."""
    columns: Columns
    """The columns that files have had so far, as they landed; none if none has come."""
    conversion: str | None
    """How the landed text was converted; None where nobody wrote it down."""
    empty: Mapping[str, str] = field(default_factory=dict)
    """Those of the files that have no rows."""
    window: str | None = None
    """The record of the last window of a database, which its own commit holds; None where there is none."""


def known_files(site: Site, name: str, source: Source) -> Known:
    """Return what the raw table of a source holds."""
    table = site.product.table("raw", name)
    version = site.tables.version(table)
    if version is None:
        return Known(None, {}, {}, None)
    facts = site.tables.facts(table)
    empty: dict[str, str] = loads(facts.get(EMPTY, "{}"))
    files: dict[str, str] = empty | site.ledger.remembered(table, "files", lambda: _files_in(site, table))
    same = facts.get(READING, reading_version(source)) == reading_version(source)
    return Known(
        version=version,
        files=files if same else dict.fromkeys(files, CHANGED),
        columns=_landed_columns(site, table, source, facts),
        conversion=facts.get(CONVERSION),
        empty=empty,
        window=facts.get(WINDOW),
    )


def _files_in(site: Site, table: str) -> dict[str, str]:
    pairs = site.tables.read(table, columns=[FILE, DIGEST]).group_by([FILE, DIGEST]).aggregate([])
    return dict(zip(pairs[FILE].to_pylist(), pairs[DIGEST].to_pylist(), strict=True))


def reading_version(source: Source) -> str:
    """Return a version that changes when the bytes of files would be read as other rows."""
    parts = [source.format, source.encoding, source.nulls, source.delimiter]
    return sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]


def earlier_text(site: Site, name: str, known: Known, without: Sequence[str] = ()) -> pa.Table:
    """Return what the raw table holds, as it landed, without the rows of some files."""
    columns = [*known.columns, FILE, DIGEST, ROW, MALFORMED]
    rows = site.tables.read(site.product.table("raw", name), columns=columns, version=known.version)
    return rows.filter(pc.invert(pc.is_in(rows[FILE], pa.array(list(without), pa.string())))) if without else rows


def column_facts(columns: Columns) -> dict[str, str]:
    """Return what a commit should remember of the columns that landed."""
    return {LANDED: "\n".join(columns), TYPES: "\n".join(map(str, columns.values()))}


def landed_files(site: Site, source: Source) -> Iterator[Landed]:
    """Yield the files that a source's pattern finds, below the project's root or in a bucket, by name."""
    return bucket_files(site, source) if source.in_bucket else files_below(site.place.root, source)


def candidates(site: Site, source: Source) -> Iterator[Landed]:
    """Yield the files that count: all of them, or only the newest where the source is not partitioned."""
    files = list(landed_files(site, source))
    yield from (
        files if not source.newest_is_all or not files else [max(files, key=lambda file: (file.changed, file.name))]
    )


def new_files(landed: list[Landed], known: Mapping[str, str], found: Ingested) -> list[Landed]:
    """Return the files whose content is not in the table yet; note changed ones and duplicates."""
    digests = {file.name: file.digest() for file in landed}
    holders = {digest: file for file, digest in known.items() if digests.get(file, digest) == digest}
    new = []
    for file in landed:
        digest = digests[file.name]
        if known.get(file.name) == digest:
            continue
        if file.name in known:
            found.replaced.append(file.name)
        if digest in holders:
            found.duplicates[file.name] = holders[digest]
            continue
        holders[digest] = file.name
        new.append(file)
    return new


def _landed_columns(site: Site, table: str, source: Source, facts: Mapping[str, str]) -> Columns:
    there = {field.name: field.type for field in site.tables.schema(table)}
    if LANDED not in facts:
        made = made_columns(site.text(source.sql), source.sql) if source.sql else set()
        return {column: pa.string() for column in there if column not in made and column not in OWN}
    names = facts[LANDED].split("\n")
    types = facts[TYPES].split("\n") if TYPES in facts else ["string"] * len(names)
    return {name: pa.string() if kind == "string" else there[name] for name, kind in zip(names, types, strict=True)}
