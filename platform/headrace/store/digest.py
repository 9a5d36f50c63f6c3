"""Content digests: what rows say, whatever order or files they come in."""

from hashlib import sha256

import polars as pl
import pyarrow as pa

from headrace.core.recipe import ALL
from headrace.store.checksum import bytes_digest
from headrace.store.layout import DAY
from headrace.store.spill import BATCH


def rows_digest(rows: pa.Table | pa.RecordBatchReader) -> str:
    """Return a digest of the rows as a multiset: equal rows in any order give an equal digest."""
    if not rows.schema.names:
        return bytes_digest(b"")
    names = sorted(rows.schema.names)
    none = pl.DataFrame(rows.schema.empty_table().select(names))
    batches = rows.to_batches(BATCH) if isinstance(rows, pa.Table) else rows
    hashes = [none.hash_rows(seed=0), *(pl.DataFrame(batch.select(names)).hash_rows(seed=0) for batch in batches)]
    return sha256(",".join(_columns(none)).encode() + pl.concat(hashes).sort().to_numpy().tobytes()).hexdigest()


def contents_of(rows: pa.RecordBatchReader) -> dict[str, str]:
    """Return a digest of the rows of each day, as a multiset; of all rows as `ALL` where they do not lie in days.

    Of the rows that have been read no more than a number each is held.
    """
    if DAY not in rows.schema.names:
        return {ALL: rows_digest(rows.read_all())}
    names = sorted(rows.schema.names)
    none = pl.DataFrame(rows.schema.empty_table().select(names))
    frames = (pl.DataFrame(batch.select(names)) for batch in rows if batch.num_rows)
    counted = [pl.DataFrame({"day": frame[DAY], "hash": frame.hash_rows(seed=0)}) for frame in frames]
    hashes = pl.concat(counted).sort("day", "hash") if counted else pl.DataFrame({"day": [], "hash": []})
    schema = ",".join(_columns(none)).encode()
    return {
        str(day): sha256(schema + part["hash"].to_numpy().tobytes()).hexdigest()[:16]
        for (day,), part in hashes.group_by("day", maintain_order=True)
    }


def _columns(frame: pl.DataFrame) -> list[str]:
    return [f"{name}:{kind}" for name, kind in frame.schema.items()]
