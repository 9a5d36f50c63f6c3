"""A payload: the steps of one entity in one feature table, packed so that one of them is found and read in microseconds.

All numbers are little-endian, and nothing is aligned:

    2s B B I   "HF", the format's number, whether earlier steps were left out (1) or not (0), the number n of steps
    n * q      the instants from which the steps hold, ascending, in microseconds since 1970; none in a table without time
    n * step   one bit a column that is null; then each column: numbers, booleans, dates, times and instants as Arrow keeps
               them, decimals as 16 bytes, texts and binaries as offset and length (I I) into
    bytes      what the texts and binaries of all steps hold

Nothing is unpickled, and which columns there are stands in the manifest. A float64 comes back bit by bit. A payload is
read where it lies, among others: nothing is cut out of what the store has given.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.arrow import beyond
from headrace.core.errors import DataError, StoreError
from headrace.online.cells import EPOCH, code, heap, is_varied, raw, reader

HEAD, TIMED_HEAD = struct.Struct("<2sBBI"), struct.Struct("<2sBBIq")
MARK, FORMAT = b"HF", 1
OTHER = "An online payload is of another format: publish the features anew (headrace/force)."
_MICROSECOND = timedelta(microseconds=1)
ALONE = frozenset(HEAD.pack(MARK, FORMAT, dropped, 1) for dropped in (False, True))
"""The heads of payloads of one step."""


class Found(NamedTuple):
    """A step of a payload."""

    data: bytes
    """Where the payload lies, maybe among others."""
    at: int
    """Where the step begins in it."""
    heap: int
    """Where the texts and binaries of the payload begin in it."""
    since: int
    """From which instant on it holds, in microseconds since 1970; 0 in a table without time."""


class TooEarly(DataError):
    """An instant before the first step that was published, of an entity that had earlier ones."""


class Layout:
    """How the steps of a feature table lie in payloads. Raises DataError for a column of a type that has no place there."""

    def __init__(self, schema: pa.Schema, *, timed: bool) -> None:
        self.schema = schema
        self.timed = timed
        codes = [code(column) for column in schema]
        self._nulls = (len(codes) + 7) // 8
        self._step = struct.Struct("<" + (f"{self._nulls}s" if codes else "") + "".join(codes))
        self.size, self._none = self._step.size, bytes(self._nulls)
        self._readers = [reader(column.type) for column in schema]
        self._is_text = [is_varied(column.type) for column in schema]
        self._plain = not any(self._is_text) and not any(self._readers)

    @property
    def form(self) -> str:
        """How `struct` writes a payload of one step, in a table with time: its head, the instant, the nulls, the cells."""
        return f"{HEAD.size}sq{self._step.format.removeprefix('<')}"

    @property
    def is_plain(self) -> bool:
        """Whether the values of a step are what lies in it, and it has an instant."""
        return self._plain and self.timed and bool(self._nulls)

    @property
    def longest(self) -> int:
        """How many bytes the head of a payload and a step take."""
        return TIMED_HEAD.size + self.size

    @cached_property
    def record(self) -> np.dtype[Any]:
        """A step as a row of numpy."""
        columns: list[Any] = [("nulls", "u1", (self._nulls,))]
        for number, column in enumerate(self.schema):
            if is_varied(column.type):
                columns += [(f"{number}", "<u4"), (f"length{number}", "<u4")]
            elif pa.types.is_decimal128(column.type):
                columns.append((f"{number}", "V16"))
            else:
                written = code(column)
                columns.append((f"{number}", np.dtype("u1" if written == "?" else f"<{written}")))
        return np.dtype(columns)

    def find(self, data: bytes, instant: int, at: int = 0) -> Found | None:
        """Return the step that holds at an instant (microseconds since 1970), or None where none does; raises TooEarly.

        The payload begins at `at` of the data.
        """
        size = self.size
        if not self.timed:
            mark, form, dropped, count = HEAD.unpack_from(data, at)
            if mark != MARK or form != FORMAT:
                raise StoreError(OTHER)
            at += HEAD.size
            return Found(data, at, at + count * size, 0)
        mark, form, dropped, count, first = TIMED_HEAD.unpack_from(data, at)
        if mark != MARK or form != FORMAT:
            raise StoreError(OTHER)
        steps = at + 8 + 8 * count
        if count == 1:
            place, since = (0, first) if first <= instant else (-1, first)
        else:
            times = memoryview(data)[at + 8 : steps].cast("q")
            place = bisect_right(times, instant) - 1
            since = times[place]
        if place >= 0:
            return Found(data, steps + place * size, steps + count * size, since)
        if dropped:
            raise TooEarly(
                f"what held at {EPOCH + timedelta(microseconds=instant):%Y-%m-%dT%H:%M:%SZ} is no longer published: "
                f"the first step is of {EPOCH + timedelta(microseconds=first):%Y-%m-%dT%H:%M:%SZ}. Raise `serve.online.back`."
            )
        return None

    def values(self, found: Found) -> list[Any]:
        """Return the values of one step, in the order of the columns; raises DataError for one that Python has no place for."""
        data, at, texts, _ = found
        nulls, *cells = self._step.unpack_from(data, at) if self._nulls else (b"",)
        if self._plain:
            if nulls == self._none:
                return cells
            empty = int.from_bytes(nulls, "little")
            return [None if empty >> number & 1 else value for number, value in enumerate(cells)]
        return list(self._read(data, texts, cells, int.from_bytes(nulls, "little")))

    def pack(
        self, rows: pa.Table, times: pa.ChunkedArray | None, starts: Sequence[int], dropped: Sequence[bool]
    ) -> Iterator[bytes]:
        """Yield a payload for each entity: its rows begin at `starts[i]` and end at `starts[i + 1]`, by time.

        `rows` have the layout's columns, `times` are instants in microseconds; `dropped` says for each entity whether
        earlier steps were left out.
        """
        records, heaps = self._records(rows, starts)
        steps, size = records.tobytes(), self._step.size
        moments = pc.cast(times, pa.int64()).to_numpy().tobytes() if times is not None else b""
        for number, left_out in enumerate(dropped):
            first, end = starts[number], starts[number + 1]
            parts = [HEAD.pack(MARK, FORMAT, left_out, end - first)]
            parts.append(moments[8 * first : 8 * end])
            parts.append(steps[size * first : size * end])
            parts += [bytes(data[offsets[first] : offsets[end]]) for offsets, data in heaps]
            yield b"".join(parts)

    def _read(self, data: bytes, texts: int, cells: Sequence[Any], empty: int) -> Iterator[Any]:
        at = 0
        for number, read in enumerate(self._readers):
            value = cells[at]
            if self._is_text[number]:
                start = texts + value
                value = data[start : start + cells[at + 1]]
                at += 1
            at += 1
            try:
                yield None if empty >> number & 1 else read(value) if read else value
            except OverflowError:
                raise beyond(self.schema.field(number).name) from None

    def _records(self, rows: pa.Table, starts: Sequence[int]) -> tuple[Any, list[tuple[Any, memoryview]]]:
        """Return the rows as records, and for each column of texts its offsets and bytes."""
        records = np.zeros(rows.num_rows, self.record)
        ends = np.asarray(starts)
        counts = np.diff(ends)
        before, heaps = np.zeros(rows.num_rows, np.int64), []
        for number, column in enumerate(self.schema):
            cells = rows[column.name].combine_chunks()
            cells = cells.chunk(0) if isinstance(cells, pa.ChunkedArray) else cells
            records["nulls"][:, number // 8] |= (
                cells.is_null().to_numpy(zero_copy_only=False).astype("u1") << number % 8
            )
            if is_varied(column.type):
                offsets, data = heap(cells)
                first = np.repeat(offsets[ends[:-1]], counts)
                records[f"{number}"] = offsets[:-1] - first + before
                records[f"length{number}"] = np.diff(offsets)
                before += np.repeat(offsets[ends[1:]] - offsets[ends[:-1]], counts)
                heaps.append((offsets, data))
            else:
                records[f"{number}"] = raw(cells)
        return records, heaps


def microseconds(moment: datetime) -> int:
    """Return an instant as payloads have it; raises DataError for one without a time zone."""
    if moment.tzinfo is None:
        raise DataError(f"The instant {moment.isoformat()} has no time zone: say one, such as {moment.isoformat()}Z.")
    return (moment - EPOCH) // _MICROSECOND
