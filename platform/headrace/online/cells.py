"""Cells of a payload: how a value of each Arrow type lies there, and how it comes back."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError

EPOCH, _FIRST = datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)
_CODES = {
    "double": "d",
    "float": "f",
    "bool": "?",
    **{f"int{bits}": code for bits, code in zip((8, 16, 32, 64), "bhiq", strict=True)},
    **{f"uint{bits}": code for bits, code in zip((8, 16, 32, 64), "BHIQ", strict=True)},
}
_EXACT, _UNIT = Context(prec=38), {"s": 1_000_000, "ms": 1_000, "us": 1}


def code(column: pa.Field) -> str:
    """Return how `struct` writes a cell of a column; raises DataError where no payload has a place for it."""
    kind = column.type
    if str(kind) in _CODES:
        return _CODES[str(kind)]
    if is_varied(kind):
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


def is_number(kind: pa.DataType) -> bool:
    """Return whether values lie as numpy has them."""
    return str(kind) in _CODES and not pa.types.is_boolean(kind)


def is_varied(kind: pa.DataType) -> bool:
    """Return whether values have lengths of their own."""
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(texts or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def reader(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """Return what makes a value of what lies in a payload, as Arrow's own `as_py` does; None where it is one already."""
    start = EPOCH if getattr(kind, "tz", None) else EPOCH.replace(tzinfo=None)
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


def arrow_column(cells: Any, kind: pa.DataType, empty: Any) -> pa.Array:
    """Return cells as they lie in payloads (numpy) as an Arrow array; `empty` says which ones are null, if any is."""
    if pa.types.is_decimal128(kind):
        valid = None if empty is None else pa.array(~empty).buffers()[1]
        return pa.Array.from_buffers(kind, len(cells), [valid, pa.py_buffer(cells.tobytes())])
    if pa.types.is_boolean(kind):
        return pa.array(cells.astype(bool), mask=empty)
    plain = pa.array(aligned(cells), mask=empty)
    return plain if plain.type == kind else plain.cast(_storage(kind)).view(kind)


def aligned(cells: Any) -> Any:
    """Return numbers side by side and where processors read them, as Arrow wants them: those of one payload lie anywhere in its bytes."""
    return np.require(cells, requirements=["C", "A"])


def raw(cells: pa.Array) -> Any:
    """Return the cells as numpy keeps them in a record; null cells hold anything."""
    kind = cells.type
    if pa.types.is_decimal128(kind):
        return np.frombuffer(cells.buffers()[1], "V16", len(cells), cells.offset * cells.type.byte_width)
    if pa.types.is_boolean(kind):
        return cells.fill_null(False).to_numpy(zero_copy_only=False).astype("u1")
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        cells = cells.view(_storage(kind))
    return cells.fill_null(pa.scalar(0, cells.type)).to_numpy(zero_copy_only=False)


def heap(cells: pa.Array) -> tuple[Any, memoryview]:
    """Return the offsets of texts or binaries, one more than there are cells, and their bytes."""
    wide = cells.cast(pa.large_binary())
    _, offsets, data = wide.buffers()
    starts = np.frombuffer(offsets, "<i8", len(wide) + 1, wide.offset * 8)
    return starts, memoryview(data if data is not None else b"").cast("B")


def _span(count: int, unit: str) -> timedelta:
    return timedelta(microseconds=count // 1000 if unit == "ns" else count * _UNIT[unit])


def _decimal(data: bytes, scale: int) -> Decimal:
    return Decimal(int.from_bytes(data, "little", signed=True)).scaleb(-scale, _EXACT)


def _storage(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(kind) else pa.int64()
