"""Parquet, read with its own types, in those that every engine here knows."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from headrace.core.arrow import NO_CAST
from headrace.core.errors import FileRefused
from headrace.sources.declaration import Limits
from headrace.sources.delimited import checked_names
from headrace.sources.parsed import Parsed
from headrace.sources.unpack import refuse_larger

_BATCH = 8_192
_PLAIN = (
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_date, pa.date32()),
    *((is_text, pa.string()) for is_text in (pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)),
    *((has_no_zone, pa.string()) for has_no_zone in (pa.types.is_time, pa.types.is_duration)),
)


def read_parquet(name: str, data: bytes, limits: Limits) -> Parsed:
    """Return the rows of Parquet bytes; raises FileRefused where they are none, or many more than their size says.

    Integers become 64 bit, stamps microseconds in UTC, maps lists of pairs; stamps without a zone, times of day and
    durations become text: what a stamp without a zone means, the product's zone says later, as it does for CSV.
    """
    try:
        file = parquet.ParquetFile(pa.BufferReader(data), read_dictionary=_texts(data))
        names = checked_names(name, file.schema_arrow.names)
        _refuse_claims(name, file, len(data), limits)
        batches = list(_batches(name, file, len(data), limits))
    except (*NO_CAST, OSError) as error:
        raise FileRefused(f"{name} cannot be read as Parquet: {error}. Land it again.") from None
    rows = pa.Table.from_batches(batches, file.schema_arrow) if batches else file.schema_arrow.empty_table()
    plain = pa.table({column: _plain(name, column, rows[column]) for column in names if column})
    return Parsed(plain, pa.array(range(1, rows.num_rows + 1), pa.int64()))


def _texts(data: bytes) -> list[str]:
    """Return the text columns: they are read as dictionaries, so that a value that repeats is held once."""
    schema = parquet.read_schema(pa.BufferReader(data))
    return [column.name for column in schema if column.type in (pa.string(), pa.binary())]


def _refuse_claims(name: str, file: parquet.ParquetFile, packed: int, limits: Limits) -> None:
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    refuse_larger(name, sum(group.total_byte_size for group in groups), packed, limits)


def _batches(name: str, file: parquet.ParquetFile, packed: int, limits: Limits) -> Iterator[pa.RecordBatch]:
    size = 0
    for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
        size += sum(_full_size(column) for column in batch.columns)
        refuse_larger(name, size, packed, limits)
        yield batch


def _full_size(column: pa.Array) -> int:
    """Return the bytes that a column takes when values that repeat are written out."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths).as_py() or 0) + 4 * len(column)


def _plain(name: str, column: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = _plain_type(values.type)
    if kind == values.type:
        return values
    try:
        return values.cast(kind, safe=not pa.types.is_timestamp(kind))
    except NO_CAST as error:
        raise FileRefused(
            f"{name}: column '{column}' is {values.type}, which does not fit {kind}: {error}. Write it as another type."
        ) from None


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which a column is kept."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC") if kind.tz else pa.string()
    if pa.types.is_map(kind):
        return pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
    return next((plain for is_kind, plain in _PLAIN if is_kind(kind)), kind)
