"""The log of served requests: a request hands over what it saw and goes on; a thread of its own writes.

Lines of JSON in segments, `<name>.open` while they are written, `<name>.jsonl` from then on. What a full buffer cannot take is counted,
and the count is written as soon as something can be.
"""

import json
import math
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, TextIO

from headrace.core.processes import is_gone
from headrace.online.payload import microseconds
from headrace.store.publish import make_folder

ROOM = 10_000
"""How many requests wait to be written at most."""
SEGMENT = 10_000
"""After how many lines a new segment begins."""
REST_SECONDS = 60.0
"""How old a segment may become before it is closed."""
OPEN, CLOSED = ".open", ".jsonl"


@dataclass(frozen=True)
class Line:
    """A request as it was served."""

    instant: datetime
    """As of when it was looked up."""
    request: Mapping[str, Any]
    """Its columns, its own time among them if it said one."""
    kinds: Mapping[str, str]
    """The types that these columns had in the published version."""
    features: Mapping[str, Any]
    types: Mapping[str, str]
    version: int
    tables: Mapping[str, int]
    """The versions of the tables that the published version was made of."""
    sql: Mapping[str, str]
    """A digest of each SQL on the request."""


class RequestLog:
    """Samples requests and writes them; opened once a process, for any number of threads."""

    def __init__(self, folder: Path, *, room: int = ROOM, chance: random.Random | None = None) -> None:
        self._folder = folder
        self._chance = chance or random.Random()  # noqa: S311  a sample, no secret
        self._queue: Queue[Line | None] = Queue(room)
        self._dropped, self._told = 0, 0
        self._count = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="headrace-requests", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many requests a full buffer has not taken."""
        return self._dropped

    def draws(self, share: float) -> bool:
        """Return whether a request is to be logged."""
        return share > 0 and self._chance.random() < share

    def offer(self, line: Line) -> None:
        """Hand over a request; never waits, and counts what it drops."""
        try:
            self._queue.put_nowait(line)
        except Full:
            with self._count:
                self._dropped += 1

    def close(self) -> None:
        """Write all that waits, and close the segment."""
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        over = False
        while not over:
            first = self._queue.get()
            over = first is None
            if first is not None or self._dropped != self._told:
                over = self._segment(first)

    def _segment(self, first: Line | None) -> bool:
        """Write one segment, and return whether the log was closed meanwhile."""
        make_folder(self._folder)
        path = self._folder / f"{os.getpid()}-{time.time_ns()}{OPEN}"
        line, began, lines = first, time.monotonic(), 0
        with path.open("w") as file:
            while True:
                if line is not None:
                    file.write(json.dumps(_facts(line)) + "\n")
                    lines += 1
                self._tell_dropped(file)
                left = REST_SECONDS - (time.monotonic() - began)
                if line is None or lines >= SEGMENT or left <= 0:
                    break
                if self._queue.empty():
                    file.flush()
                try:
                    line = self._queue.get(timeout=left)
                except Empty:
                    break
        path.rename(path.with_suffix(CLOSED))
        return line is None

    def _tell_dropped(self, file: TextIO) -> None:
        with self._count:
            new, self._told = self._dropped - self._told, self._dropped
        if new:
            file.write(json.dumps({"dropped": new}) + "\n")


def segments(folder: Path, closed: str = CLOSED) -> Iterator[Path]:
    """Yield the segments that nobody writes to any more: closed ones, by that suffix, and those of processes that are gone."""
    for path in sorted(folder.glob("*")):
        pid, _, began = path.stem.partition("-")
        if path.suffix == closed or (
            path.suffix == OPEN
            and is_gone(int(pid), datetime.fromtimestamp(int(began) / 1e9, UTC))
            # A process that ended well since the folder was looked at has closed it under another name.
            and path.exists()
        ):
            yield path


def plain(value: Any) -> Any:
    """Return a value as JSON has it, so that two values of one type are equal where their JSON is."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, datetime | date | clock):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, Decimal):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def _facts(line: Line) -> dict[str, Any]:
    return {
        "instant": microseconds(line.instant),
        "request": {name: plain(value) for name, value in line.request.items()},
        "kinds": dict(line.kinds),
        "features": {name: plain(value) for name, value in line.features.items()},
        "types": dict(line.types),
        "version": line.version,
        "tables": dict(line.tables),
        "sql": dict(line.sql),
    }
