"""Ingestion: what has landed goes into the raw table, each file exactly once, each row into the day it happened."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import FileRefused
from headrace.core.names import did_you_mean
from headrace.sources.convert import OWN, concat, conversion_version, converted
from headrace.sources.declaration import Source
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW, FileText, Landed, landed_files, read_text
from headrace.store.digest import bytes_digest
from headrace.store.site import Site
from headrace.store.tables import DAY, Addition

CONVERSION, LANDED = "headrace.conversion", "headrace.landed"


@dataclass
class Ingested:
    """What one look at the landing folder brought."""

    files: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    """Files whose content has changed: their earlier rows went out."""
    duplicates: dict[str, str] = field(default_factory=dict)
    """File → the file that has the same content."""
    refused: dict[str, str] = field(default_factory=dict)
    """File → why it was not read; rows that it had before stay."""
    notes: list[str] = field(default_factory=list)
    """What is odd but harmless: columns that nobody declared, files without rows."""
    rows: int = 0
    days: tuple[date, ...] = ()
    """The days that rows were added to, or taken from."""


@dataclass(frozen=True)
class Before:
    """What a raw table holds before a look at the landing folder."""

    version: int | None
    files: Mapping[str, str]
    """File → digest of the content that was taken."""
    facts: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        """The columns that files have had so far; none if none has come."""
        return [c for c in self.facts.get(LANDED, "").split("\n") if c]


def ingest(site: Site, name: str, source: Source) -> Ingested:
    """Bring all new or changed files of a source into its raw table, in one commit; the good ones, if some are bad."""
    table = site.product.table("raw", name)
    with site.tables.alone(table):
        before = _before(site, table)
        found = Ingested()
        new = _new_files(list(_candidates(site, source)), before.files, found)
        texts = read_all(new, source, before.columns, found)
        found.replaced = [f for f in found.replaced if f not in found.refused]
        kept = _to_convert_again(site, table, source, before, found)
        if texts or found.replaced or kept is not None:
            _add(site, name, source, before, found, [t.rows for t in texts], kept)
    return found


def readable_rows(site: Site, name: str, source: Source, files: Sequence[Landed]) -> pa.Table | None:
    """Return the rows of some files as ingestion would add them, leaving out files that it would refuse."""
    before = _before(site, site.product.table("raw", name))
    texts = read_all(files, source, before.columns, Ingested())
    return converted(site, name, source, concat([text.rows for text in texts])) if texts else None


def days_of_files(site: Site, name: str, files: Sequence[str]) -> tuple[date, ...]:
    """Return the days that rows of some files lie in already."""
    table = site.product.table("raw", name)
    if not files or not site.tables.exists(table) or DAY not in site.tables.schema(table).names:
        return ()
    rows = site.tables.read(table, columns=[FILE, DAY])
    return days_in(rows.filter(pc.is_in(rows[FILE], pa.array(list(files), pa.string()))))


def days_in(rows: pa.Table) -> tuple[date, ...]:
    """Return the days that rows lie in, in order."""
    return tuple(sorted(pc.unique(rows[DAY]).to_pylist())) if DAY in rows.column_names else ()


def read_all(files: Sequence[Landed], source: Source, columns: list[str], found: Ingested) -> list[FileText]:
    """Return the texts of the files that can be read, with the columns that files have had so far, or most have."""
    texts = list(_read(files, source, found))
    expected = columns or _usual_columns(texts)
    return list(_fitting(texts, expected, found))


def _before(site: Site, table: str) -> Before:
    version = site.tables.version(table)
    if version is None:
        return Before(None, {}, {})
    pairs = site.tables.read(table, columns=[FILE, DIGEST], version=version).group_by([FILE, DIGEST]).aggregate([])
    files = dict(zip(pairs[FILE].to_pylist(), pairs[DIGEST].to_pylist(), strict=True))
    return Before(version, files, site.tables.facts(table))


def _candidates(site: Site, source: Source) -> Iterator[Landed]:
    """Yield the files that count: all of them, or only the newest where the source is not partitioned."""
    files = list(landed_files(site.place.root, source))
    yield from files if source.partition or not files else [max(files, key=lambda f: (f.stamp[1], f.name))]


def _new_files(landed: list[Landed], known: Mapping[str, str], found: Ingested) -> list[Landed]:
    digests = {file.name: bytes_digest(file.path.read_bytes()) for file in landed}
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


def _read(files: Sequence[Landed], source: Source, found: Ingested) -> Iterator[FileText]:
    for file in files:
        try:
            yield read_text(file, source)
        except FileRefused as error:
            found.refused[file.name] = str(error)


def _usual_columns(texts: list[FileText]) -> list[str]:
    counts = Counter(tuple(sorted(text.columns)) for text in texts)
    most = set(counts.most_common(1)[0][0]) if counts else set()
    return next((text.columns for text in texts if set(text.columns) == most), [])


def _fitting(texts: list[FileText], expected: list[str], found: Ingested) -> Iterator[FileText]:
    for text in texts:
        missing = [c for c in expected if c not in text.columns]
        added = [c for c in text.columns if c not in expected]
        if missing:
            found.refused[text.name] = _lacks(text, missing, added)
            continue
        if not text.rows.num_rows:
            found.refused.update({text.name: f"{text.name} has a header and no rows; what it held before stays"}) if False else None
            found.notes.append(f"{text.name} has a header and no rows")
            continue
        if added:
            found.notes.append(f"{text.name} has columns that nobody knows: {', '.join(added)}; they are left out")
        found.files.append(text.name)
        yield FileText(text.name, text.digest, text.rows.select([*expected, FILE, DIGEST, ROW, MALFORMED]))
