"""Rows that memory does not hold: they lie in a file that has no name, and are mapped into memory where they are looked at."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from headrace.store.room import room_at

GIB = 1024**3
BATCH = 250_000
"""How many rows are handed over at once."""
SHARE = 4
"""What part of the memory one set of rows may fill: there are those it is made of, and those that are made of it."""


@dataclass(frozen=True)
class Spill:
    """Where rows go that are more than a share of the memory."""

    folder: Path
    memory: int = 2 * GIB
    """In bytes."""

    @property
    def most(self) -> int:
        """How many bytes of rows stay in memory."""
        return self.memory // SHARE

    def concat(self, tables: Iterable[pa.Table]) -> pa.Table:
        """Return the rows of at least one table, all with the same columns, as `gather` does."""
        coming = iter(tables)
        first = next(coming)
        return self.gather(
            first.schema, (batch for table in chain([first], coming) for batch in table.to_batches(BATCH))
        )

    def gather(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """Return batches as one table, in their order: in memory, or on disk from the moment they are too many.

        The file is gone as soon as nobody holds the table, or the process ends, however it ends.
        """
        coming = iter(batches)
        held: list[pa.RecordBatch] = []
        size = 0
        for batch in coming:
            held.append(batch)
            size += batch.nbytes
            if size > self.most:
                break
        else:
            return pa.Table.from_batches(held, schema)
        self.folder.mkdir(parents=True, exist_ok=True)
        full = room_at(self.folder, "rows that memory does not hold had no room")
        with full, tempfile.NamedTemporaryFile(dir=self.folder) as file:
            with pa.OSFile(file.name, "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
                while held:
                    writer.write_batch(held.pop(0))
                for batch in coming:
                    writer.write_batch(batch)
            return pa.ipc.open_stream(pa.memory_map(file.name)).read_all()
