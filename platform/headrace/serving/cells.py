"""Cells: numbers that each worker process of a server counts in a file of its own, for whichever of them is asked to add up.

A file of float64 is mapped into memory, so that counting is a write to memory; a second file beside it says what the cells
are, a line of JSON each. Files of workers that have ended stay until the server ends: what they have counted still counts.
"""

import json
import logging
import mmap
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from headrace.core.processes import is_gone

CELLS = 8192
"""How many numbers a file has; when they are used up the process begins another file."""
_BYTES = 8
NAMES, COUNTS = ".names", ".cells"
log = logging.getLogger("headrace.serving")
Numbers: TypeAlias = "memoryview[float]"
"""Some float64 side by side, of which `numbers[place] += 1.0` adds without a moment at which Python takes another thread."""


class Series(NamedTuple):
    """What some numbers are: a family, and its labels."""

    family: str
    labels: tuple[str, ...]


class Cells:
    """The numbers of one process. Any number of threads may add to them."""

    def __init__(self, folder: Path | None = None) -> None:
        """Count in a folder that the workers of one server share; without one for this process alone."""
        self._folder = folder
        self._lock = threading.Lock()
        self._known: dict[Series, Numbers] = {}
        self._file = _File(folder)

    def numbers(self, family: str, labels: tuple[str, ...] = (), size: int = 1) -> Numbers:
        """Return the numbers of a series, all 0 when it is asked for first."""
        series = Series(family, labels)
        with self._lock:
            if series not in self._known:
                if not self._file.has_room(size):
                    self._file = _File(self._folder)
                self._known[series] = self._file.taken(series, size)
            return self._known[series]

    def totals(self, of_the_living: Collection[str] = ()) -> dict[Series, list[float]]:
        """Return the sums of all processes; of the families `of_the_living` those of the processes that have not ended."""
        if self._folder is None:
            with self._lock:
                return {series: list(numbers) for series, numbers in self._known.items()}
        return added_up(self._folder, of_the_living)


def added_up(folder: Path, of_the_living: Collection[str] = ()) -> dict[Series, list[float]]:
    """Return the sums of all files of a folder: see `Cells.totals`."""
    totals: dict[Series, list[float]] = {}
    for path in sorted(folder.glob(f"*{NAMES}")):
        pid, _, began = path.stem.partition("-")
        is_over = is_gone(int(pid), datetime.fromtimestamp(int(began) / 1e9, UTC))
        for series, numbers in _told(path):
            if is_over and series.family in of_the_living:
                continue
            before = totals.get(series)
            totals[series] = [a + b for a, b in zip(before, numbers, strict=True)] if before else numbers
    return totals


def _told(path: Path) -> Iterator[tuple[Series, list[float]]]:
    lines = path.read_bytes().split(b"\n")[:-1]
    counts = np.frombuffer(path.with_suffix(COUNTS).read_bytes())
    for line in lines:
        told: Mapping[str, object] = json.loads(line)
        start, size = int(str(told["at"])), int(str(told["size"]))
        labels = told["labels"]
        assert isinstance(labels, list)
        yield Series(str(told["family"]), tuple(labels)), counts[start : start + size].tolist()


class _File:
    """A file of numbers, and the one that names them; or memory alone, where there is no folder, or no room in it."""

    def __init__(self, folder: Path | None) -> None:
        self._used, self._names = 0, -1
        mapped = self._mapped(folder) if folder else mmap.mmap(-1, CELLS * _BYTES)
        self._numbers: Numbers = memoryview(mapped).cast("d")

    def has_room(self, size: int) -> bool:
        return self._used + size <= CELLS

    def taken(self, series: Series, size: int) -> Numbers:
        start = self._used
        self._used += size
        if self._names >= 0:
            line = {"family": series.family, "labels": series.labels, "at": start, "size": size}
            os.write(self._names, json.dumps(line).encode() + b"\n")
        return self._numbers[start : start + size]

    def _mapped(self, folder: Path) -> mmap.mmap:
        path = folder / f"{os.getpid()}-{time.time_ns()}{COUNTS}"
        try:
            # Zeros that are written have room on the disk: a page without any would end the process when it is counted in.
            path.write_bytes(bytes(CELLS * _BYTES))
        except OSError as error:
            log.error("What this process counts is missing in /metrics: %s", error)
            return mmap.mmap(-1, CELLS * _BYTES)
        with path.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), CELLS * _BYTES)
        self._names = os.open(path.with_suffix(NAMES), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return mapped
