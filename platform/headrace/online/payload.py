"""A payload: the steps of one entity in one feature table, packed so that one of them is found and read in microseconds.

All numbers are little-endian, and nothing is aligned:

    2s B B I   "HF", the format's number, whether earlier steps were left out (1) or not (0), the number n of steps
    n * q      the instants from which the steps hold, ascending, in microseconds since 1970; none in a table without time
    n * step   one bit a column that is null; then each column: numbers, booleans, dates, times and instants as Arrow keeps
               them, decimals as 16 bytes, texts and binaries as offset and length (I I) into
    bytes      what the texts and binaries of all steps hold

Nothing is unpickled, and which columns there are stands in the manifest. A float64 comes back bit by bit.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, StoreError

_HEAD, _TIMED_HEAD = struct.Struct("<2sBBI"), struct.Struct("<2sBBIq")
_MARK, _FORMAT = b"HF", 1
_EPOCH, _FIRST = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
_CODES = {
    "double": "d",
    "float": "f",
    "bool": "?",
    **{f"int{bits}": code for bits, code in zip((8, 16, 32, 64), "bhiq", strict=True)},
    **{f"uint{bits}": code for bits, code in zip((8, 16, 32, 64), "BHIQ", strict=True)},
}
_EXACT, _UNIT = Context(prec=38), {"s": 1_000_000, "ms": 1_000, "us": 1}


Found = tuple[bytes, int, int, int]
"""A step of a payload: the payload, where the step begins in it, where texts and binaries begin, and from which instant on
it holds (microseconds since 1970; 0 in a table without time)."""


class TooEarly(DataError):
    """An instant before the first step that was published, of an entity that had earlier ones."""


class Layout:
    """How the steps of a feature table lie in payloads. Raises DataError for a column of a type that has no place there."""

    def __init__(self, schema: pa.Schema, *, timed: bool) -> None:
        self.schema = schema
        self.timed = timed
        codes = [_code(column) for column in schema]
        self._nulls = (len(codes) + 7) // 8
        self._step = struct.Struct("<" + (f"{self._nulls}s" if codes else "") + "".join(codes))
        self._size, self._none = self._step.size, bytes(self._nulls)
        self._readers = [_reader(column.type) for column in schema]
        self._is_text = [_is_varied(column.type) for column in schema]
        self._plain = not any(self._is_text) and not any(self._readers)

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        """The same as a row of numpy."""
        columns: list[Any] = [("nulls", "u1", (self._nulls,))]
        for number, column in enumerate(self.schema):
            if _is_varied(column.type):
                columns += [(f"{number}", "<u4"), (f"length{number}", "<u4")]
            elif pa.types.is_decimal128(column.type):
                columns.append((f"{number}", "V16"))
            else:
                code = _code(column)
                columns.append((f"{number}", np.dtype("u1" if code == "?" else f"<{code}")))
        return np.dtype(columns)

    def find(self, payload: bytes | None, instant: int) -> Found | None:
        """Return the step that holds at an instant (microseconds since 1970), or None where none does; raises TooEarly."""
        if payload is None:
            return None
        size = self._size
        if not self.timed:
            mark, form, dropped, count = _HEAD.unpack_from(payload)
            _refuse_other_form(mark, form)
            return payload, _HEAD.size, _HEAD.size + count * size, 0
        mark, form, dropped, count, first = _TIMED_HEAD.unpack_from(payload)
        if mark != _MARK or form != _FORMAT:
            _refuse_other_form(mark, form)
        steps = 8 + 8 * count
        if count == 1:
            place, since = (0, first) if first <= instant else (-1, first)
        else:
            times = memoryview(payload)[8:steps].cast("q")
            place = bisect_right(times, instant) - 1
            since = times[place]
        if place >= 0:
            return payload, steps + place * size, steps + count * size, since
        if dropped:
            raise TooEarly(
                f"what held at {_EPOCH + timedelta(microseconds=instant):%Y-%m-%dT%H:%M:%SZ} is no longer published: "
                f"the first step is of {_EPOCH + timedelta(microseconds=first):%Y-%m-%dT%H:%M:%SZ}. Raise `serve.online.back`."
            )
        return None

    def find_all(self, payloads: Sequence[bytes | None], instants: Sequence[int]) -> list[Found | None]:
        """Return the steps that hold in many payloads, each at its own instant; raises TooEarly."""
        if not self.timed:
            return [self.find(payload, 0) for payload in payloads]
        found: list[Found | None] = []
        unpack, heap = _TIMED_HEAD.unpack_from, _TIMED_HEAD.size + self._size
        for payload, instant in zip(payloads, instants, strict=True):
            if payload is None:
                found.append(None)
                continue
            _, form, _, count, since = unpack(payload)
            if count == 1 and since <= instant and form == _FORMAT:
                found.append((payload, _TIMED_HEAD.size, heap, since))
            else:
                found.append(self.find(payload, instant))
        return found

    def values(self, found: Found) -> list[Any]:
        """Return the values of one step, in the order of the columns."""
        payload, at, heap, _ = found
        nulls, *raw = self._step.unpack_from(payload, at) if self._nulls else (b"",)
        if self._plain:
            if nulls == self._none:
                return raw
            empty = int.from_bytes(nulls, "little")
            return [None if empty >> number & 1 else value for number, value in enumerate(raw)]
        return list(self._read(payload, heap, raw, int.from_bytes(nulls, "little")))

    def columns(self, found: Sequence[Found | None]) -> list[pa.Array]:
        """Return the values of many steps as one Arrow array a column; None is a row of nulls."""
        size = self._step.size
        missing = b"\xff" * self._nulls + bytes(size - self._nulls)
        data = b"".join([missing if f is None else f[0][f[1] : f[1] + size] for f in found])
        rows = np.frombuffer(data, self._dtype)
        return [self._column(number, column.type, rows, found) for number, column in enumerate(self.schema)]

    def pack(
        self, rows: pa.Table, times: pa.ChunkedArray | None, starts: Sequence[int], dropped: Sequence[bool]
    ) -> Iterator[bytes]:
        """Yield a payload for each entity: its rows begin at `starts[i]` and end at `starts[i + 1]`, by time.

        `rows` have the layout's columns, `times` are instants in microseconds; `dropped` says for each entity whether
        earlier steps were left out.
        """
        records, heaps = self._records(rows, starts)
        steps, size = records.tobytes(), self._step.size
        moments = _int64(times).tobytes() if times is not None else b""
        for number, left_out in enumerate(dropped):
            first, end = starts[number], starts[number + 1]
            parts = [_HEAD.pack(_MARK, _FORMAT, left_out, end - first)]
            parts.append(moments[8 * first : 8 * end])
            parts.append(steps[size * first : size * end])
            parts += [bytes(data[offsets[first] : offsets[end]]) for offsets, data in heaps]
            yield b"".join(parts)

    def _read(self, payload: bytes, heap: int, raw: Sequence[Any], empty: int) -> Iterator[Any]:
        at = 0
        for number, reader in enumerate(self._readers):
            value = raw[at]
            if self._is_text[number]:
                start = heap + value
                value = payload[start : start + raw[at + 1]]
                at += 1
            at += 1
            if empty >> number & 1:
                yield None
            else:
                yield reader(value) if reader else value

    def _column(self, number: int, kind: pa.DataType, rows: Any, found: Sequence[Found | None]) -> pa.Array:
        empty = (rows["nulls"][:, number // 8] >> number % 8 & 1).astype(bool)
        cells = rows[f"{number}"]
        if _is_varied(kind):
            lengths = rows[f"length{number}"].tolist()
            texts = [
                None if none or f is None else f[0][f[2] + start : f[2] + start + length]
                for f, none, start, length in zip(found, empty.tolist(), cells.tolist(), lengths, strict=True)
            ]
            return pa.array(texts, pa.large_binary()).cast(kind)
        if pa.types.is_decimal128(kind):
            valid = pa.array(~empty).buffers()[1]
            return pa.Array.from_buffers(kind, len(rows), [valid, pa.py_buffer(cells.tobytes())])
        if pa.types.is_boolean(kind):
            return pa.array(cells.astype(bool), mask=empty)
        plain = pa.array(np.ascontiguousarray(cells), mask=empty if empty.any() else None)
        return plain if plain.type == kind else plain.cast(_storage(kind)).view(kind)

    def _records(self, rows: pa.Table, starts: Sequence[int]) -> tuple[Any, list[tuple[Any, memoryview]]]:
        """Return the rows as records, and for each column of texts its offsets and bytes."""
        records = np.zeros(rows.num_rows, self._dtype)
        ends = np.asarray(starts)
        counts = np.diff(ends)
        before, heaps = np.zeros(rows.num_rows, np.int64), []
        for number, column in enumerate(self.schema):
            cells = rows[column.name].combine_chunks()
            cells = cells.chunk(0) if isinstance(cells, pa.ChunkedArray) else cells
            records["nulls"][:, number // 8] |= (
                cells.is_null().to_numpy(zero_copy_only=False).astype("u1") << number % 8
            )
            if _is_varied(column.type):
                offsets, data = _heap(cells)
                first = np.repeat(offsets[ends[:-1]], counts)
                records[f"{number}"] = offsets[:-1] - first + before
                records[f"length{number}"] = np.diff(offsets)
                before += np.repeat(offsets[ends[1:]] - offsets[ends[:-1]], counts)
                heaps.append((offsets, data))
            else:
                records[f"{number}"] = _raw(cells)
        return records, heaps


def _refuse_other_form(mark: bytes, form: int) -> None:
    if mark != _MARK or form != _FORMAT:
        raise StoreError("An online payload is of another format: publish the features anew (headrace/force).")


def _code(column: pa.Field) -> str:
    kind = column.type
    if str(kind) in _CODES:
        return _CODES[str(kind)]
    if _is_varied(kind):
        return "II"
    if pa.types.is_date32(kind):
        return "i"
    if pa.types.is_decimal128(kind):
        return "16s"
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time64(kind):
        return "q"
    raise DataError(
        f"Column '{column.name}' is {kind}, which cannot be served online: make numbers, booleans, texts or times of it."
    )


def _is_varied(kind: pa.DataType) -> bool:
    """Return whether values have lengths of their own."""
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(texts or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _reader(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """Return what makes a value of what lies in a payload, as Arrow's own `as_py` does; None where it is one already."""
    start = _EPOCH if getattr(kind, "tz", None) else _EPOCH.replace(tzinfo=None)
    readers: list[tuple[Callable[[pa.DataType], bool], Callable[[Any], Any]]] = [
        (pa.types.is_string, bytes.decode),
        (pa.types.is_large_string, bytes.decode),
        (pa.types.is_date32, lambda days: _FIRST + timedelta(days=days)),
        (pa.types.is_decimal128, lambda data: _decimal(data, kind.scale)),
        (pa.types.is_duration, lambda count: _span(count, kind.unit)),
        (pa.types.is_time64, lambda count: (start + _span(count, kind.unit)).time()),
        (pa.types.is_timestamp, lambda count: start + _span(count, kind.unit)),
    ]
    return next((read for holds, read in readers if holds(kind)), None)


def _span(count: int, unit: str) -> timedelta:
    return timedelta(microseconds=count // 1000 if unit == "ns" else count * _UNIT[unit])


def _decimal(data: bytes, scale: int) -> Decimal:
    return Decimal(int.from_bytes(data, "little", signed=True)).scaleb(-scale, _EXACT)


def _storage(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(kind) else pa.int64()


def _raw(cells: pa.Array) -> Any:
    """Return the cells as numpy keeps them in a record; null cells hold anything."""
    kind = cells.type
    if pa.types.is_decimal128(kind):
        return np.frombuffer(cells.buffers()[1], "V16", len(cells), cells.offset * cells.type.byte_width)
    if pa.types.is_boolean(kind):
        return cells.fill_null(False).to_numpy(zero_copy_only=False).astype("u1")
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        cells = cells.view(_storage(kind))
    return cells.fill_null(pa.scalar(0, cells.type)).to_numpy(zero_copy_only=False)


def _heap(cells: pa.Array) -> tuple[Any, memoryview]:
    """Return the offsets of texts or binaries, one more than there are cells, and their bytes."""
    wide = cells.cast(pa.large_binary())
    _, offsets, data = wide.buffers()
    starts = np.frombuffer(offsets, "<i8", len(wide) + 1, wide.offset * 8)
    return starts, memoryview(data if data is not None else b"").cast("B")


def _int64(times: pa.ChunkedArray) -> Any:
    return pc.cast(times, pa.int64()).to_numpy()


def microseconds(moment: datetime) -> int:
    """Return an instant as payloads have it; raises DataError for one without a time zone."""
    if moment.tzinfo is None:
        raise DataError(f"The instant {moment.isoformat()} has no time zone: say one, such as {moment.isoformat()}Z.")
    return (moment - _EPOCH) // timedelta(microseconds=1)
