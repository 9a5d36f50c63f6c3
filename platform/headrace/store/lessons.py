"""Lessons: the rows that workers of a cluster learn from, a Delta table with a partition for each, as long as they learn."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from headrace.core.errors import StoreError
from headrace.core.failpoints import failpoint
from headrace.store.room import room_at

WORKER, ROW = "_worker", "_row"
"""Which worker a row is for, and at which place it stands among all."""


@contextmanager
def lying(folder: Path, rows: pa.Table, workers: pa.Array) -> Iterator[Path]:
    """Yield the table that rows lie in meanwhile, each in the partition of its worker; it is removed in any case.

    Its name ends with this process: what a killed one has left is found by it.
    """
    path = folder / f"{uuid4().hex}.{os.getpid()}"
    placed = rows.append_column(ROW, pa.array(np.arange(rows.num_rows))).append_column(WORKER, workers)
    path.mkdir(parents=True)
    try:
        with room_at(folder, "the rows to learn from had no room", (OSError, DeltaError)):
            write_deltalake(str(path), placed, partition_by=[WORKER])
        failpoint("lesson_written")
        yield path
    finally:
        shutil.rmtree(path)


def share_of(lesson: Path, worker: int) -> pa.Table:
    """Return a worker's own rows, in the order in which they stood, and no other partition.

    Raises StoreError where the table is not there.
    """
    refuse_unseen(lesson)
    files = DeltaTable(str(lesson)).file_uris(file_pruning_predicate=[(WORKER, "=", str(worker))])
    rows = pa.concat_tables([pq.ParquetFile(file).read() for file in sorted(files)])
    return rows.sort_by(ROW).drop_columns([ROW])


def refuse_unseen(lesson: Path) -> None:
    """Raise StoreError where a lesson is not there: its folder is on storage that this node does not reach."""
    if not (lesson / "_delta_log").is_dir():
        raise StoreError(
            f"{lesson} is not there: all nodes of the cluster need the home folder, at the same path. Put it on storage that "
            "they share (HEADRACE_HOME)."
        )
