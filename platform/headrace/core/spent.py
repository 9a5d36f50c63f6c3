"""What a step has spent since it began: time, processor time of its process and of those that it started, and bytes."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

_IO = Path("/proc/self/io")


@dataclass(frozen=True)
class Spent:
    """Seconds on the wall and of processors, and the bytes that were read and written."""

    seconds: float
    cpu_seconds: float
    bytes: int | None
    """What the process asked its system to read and to write, from and to caches, too; None where the system does not say."""

    def __sub__(self, before: "Spent") -> "Spent":
        """Return what was spent in between."""
        known = self.bytes is not None and before.bytes is not None
        size = (self.bytes or 0) - (before.bytes or 0) if known else None
        return Spent(self.seconds - before.seconds, self.cpu_seconds - before.cpu_seconds, size)


_began: ContextVar[Spent | None] = ContextVar("headrace_began", default=None)


@contextmanager
def spending() -> Iterator[None]:
    """Let what is spent be counted from here on."""
    before = _began.get()
    _began.set(_now())
    try:
        yield
    finally:
        # No token: a generator may be closed in another context than the one that it was started in.
        _began.set(before)


def spent() -> Spent | None:
    """Return what the step at work has spent so far; None outside of any."""
    began = _began.get()
    return _now() - began if began else None


def _now() -> Spent:
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    return Spent(time.perf_counter(), cpu, _bytes())


def _bytes() -> int | None:
    if not _IO.exists():
        return None
    counted = dict(line.split(": ") for line in _IO.read_text().splitlines())
    return int(counted["rchar"]) + int(counted["wchar"])
