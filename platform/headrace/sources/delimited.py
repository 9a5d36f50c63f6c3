"""CSV, read as text: every column as it stands in the file, by name. RFC 4180, and what is not goes aside."""

import re
from csv import reader
from functools import cache
from io import StringIO

import pyarrow as pa
from pyarrow import csv

from headrace.core.errors import FileRefused
from headrace.sources.declaration import Source
from headrace.sources.parsed import Aside, Parsed

BOM = b"\xef\xbb\xbf"
BROKEN_QUOTE = "a quote that never ends, or that text follows"


def read_csv(name: str, data: bytes, source: Source) -> Parsed:
    """Return the rows of CSV bytes; raises FileRefused where there is no header, or it cannot be understood."""
    text = in_utf8(name, data, source).removeprefix(BOM)
    if not text.strip():
        raise FileRefused(f"{name} is empty: not even a header. Land it again, or remove it.")
    if not text.endswith((b"\n", b"\r")):
        text += b"\n"
    aside = Aside()
    records, whole = (_records(name, text, source, aside), None) if _is_odd(text, source) else (None, text)
    data = whole if whole is not None else b"".join(record for _, record in records or [])
    header = _header(name, data, source)
    rows, ragged = _parse(name, data, header, source)
    _cross_check(name, rows.num_rows + len(ragged), len(records) if records else _lines(text))
    numbers = [number for number, _ in records[1:]] if records else range(1, rows.num_rows + len(ragged) + 1)
    for at, why, line in ragged:
        aside.keep(numbers[at], why, line)
    gone = {at for at, _, _ in ragged}
    kept = pa.array([number for at, number in enumerate(numbers) if at not in gone] if gone else numbers, pa.int64())
    return Parsed(rows.select([column for column in header if column]), kept, aside)


def in_utf8(name: str, data: bytes, source: Source) -> bytes:
    """Return text in UTF-8; bytes that are not in the declared encoding stay what they are, and are found later."""
    if source.encoding.lower() in ("utf-8", "utf8"):
        return data
    try:
        return data.decode(source.encoding, "surrogateescape").encode("utf-8", "surrogateescape")
    except UnicodeError as error:
        raise FileRefused(f"{name} is not in {source.encoding}: {error}. Declare the right `encoding:`.") from None


def _is_odd(text: bytes, source: Source) -> bool:
    """Return whether lines have to be looked at one by one: quotes, NULs, other encodings, lines of many megabytes."""
    if b'"' in text or b"\0" in text or not _is_utf8(text):
        return True
    return len(text) > source.limits.line and max(map(len, text.splitlines())) > source.limits.line


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _records(name: str, text: bytes, source: Source, aside: Aside) -> list[tuple[int, bytes]]:
    """Return the records that are whole, each with its number (the header is 0); the other lines go aside."""
    found = _record_pattern(source.delimiter).findall(text)
    lines = [(good or bad, not good) for good, bad in found if (good or bad).strip(b"\r\n")]
    checked = [(line, _fault(line, source) or (BROKEN_QUOTE if broken else "")) for line, broken in lines]
    if checked[0][1]:
        raise FileRefused(f"{name}: its header has {checked[0][1]}. Land it again.")
    for number, (line, why) in enumerate(checked):
        if why:
            aside.keep(number, why, line)
    return [(number, line) for number, (line, why) in enumerate(checked) if not why]


def _fault(line: bytes, source: Source) -> str:
    size = len(line.rstrip(b"\r\n"))
    if size > source.limits.line:
        return f"{size:,} bytes where a line may have {source.limits.line:,}"
    if b"\0" in line:
        return "a NUL byte"
    return "" if _is_utf8(line) else f"bytes that are not {source.encoding} (is another `encoding:` meant?)"


def records_of(text: bytes, source: Source) -> list[bytes]:
    """Return the records of CSV in UTF-8, each with its line end, blank lines too: joined they are the text."""
    return [found[0] for found in _record_pattern(source.delimiter).finditer(text)]


@cache
def _record_pattern(delimiter: str) -> re.Pattern[bytes]:
    """Return what finds one record or, where its quotes are broken, one line. Possessive: no text takes long."""
    mark = re.escape(delimiter).encode()
    cell = rb'(?:"(?:[^"]++|"")*+"|[^"%b\r\n][^%b\r\n]*+|)' % (mark, mark)
    end = rb"(?:\r\n|\n|\r|\Z)"
    return re.compile(rb"(%b(?:%b%b)*+%b)|([^\r\n]*+%b)" % (cell, mark, cell, end, end))


def _header(file: str, data: bytes, source: Source) -> list[str]:
    """Return the names in the first record."""
    start = data.lstrip(b"\r\n")[: source.limits.line].decode(errors="replace")
    return checked_names(file, next(reader(StringIO(start, newline=""), delimiter=source.delimiter)))


def checked_names(file: str, names: list[str]) -> list[str]:
    """Return the column names of a file; raises FileRefused where two are one, or one is Headrace's own."""
    folded = [name.casefold() for name in names if name]
    doubles = sorted({name for name in folded if folded.count(name) > 1})
    if doubles:
        raise FileRefused(
            f"{file}: its header names {', '.join(doubles)} twice. Columns are told apart by name: rename one."
        )
    taken = sorted(set(folded) & {"_file", "_digest", "_row", "_malformed", "_day", "_month"})
    if taken:
        raise FileRefused(
            f"{file}: its header names {', '.join(taken)}, which Headrace adds itself. Rename the column."
        )
    return names


def _parse(name: str, data: bytes, names: list[str], source: Source) -> tuple[pa.Table, list[tuple[int, str, str]]]:
    """Return the rows, and of each ragged line its place below the header, what is wrong, and its text."""
    ragged: list[tuple[int, str, str]] = []

    def keep(row: csv.InvalidRow) -> str:
        what = f"{row.actual_columns} columns where {row.expected_columns} belong"
        ragged.append(((row.number or 0) - 2, what, row.text))
        return "skip"

    try:
        rows = csv.read_csv(
            pa.BufferReader(data),
            csv.ReadOptions(use_threads=False, block_size=len(data) + 1),
            csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True, invalid_row_handler=keep),
            csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=source.nulls,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise FileRefused(f"{name} cannot be read as CSV with '{source.delimiter}': {error}") from None
    return rows, ragged


def _lines(text: bytes) -> int:
    return sum(map(bool, text.splitlines()))


def _cross_check(name: str, read: int, counted: int) -> None:
    """Refuse a file of which a reader has swallowed lines, whatever the reason."""
    if read + 1 != counted:
        raise FileRefused(
            f"{name} has {counted - 1} lines below its header, of which {read} could be read. Nothing of it was taken."
        )
