"""How rows are written: one Delta commit, whose own version comes back."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, WriterProperties, write_deltalake

from headrace.store.layout import fitted, month_of, with_month, without_month
from headrace.store.snapshot import Snapshot, snapshot_of

KEEP_LOG = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
"""Delta's own habit is to forget log entries after 30 days, and with them versions that a model was trained on."""

PIECES = WriterProperties(compression="SNAPPY", max_row_group_size=122_880)
"""Rows are handed to the disk, and read again, so many at once: a writer holds those of each month until it has as many."""


def create(folder: Path, rows: pa.Table, properties: CommitProperties) -> Snapshot:
    """Write the first version of the table in `folder`; raises DeltaError if another process was first."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = with_month(rows)
    write_deltalake(
        str(folder),
        rows,
        mode="error",
        partition_by=month_of(rows),
        commit_properties=properties,
        post_commithook_properties=KEEP_LOG,
        writer_properties=PIECES,
    )
    return snapshot_of(DeltaTable(str(folder), version=0))


def write_onto(table: DeltaTable, rows: pa.Table, predicate: str | None, properties: CommitProperties) -> Snapshot:
    """Write onto one version: all rows change (None), those of a predicate do, or none (""); return what is there then."""
    kind: dict[str, Any] = {
        "mode": "append" if predicate == "" else "overwrite",
        "commit_properties": properties,
        "post_commithook_properties": KEEP_LOG,
        "writer_properties": PIECES,
    }
    if predicate is None:
        kind["schema_mode"] = "overwrite"
    elif predicate:
        kind["predicate"] = predicate
    else:
        kind["schema_mode"] = "merge"
    if predicate is not None:
        rows = fitted(rows, without_month(columns_of(table)), table.table_uri)
    rows = with_month(rows)
    write_deltalake(table, rows, partition_by=month_of(rows), **kind)
    # The table knows the version that it has written; whoever wrote next is not in it.
    return snapshot_of(table)


def columns_of(table: DeltaTable) -> pa.Schema:
    """Return all columns of a table, the physical month among them."""
    return pa.schema(table.schema().to_arrow())
