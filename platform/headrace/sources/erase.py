"""A person in landed files: which hold them, and the same files without their rows."""

import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from csv import reader
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import parquet

from headrace.core.errors import DataError
from headrace.sources.declaration import Format, Source
from headrace.sources.delimited import BOM, in_utf8, records_of
from headrace.sources.landing import files_below
from headrace.sources.read import format_of
from headrace.sources.unpack import GZIP
from headrace.store.person import Person, held_by
from headrace.store.site import Site


@dataclass(frozen=True)
class Holding:
    """A landed file that holds a person."""

    path: Path
    source: Source
    rows: int
    """Its rows, and lines that are none, that are of the person; 0 where only another column holds the value."""


def holding_files(site: Site, sources: Mapping[str, Source], person: Person) -> Iterator[Holding]:
    """Yield the landed files of all sources, below the project's root, that hold a person."""
    seen: set[Path] = set()
    for source in sources.values():
        if not source.files or source.in_bucket:
            continue
        for file in files_below(site.place.root, source):
            if file.path in seen:
                continue
            seen.add(file.path)
            data = _content(file.path)
            _, rows = _without(file.path, data, source, person)
            if rows or person.is_in(data):
                yield Holding(file.path, source, rows)


def remove_rows(held: Holding, person: Person) -> None:
    """Write a landed file anew without the rows of a person, whole or not at all; a file of nothing else is removed."""
    data = _content(held.path)
    kept, rows = _without(held.path, data, held.source, person)
    if not rows:
        return
    if kept is None:
        held.path.unlink()
        return
    staged = held.path.with_name(f".{held.path.name}.{os.getpid()}")
    staged.write_bytes(gzip.compress(kept) if held.path.read_bytes().startswith(GZIP) else kept)
    shutil.copymode(held.path, staged)
    staged.replace(held.path)


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    if not data.startswith(GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be unpacked ({error}), so that nobody can tell who is in it. Remove it."
        ) from None


def _without(path: Path, data: bytes, source: Source, person: Person) -> tuple[bytes | None, int]:
    """Return the bytes without a person's rows (None: no row is left), and how many there were."""
    ways: Mapping[Format, Callable[[Path, bytes, Source, Person], tuple[bytes | None, int]]] = {
        "csv": _csv_without,
        "jsonl": _jsonlines_without,
        "parquet": _parquet_without,
    }
    return ways[format_of(path.name, source)](path, data, source, person)


def _csv_without(path: Path, data: bytes, source: Source, person: Person) -> tuple[bytes | None, int]:
    text = in_utf8(path.name, data, source)
    records = records_of(text, source)
    if b"".join(records) != text:
        raise DataError(f"{path} cannot be taken apart line by line. Take the person out of it by hand.")
    filled = [number for number, record in enumerate(records) if record.strip(b"\r\n")]
    if not filled:
        return data, 0
    names = _cells(records[filled[0]].removeprefix(BOM), source)
    places = [place for place, name in enumerate(names) if person.is_column(name)]

    def is_theirs(record: bytes) -> bool:
        cells = _cells(record, source)
        if len(cells) != len(names):
            return person.is_in(record) or any(map(person.is_cell, cells))
        return any(person.is_cell(cells[place]) for place in places)

    gone = {number for number in filled[1:] if is_theirs(records[number])}
    if len(gone) == len(filled) - 1 and gone:
        return None, len(gone)
    kept = b"".join(record for number, record in enumerate(records) if number not in gone)
    return _encoded(kept, source), len(gone)


def _cells(record: bytes, source: Source) -> list[str]:
    plain = record.decode(errors="surrogateescape").replace("\0", " ").rstrip("\r\n")
    return next(reader([plain], delimiter=source.delimiter), []) if len(plain) < 100_000 else [plain]


def _encoded(text: bytes, source: Source) -> bytes:
    if source.encoding.lower() in ("utf-8", "utf8"):
        return text
    return text.decode("utf-8", "surrogateescape").encode(source.encoding, "surrogateescape")


def _jsonlines_without(path: Path, data: bytes, source: Source, person: Person) -> tuple[bytes | None, int]:
    lines = in_utf8(path.name, data, source).splitlines(keepends=True)
    gone = [number for number, line in enumerate(lines) if _is_line_of(line, person)]
    kept = b"".join(line for number, line in enumerate(lines) if number not in set(gone))
    return (_encoded(kept, source) if kept.removeprefix(BOM).strip() else None), len(gone)


def _is_line_of(line: bytes, person: Person) -> bool:
    try:
        row = json.loads(line.removeprefix(BOM))
    except (ValueError, RecursionError):
        return person.is_in(line)
    if not isinstance(row, dict):
        return person.is_in(line)
    return any(person.is_cell(value) for name, value in row.items() if person.is_column(name))


def _parquet_without(_path: Path, data: bytes, _source: Source, person: Person) -> tuple[bytes | None, int]:
    rows = parquet.read_table(pa.BufferReader(data))
    held = held_by(ds.dataset(rows), person)
    if held is None:
        return data, 0
    kept = rows.filter(~held)
    if not kept.num_rows:
        return None, rows.num_rows
    sink = pa.BufferOutputStream()
    parquet.write_table(kept, sink)
    return bytes(sink.getvalue()), rows.num_rows - kept.num_rows
