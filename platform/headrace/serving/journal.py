"""The journal of predictions: a request hands over what it was answered and goes on; a thread of its own writes.

Whoever hands over the last of a batch makes it a record batch of Arrow, in a fraction of a millisecond: a thread beside those that answer
would take the interpreter from them again and again. Batches lie in segments, `<name>.open` while they are written,
`<name>.arrows` from then on: `gather.py` takes them into the table. What is not written yet when a process is killed is one
batch at most; what a full buffer cannot take is counted.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from headrace.core.attempt import Attempt
from headrace.core.hashed import hidden
from headrace.core.place import Place
from headrace.online import log
from headrace.store.publish import make_folder

ROOM = 100_000
"""How many predictions wait to be written at most."""
BATCH = 128
"""How many are written at once, unless they have waited long enough: few, so that nobody waits long for who makes the batch."""
WAIT_SECONDS = 0.25
"""How long a prediction waits to be written."""
REST_SECONDS = 5.0
"""How old a segment may become before it is closed."""
CLOSED = ".arrows"
_log = logging.getLogger("headrace.serving")
_INSTANT = pa.timestamp("us", "UTC")
FIXED = pa.schema(
    [
        ("_day", pa.date32()),
        ("request", pa.string()),
        ("row", pa.int32()),
        ("at", pa.timestamp("us", "UTC")),
        ("received", pa.timestamp("us", "UTC")),
        ("entity", pa.string()),
        ("release", pa.int64()),
        ("model", pa.string()),
        ("role", pa.string()),
        ("features_version", pa.int64()),
        ("status", pa.int32()),
        ("degraded", pa.bool_()),
        ("score", pa.float64()),
        ("milliseconds", pa.float64()),
        ("key", pa.string()),
        ("worker", pa.string()),
        ("dropped", pa.int64()),
    ]
)
"""What is kept of each prediction; the columns of the request and the features that it was served stand beside it."""
_FIXED_TYPES = dict(zip(FIXED.names, FIXED.types, strict=True))
"""A schema makes its names and types anew each time that it is asked for them."""


class Entry(NamedTuple):
    """One predicted row, as it was answered."""

    request: str
    row: int
    at: datetime
    """As of when its features were looked up."""
    received: float
    """Seconds since 1970."""
    entity: Any
    release: int
    model: str
    role: str
    """live, canary or shadow."""
    features_version: int
    status: int
    degraded: bool
    score: float | None
    milliseconds: float
    key: str
    values: Mapping[str, Any]
    """The columns of the request, and the features that it was served."""
    types: pa.Schema
    """Theirs."""


class Journal:
    """Writes predictions; opened once a process, for any number of threads."""

    def __init__(self, folder: Path, *, hashed: Sequence[str] = (), entity: str = "", secret: bytes = b"") -> None:
        """Write below a folder; the values of `hashed` columns are written as keyed hashes (HMAC-SHA256) alone."""
        self._folder, self._hashed, self._secret = folder, tuple(hashed), secret
        self._hides_entity = entity in self._hashed
        self._waiting: deque[Entry] = deque()
        self._made: deque[tuple[pa.RecordBatch, int]] = deque()
        """Batches, and how many dropped predictions each tells of."""
        self._making = threading.Lock()
        self._dropped, self.lost = 0, 0
        """How many found no room: since the last batch, and ever."""
        self._worker = f"{os.getpid()}"
        self._wake, self._over = threading.Event(), threading.Event()
        self._segment: _Segment | None = None
        self._form: _Form | None = None
        self._thread = threading.Thread(target=self._write, name="headrace-predictions", daemon=True)
        self._thread.start()

    def take(self, entry: Entry) -> None:
        """Let a prediction be written; one that finds no room is counted."""
        if self.waiting >= ROOM:
            self._dropped += 1
            self.lost += 1
            return
        self._waiting.append(entry)
        if len(self._waiting) >= BATCH:
            self._make(wait=False)
            self._wake.set()

    @property
    def waiting(self) -> int:
        """About how many predictions wait to be written."""
        return len(self._waiting) + BATCH * len(self._made)

    def close(self) -> None:
        """Write all that waits, and close the segment."""
        self._over.set()
        self._wake.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._over.is_set():
            self._wake.wait(WAIT_SECONDS)
            self._wake.clear()
            self._flush()
        self._flush()
        self._close_segment()

    def _flush(self) -> None:
        self._make(wait=True)
        while self._made:
            self._keep(*self._made[0])
            self._made.popleft()
        if self._segment and self._segment.age > REST_SECONDS:
            self._close_segment()

    def _make(self, *, wait: bool) -> None:
        """Make batches of what waits; where somebody does already, do nothing, or wait for it."""
        if not self._making.acquire(blocking=wait):
            return
        try:
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            start = 0
            while start < len(taken):
                types = taken[start].types
                most = min(start + BATCH, len(taken))
                end = next((n for n in range(start, most) if taken[n].types is not types), most)
                self._make_one(taken[start:end], types)
                start = end
        finally:
            self._making.release()

    def _make_one(self, entries: Sequence[Entry], types: pa.Schema) -> None:
        dropped, self._dropped = self._dropped, 0
        with Attempt() as attempt:
            self._made.append((self._batch(entries, types, dropped), dropped))
        if attempt.error:
            self._count_lost(len(entries), dropped, attempt.error)

    def _keep(self, batch: pa.RecordBatch, dropped: int) -> None:
        with Attempt() as attempt:
            self._append(batch)
        if attempt.error:
            # A full disk, say: those that come later are written as soon as they can be.
            self._count_lost(batch.num_rows, dropped, attempt.error)
            self._close_segment()

    def _count_lost(self, count: int, dropped: int, error: Exception) -> None:
        """Count predictions that could not be kept, and those that were to be written down as dropped with them."""
        _log.error("%d predictions could not be written", count, exc_info=error)
        self.lost += count
        self._dropped += count + dropped

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        with Attempt() as attempt:
            if segment:
                segment.close()
        if attempt.error:
            _log.error("A segment of predictions could not be closed", exc_info=attempt.error)

    def _append(self, batch: pa.RecordBatch) -> None:
        if self._segment and not self._segment.schema.equals(batch.schema):
            self._close_segment()
        if self._segment is None:
            self._segment = _Segment(self._folder, batch.schema)
        self._segment.write(batch)

    def _batch(self, entries: Sequence[Entry], types: pa.Schema, dropped: int) -> pa.RecordBatch:
        count, told = len(entries), dict(zip(Entry._fields, zip(*entries, strict=True), strict=True))
        received = pa.array((np.array(told["received"]) * 1e6).astype(np.int64)).cast(_INSTANT)
        entities = [None if entity is None else str(entity) for entity in told["entity"]]
        made = {
            "_day": received.cast(pa.date32()),
            "received": received,
            "entity": pa.array(map(self._hidden, entities) if self._hides_entity else entities, pa.string()),
            "worker": pa.repeat(self._worker, count),
            "dropped": pa.array([dropped, *[0] * (count - 1)], pa.int64()),
        }
        arrays = [made[name] if name in made else pa.array(told[name], kind) for name, kind in _FIXED_TYPES.items()]
        if self._form is None or self._form.types is not types:
            self._form = _Form(types, self._hashed)
        rows = told["values"]
        for name, kind in self._form.kinds.items():
            values = [row.get(name) for row in rows]
            arrays.append(pa.array(map(self._hidden, values) if name in self._hashed else values, kind))
        return pa.RecordBatch.from_arrays(arrays, schema=self._form.schema)

    def _hidden(self, value: Any) -> str | None:
        return None if value is None else hidden(value, self._secret)


class _Form:
    """How batches of some columns are written: made once, as it takes longer than the rows of a batch."""

    def __init__(self, types: pa.Schema, hashed: Sequence[str]) -> None:
        self.types = types
        told = zip(types.names, types.types, strict=True)
        self.kinds = {name: pa.string() if name in hashed else kind for name, kind in told}
        self.schema = pa.schema([*FIXED, *((column_name(name), kind) for name, kind in self.kinds.items())])


def column_name(name: str) -> str:
    """Return under which name a column of requests or features stands beside those that every prediction has."""
    return f"{name}_" if name in FIXED.names else name


class _Segment:
    """A file of record batches with one schema."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        make_folder(folder)
        self.schema = schema
        self._began = time.monotonic()
        self._path = folder / f"{os.getpid()}-{time.time_ns()}{log.OPEN}"
        self._file = self._path.open("wb")
        self._writer = pa.ipc.new_stream(self._file, schema)

    @property
    def age(self) -> float:
        return time.monotonic() - self._began

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self._file.flush()

    def close(self) -> None:
        self._writer.close()
        self._file.close()
        self._path.rename(self._path.with_suffix(CLOSED))


def journal_folder(place: Place, product: str) -> Path:
    """Return where the processes that serve a product write their predictions."""
    return place.predictions / product


def segments(folder: Path) -> Iterator[Path]:
    """Return the segments that nobody writes to any more: closed ones, and those of processes that are gone."""
    return log.segments(folder, CLOSED)


def rows_of(path: Path) -> pa.Table | None:
    """Return the rows of a segment; of one whose process was killed all whole batches, None where there is none."""
    with pa.OSFile(str(path)) as file:
        batches = list(_whole_batches(file))
        return pa.Table.from_batches(batches).combine_chunks() if batches else None


def _whole_batches(file: pa.OSFile) -> Iterator[pa.RecordBatch]:
    try:
        yield from pa.ipc.open_stream(file)
    except (pa.ArrowInvalid, OSError):
        # What was being written when its process was killed is no whole batch.
        return
