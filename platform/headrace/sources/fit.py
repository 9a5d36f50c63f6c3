"""Files whose columns are those that the source has always had, by name and type, never by position."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from headrace.core.errors import FileRefused
from headrace.core.names import did_you_mean
from headrace.sources.changes import Change, column_changes
from headrace.sources.declaration import Source
from headrace.sources.ingested import Ingested
from headrace.sources.landing import Landed
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW, FileText, read_text

Columns = Mapping[str, pa.DataType]
"""Column → the type in which it lands."""


def read_fitting(files: Sequence[Landed], source: Source, columns: Columns, found: Ingested) -> list[FileText]:
    """Return the rows of the files that can be read, with the columns that files have had so far, or most have."""
    texts = list(_read(files, source, found))
    return list(fitting(texts, columns, found))


def usual_columns(texts: Sequence[FileText]) -> Columns:
    """Return the columns that most files have, in the order and the types of the first of them."""
    counts = Counter(frozenset(text.columns) for text in texts)
    most = counts.most_common(1)[0][0] if counts else frozenset()
    first = next((text for text in texts if set(text.columns) == most), None)
    return {column: first.rows.schema.field(column).type for column in first.columns} if first else {}


def _read(files: Sequence[Landed], source: Source, found: Ingested) -> Iterator[FileText]:
    for file in files:
        try:
            yield read_text(file, source)
        except FileRefused as error:
            found.refused[file.name] = str(error)


def fitting(texts: Sequence[FileText], columns: Columns, found: Ingested) -> Iterator[FileText]:
    """Yield the texts that have the columns, or those that most of them have; note and refuse the others."""
    expected = columns or usual_columns(texts)
    for text in texts:
        there = {column: text.rows.schema.field(column).type for column in text.columns}
        missing = [c for c in expected if c not in there]
        added = [c for c in there if c not in expected]
        absent = missing if text.format == "jsonl" and not added else []
        retyped = [
            c for c in expected if c in there and there[c] != expected[c] and _typed(text.rows[c], expected[c]) is None
        ]
        changes = [c for c in column_changes(text.name, there, expected, retyped) if c.column not in absent]
        found.changes += changes
        if any(change.stops for change in changes):
            found.refused[text.name] = _refusal(text, changes, [c for c in missing if c not in absent], added)
        else:
            found.notes += _notes(text, added, absent)
            found.files.append(text.name)
            yield FileText(text.name, text.digest, _fitted(text.rows, expected), text.format)


def _notes(text: FileText, added: list[str], absent: list[str]) -> Iterator[str]:
    if added:
        yield f"{text.name} has columns that nobody knows: {', '.join(added)}; they are left out"
    if not text.rows.num_rows:
        yield f"{text.name} has a header and no rows"
    if absent:
        yield f"{text.name} has no line with {', '.join(absent)}: the values count as missing"


def _fitted(rows: pa.Table, expected: Columns) -> pa.Table:
    absent = {c: pa.nulls(rows.num_rows, kind) for c, kind in expected.items() if c not in rows.column_names}
    own = {c: _typed(rows[c], kind) for c, kind in expected.items() if c in rows.column_names}
    return pa.table(
        {c: own.get(c, absent.get(c)) for c in expected} | {c: rows[c] for c in (FILE, DIGEST, ROW, MALFORMED)}
    )


def _typed(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """Return the values in a type, None where one would be lost: whole numbers fit doubles, missing values fit all."""
    if values.type == kind or values.null_count == len(values):
        return values if values.type == kind else pa.chunked_array([pa.nulls(len(values), kind)])
    if not (pa.types.is_integer(values.type) and pa.types.is_floating(kind)):
        return None
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None


def _refusal(text: FileText, changes: list[Change], missing: list[str], added: list[str]) -> str:
    """Say what changed, with one line a column, and what to do."""
    diff = "; ".join(str(change) for change in changes if change.stops)
    if not missing:
        return (
            f"{text.name} has columns of other types. {diff}. Send them with the types that the source has had so far."
        )
    wanted = ", ".join(f"'{c}'" for c in missing)
    return (
        f"{text.name} lacks column{'s' if len(missing) > 1 else ''} {wanted}; it has {', '.join(text.columns)}."
        f"{did_you_mean(missing[0], added or text.columns)} {diff}. Send it with the columns that the source has had so far."
    )
