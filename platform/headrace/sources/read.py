"""Landed files become rows: by format, with the file and the number of each, and the lines that are none beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import pyarrow as pa

from headrace.core.errors import FileRefused
from headrace.sources.declaration import Format, Source
from headrace.sources.delimited import read_csv
from headrace.sources.jsonlines import read_jsonlines
from headrace.sources.landing import Landed
from headrace.sources.parquet import read_parquet
from headrace.sources.parsed import Parsed
from headrace.sources.unpack import refuse_larger, unpacked
from headrace.store.checksum import bytes_digest

FILE, DIGEST, ROW, MALFORMED = ADDED = "_file", "_digest", "_row", "_malformed"
FORMATS: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class FileText:
    """The rows of one file, with `_file`, `_digest` and `_row` (1 for the first row, below a header if there is one).

    A line that is no row (too few or too many columns, say) is kept in `_malformed`.
    """

    name: str
    digest: str
    rows: pa.Table
    format: Format | Literal["database"] = "csv"

    @property
    def columns(self) -> list[str]:
        """The columns that stand in the file."""
        return [c for c in self.rows.column_names if c not in ADDED]


def format_of(name: str, source: Source) -> Format:
    """Return what a file is: as declared, or by its name without .gz."""
    return source.format or FORMATS.get(PurePath(name.removesuffix(".gz")).suffix.lower(), "csv")


def read_text(file: Landed, source: Source) -> FileText:
    """Return the rows of a file; raises FileRefused for one that cannot be read as declared, or holds too much."""
    refuse_larger(file.name, file.size, file.size, source.limits)
    before = file.stamp
    landed = file.data()
    if file.stamp != before:
        raise FileRefused(f"{file.name} is being written to at this very moment. It is taken as soon as it rests.")
    digest = bytes_digest(landed)
    form, data = format_of(file.name, source), unpacked(file.name, landed, source.limits)
    parsed = _parsed(file.name, data, form, source)
    return FileText(file.name, digest, placed(parsed, file.name, digest), form)


def _parsed(name: str, data: bytes, form: Format, source: Source) -> Parsed:
    if form == "parquet":
        return read_parquet(name, data, source.limits)
    return read_csv(name, data, source) if form == "csv" else read_jsonlines(name, data, source)


def placed(parsed: Parsed, name: str, digest: str) -> pa.Table:
    """Return all lines of a file, rows and malformed ones, by number."""
    rows = parsed.rows.append_column(ROW, parsed.numbers)
    rows = rows.append_column(MALFORMED, pa.nulls(rows.num_rows, pa.string()))
    if parsed.aside.lines:
        lines = dict(sorted(parsed.aside.lines.items()))
        kept = pa.table({ROW: pa.array(lines, pa.int64()), MALFORMED: pa.array(lines.values(), pa.string())})
        rows = pa.concat_tables([rows, kept], promote_options="default").sort_by(ROW)
    count = rows.num_rows
    return rows.append_column(FILE, pa.array([name] * count, pa.string())).append_column(
        DIGEST, pa.array([digest] * count, pa.string())
    )
