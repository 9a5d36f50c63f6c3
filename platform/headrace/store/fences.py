"""Fencing tokens: whoever claimed days of a table last may commit them, an orphan of an older run may not.

After M. Kleppmann, "How to do distributed locking" (2016): the store itself refuses an old token.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from headrace.core.days import Days
from headrace.core.errors import FenceLost
from headrace.core.processes import is_gone
from headrace.store.publish import make_folder, publish

EVER = Days(date.min, date.max)


@dataclass(frozen=True)
class Fence:
    """The right to commit some days of a table (None: all), until somebody claims one of them anew."""

    scope: str
    token: int
    days: Days | None = None
    pid: int | None = None
    """The process that works under it; None once its rows are there."""
    at: str = ""
    """When it was claimed."""


class Fences:
    """A folder of claims, one file a table; the file lock of a dead process frees itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, scope: str, days: Days | None = None) -> Fence:
        """Return a fence that outdates all earlier ones that share a day with it."""
        with self._locked(scope) as path:
            claims = _read(path)
            token = max((claim.token for claim in claims), default=0) + 1
            fence = Fence(scope, token, days, os.getpid(), datetime.now(UTC).isoformat())
            _write(path, [*(claim for claim in claims if not _covers(fence, claim)), fence])
        return fence

    def settle(self, fence: Fence) -> None:
        """Say that nothing is left to do under a fence: its rows are there."""
        with self._locked(fence.scope) as path:
            claims = _read(path)
            settled = [replace(claim, pid=None) if claim.token == fence.token else claim for claim in claims]
            if settled != claims:
                _write(path, settled)

    def abandoned(self) -> Iterator[Fence]:
        """Yield the claims that were never settled and whose process is gone; they keep nobody out."""
        for path in sorted(self._folder.glob("*")):
            for claim in [] if path.suffix else _read(path):
                if claim.pid and is_gone(claim.pid, datetime.fromisoformat(claim.at)):
                    yield claim

    @contextmanager
    def holding(self, fence: Fence) -> Iterator[None]:
        """Keep others out while committing; raises FenceLost if the fence is outdated."""
        with self._locked(fence.scope) as path:
            later = [claim for claim in _read(path) if claim.token > fence.token and _overlap(claim, fence)]
            if later:
                raise FenceLost(
                    f"A later run has claimed '{fence.scope}' (token {later[-1].token}, this run holds {fence.token}): "
                    "this run's result was not written. Nothing is lost: the later run writes the days that it has "
                    "claimed. Run this again if it had others."
                )
            yield

    @contextmanager
    def alone(self, scope: str) -> Iterator[None]:
        """Keep all others out of a scope while working on it."""
        with self._locked(scope):
            yield

    @contextmanager
    def writing(self, table: str) -> Iterator[None]:
        """Say that files of a table are being written: whoever removes files waits; any number of writers work at once."""
        with self._latch(table) as latch:
            fcntl.flock(latch, fcntl.LOCK_SH)
            yield

    @contextmanager
    def quiet(self, table: str) -> Iterator[bool]:
        """Keep writers out of a table and yield True; where one is at work yield False at once."""
        with self._latch(table) as latch:
            try:
                fcntl.flock(latch, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    @contextmanager
    def _latch(self, table: str) -> Iterator[int]:
        """Yield an open file whose lock ends with it, and so with the process that holds it."""
        make_folder(self._folder)
        latch = os.open(self._folder / f"{_name(table)}.latch", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            yield latch
        finally:
            os.close(latch)

    @contextmanager
    def _locked(self, scope: str) -> Iterator[Path]:
        make_folder(self._folder)
        path = self._folder / _name(scope)
        with FileLock(path.with_suffix(".lock")):
            yield path


def _covers(fence: Fence, other: Fence) -> bool:
    mine, theirs = fence.days or EVER, other.days or EVER
    return mine.first <= theirs.first and theirs.last <= mine.last


def _overlap(one: Fence, other: Fence) -> bool:
    mine, theirs = one.days or EVER, other.days or EVER
    return mine.first <= theirs.last and theirs.first <= mine.last


def _read(path: Path) -> list[Fence]:
    claims = json.loads(path.read_text()) if path.exists() else []
    return [Fence(**{**c, "days": Days(*map(date.fromisoformat, c["days"])) if c["days"] else None}) for c in claims]


def _write(path: Path, claims: list[Fence]) -> None:
    facts = [{**vars(c), "days": [str(c.days.first), str(c.days.last)] if c.days else None} for c in claims]
    publish(path, json.dumps(facts).encode(), f"'{claims[-1].scope}' was not claimed")


def _name(scope: str) -> str:
    return sha256(scope.encode()).hexdigest()[:32]
