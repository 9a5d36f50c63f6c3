"""Landed files, read as text: every column as it stands in the file, by name, with its row number."""

from collections.abc import Iterator
from csv import reader
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from headrace.core.errors import FileRefused
from headrace.sources.declaration import Source
from headrace.store.digest import bytes_digest

FILE, DIGEST, ROW, MALFORMED = ADDED = "_file", "_digest", "_row", "_malformed"
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Landed:
    """One file where it landed: its name below the project's root, and what is in it."""

    name: str
    path: Path

    @property
    def stamp(self) -> tuple[int, int]:
        """Its size and time of change: equal stamps, equal file."""
        facts = self.path.stat()
        return facts.st_size, facts.st_mtime_ns

    def is_settled(self, now: float, settle_s: float) -> bool:
        """Return whether nobody has written to it for a while, so that it is not half a file."""
        return now - self.path.stat().st_mtime >= settle_s


@dataclass(frozen=True)
class FileText:
    """The rows of one file as text, with `_file`, `_digest` and `_row` (1 for the first row below the header).

    A line that is no row (too few or too many columns) is kept whole in `_malformed`.
    """

    name: str
    digest: str
    rows: pa.Table

    @property
    def columns(self) -> list[str]:
        """The columns that stand in the file."""
        return [c for c in self.rows.column_names if c not in ADDED]


@dataclass
class _Lines:
    """Collects the lines that are no rows."""

    found: list[tuple[int, str]] = field(default_factory=list)

    def keep(self, row: csv.InvalidRow) -> str:
        self.found.append(
            (row.number or 0, f"{row.actual_columns} columns where {row.expected_columns} belong: {row.text}")
        )
        return "skip"


def landed_files(root: Path, source: Source) -> Iterator[Landed]:
    """Yield the files that a source's pattern finds below the project's root, by name."""
    for path in sorted(root.glob(source.files)):
        if path.is_file() and not path.name.startswith("."):
            yield Landed(str(path.relative_to(root)), path)


def read_text(file: Landed, source: Source) -> FileText:
    """Return the rows of a CSV file as text; raises FileRefused for a file that has no header or is not UTF-8."""
    data = file.path.read_bytes()
    digest = bytes_digest(data)
    if not data.removeprefix(BOM).strip():
        raise FileRefused(f"{file.name} is empty: not even a header. Land it again, or remove it.")
    names = _header(file.name, data, source)
    whole, torn = _whole_records(data)
    lines = _Lines()
    try:
        rows = _parse(whole, names, source, lines)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise FileRefused(f"{file.name} cannot be read as CSV in UTF-8 with '{source.delimiter}': {error}") from None
    last = rows.num_rows + len(lines.found)
    lines.found += [(last + 2 + i, f"a quote that never ends: {line}") for i, line in enumerate(torn)]
    kept = rows.select([name for name in names if name])
    return FileText(file.name, digest, _numbered(kept, file.name, digest, lines.found))


def _header(file: str, data: bytes, source: Source) -> list[str]:
    """Return the names in the first record."""
    text = data.removeprefix(BOM).decode(errors="replace")
    names = next(reader(StringIO(text.lstrip("\r\n"), newline=""), delimiter=source.delimiter))
    folded = [name.casefold() for name in names if name]
    doubles = sorted({name for name in folded if folded.count(name) > 1})
    if doubles:
        raise FileRefused(
            f"{file}: its header names {', '.join(doubles)} twice. Columns are told apart by name: rename one."
        )
    taken = sorted(set(folded) & {*ADDED, "_day", "_month"})
    if taken:
        raise FileRefused(
            f"{file}: its header names {', '.join(taken)}, which Headrace adds itself. Rename the column."
        )
    return names


def _whole_records(data: bytes) -> tuple[bytes, list[str]]:
    """Return the bytes up to a record whose quote never ends, and the lines from there on: a reader would swallow them."""
    if data.count(b'"') % 2 == 0:
        return data, []
    lines = data.splitlines(keepends=True)
    opened, start = False, 0
    for number, line in enumerate(lines):
        if not opened:
            start = number
        opened ^= line.count(b'"') % 2 == 1
    return b"".join(lines[:start]), [line.decode(errors="replace").rstrip("\r\n") for line in lines[start:]]


def _parse(data: bytes, names: list[str], source: Source, lines: _Lines) -> pa.Table:
    if not data.endswith(b"\n"):
        data += b"\n"
    return csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(use_threads=False, block_size=len(data) + 1),
        csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True, invalid_row_handler=lines.keep),
        csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            null_values=source.nulls,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


def _numbered(rows: pa.Table, name: str, digest: str, malformed: list[tuple[int, str]]) -> pa.Table:
    """Return all lines of the file, rows and malformed ones, each with its number (the header is row 0)."""
    bad = {number - 1 for number, _ in malformed}
    good = [n for n in range(1, rows.num_rows + len(bad) + 1) if n not in bad]
    numbered = rows.append_column(ROW, pa.array(good, pa.int64())).append_column(
        MALFORMED, pa.nulls(len(good), pa.string())
    )
    if malformed:
        kept = pa.table(
            {ROW: pa.array([n - 1 for n, _ in malformed], pa.int64()), MALFORMED: [text for _, text in malformed]}
        )
        numbered = pa.concat_tables([numbered, kept], promote_options="default").sort_by(ROW)
    count = numbered.num_rows
    return numbered.append_column(FILE, pa.array([name] * count, pa.string())).append_column(
        DIGEST, pa.array([digest] * count, pa.string())
    )
