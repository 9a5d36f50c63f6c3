"""Content digests: what rows say, whatever order or files they come in."""

from hashlib import sha256

import polars as pl
import pyarrow as pa


def rows_digest(rows: pa.Table) -> str:
    """Return a digest of the rows as a multiset: equal rows in any order give an equal digest."""
    if not rows.num_columns:
        return bytes_digest(b"")
    frame = pl.DataFrame(rows.select(sorted(rows.column_names)))
    schema = ",".join(f"{name}:{dtype}" for name, dtype in frame.schema.items())
    hashes = frame.hash_rows(seed=0).sort()
    return sha256(schema.encode() + hashes.to_numpy().tobytes()).hexdigest()


def bytes_digest(data: bytes) -> str:
    """Return the SHA-256 of the bytes, in hex."""
    return sha256(data).hexdigest()
