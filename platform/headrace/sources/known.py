"""Which landed files are new: by name and content, against what the raw table holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.core.sql import made_columns
from headrace.sources.convert import OWN
from headrace.sources.declaration import Source
from headrace.sources.ingested import Ingested
from headrace.sources.read import DIGEST, FILE, Landed, landed_files
from headrace.store.digest import bytes_digest
from headrace.store.site import Site

CONVERSION, LANDED = "headrace.conversion", "headrace.landed"


@dataclass(frozen=True)
class Known:
    """What a raw table holds before a look at the landing folder."""

    version: int | None
    """Its version; None where there is no table."""
    files: Mapping[str, str]
    """File → digest of the content that was taken."""
    columns: list[str]
    """The columns that files have had so far; none if none has come."""
    conversion: str | None
    """How the landed text was converted; None where nobody wrote it down."""


def known_files(site: Site, name: str, source: Source) -> Known:
    """Return what the raw table of a source holds."""
    table = site.product.table("raw", name)
    version = site.tables.version(table)
    if version is None:
        return Known(None, {}, [], None)
    pairs = site.tables.read(table, columns=[FILE, DIGEST], version=version).group_by([FILE, DIGEST]).aggregate([])
    facts = site.tables.facts(table)
    return Known(
        version=version,
        files=dict(zip(pairs[FILE].to_pylist(), pairs[DIGEST].to_pylist(), strict=True)),
        columns=facts[LANDED].split("\n") if LANDED in facts else _landed_columns(site, table, source),
        conversion=facts.get(CONVERSION),
    )


def candidates(site: Site, source: Source) -> Iterator[Landed]:
    """Yield the files that count: all of them, or only the newest where the source is not partitioned."""
    files = list(landed_files(site.place.root, source))
    yield from files if source.partition or not files else [max(files, key=lambda file: (file.stamp[1], file.name))]


def new_files(landed: list[Landed], known: Mapping[str, str], found: Ingested) -> list[Landed]:
    """Return the files whose content is not in the table yet; note changed ones and duplicates."""
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


def _landed_columns(site: Site, table: str, source: Source) -> list[str]:
    made = made_columns(site.text(source.sql), source.sql) if source.sql else set()
    return [c for c in site.tables.schema(table).names if c not in made and c not in OWN]
