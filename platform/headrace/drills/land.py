"""Landing: a file is written as the ones before it were, in a sandbox."""

import csv
import gzip
import io
import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import Refused
from headrace.sources.declaration import Source
from headrace.sources.ingest import days_in, readable_rows
from headrace.sources.landing import files_below
from headrace.sources.read import format_of
from headrace.store.site import Site

LONG_AGO = 1.0
"""When a file was last written, in seconds since 1970: nobody waits for it to settle."""


@dataclass(frozen=True)
class NextDay:
    """Rows of a day, as those of an earlier one have landed."""

    rows: pa.Table
    day: date
    of: date
    """The earlier day."""
    like: str
    """The file that it landed in, below the project's root."""


def land(site: Site, name: str, source: Source, made: NextDay) -> Path:
    """Write the rows of a day as a file beside that of the earlier one, in its format, and return it.

    Raises Refused where the file would not be found by the source's pattern, or its rows would lie in another day.
    """
    path = _free(site.place.root / _name(made.like, made.of, made.day))
    path.parent.mkdir(parents=True, exist_ok=True)
    data = bytes_of(made.rows, path.name, source)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    os.utime(path, (LONG_AGO, LONG_AGO))
    landed = [file for file in files_below(site.place.root, source) if file.path == path]
    read = readable_rows(site, name, source, landed) if landed else None
    if read is None or days_in(read) != {made.day}:
        path.unlink()
        why = "lie in other days" if read is not None else f"are not found by {source.files}"
        raise Refused(f"No rows of {made.day} can be made for source '{name}': made of those of {made.of}, they {why}.")
    return path


def bytes_of(rows: pa.Table, name: str, source: Source) -> bytes:
    """Return rows as the bytes of a file of that name, before it is packed."""
    form = format_of(name, source)
    if form == "parquet":
        sink = io.BytesIO()
        pq.write_table(rows, sink)
        return sink.getvalue()
    if form == "jsonl":
        lines = (json.dumps({k: v for k, v in row.items() if v is not None}, default=str) for row in rows.to_pylist())
        return "".join(f"{line}\n" for line in lines).encode(source.encoding)
    text = io.StringIO()
    written = csv.writer(text, delimiter=source.delimiter, lineterminator="\n")
    written.writerow(rows.column_names)
    missing = source.nulls[0] if source.nulls else ""
    written.writerows([missing if value is None else value for value in row.values()] for row in rows.to_pylist())
    return text.getvalue().encode(source.encoding)


def _name(like: str, of: date, day: date) -> str:
    for form in ("%Y-%m-%d", "%Y%m%d"):
        if f"{of:{form}}" in like:
            return like.replace(f"{of:{form}}", f"{day:{form}}")
    return _beside(like, str(day))


def _free(path: Path) -> Path:
    return path.with_name(_beside(path.name, "drill")) if path.exists() else path


def _beside(name: str, word: str) -> str:
    stem, dot, ending = PurePath(name).name.partition(".")
    return str(PurePath(name).with_name(f"{stem}-{word}{dot}{ending}"))
