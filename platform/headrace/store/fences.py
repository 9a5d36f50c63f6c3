"""Fencing tokens: whoever claimed a table last may commit to it, an orphan of an older run may not.

After M. Kleppmann, "How to do distributed locking" (2016): the store itself refuses an old token.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from headrace.core.errors import FenceLost
from headrace.core.processes import is_gone
from headrace.store.conflicts import room_at


@dataclass(frozen=True)
class Fence:
    """The right to commit to a scope, until somebody claims it anew."""

    scope: str
    token: int


@dataclass(frozen=True)
class Claim:
    """What is written down of a scope's newest fence: whose it is until its rows are there."""

    scope: str
    token: int
    pid: int | None = None
    at: str = ""


class Fences:
    """A folder of token files, one a scope; the file lock of a dead process frees itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, scope: str) -> Fence:
        """Return a fence that outdates all earlier ones of the scope."""
        with self._locked(scope) as path:
            token = self._token(path) + 1
            self._write(path, Claim(scope, token, os.getpid(), datetime.now(UTC).isoformat()))
        return Fence(scope, token)

    def settle(self, fence: "Fence | Claim") -> None:
        """Say that nothing is left to do under a fence: its rows are there."""
        with self._locked(fence.scope) as path:
            if self._token(path) == fence.token:
                self._write(path, Claim(fence.scope, fence.token))

    def abandoned(self) -> Iterator[Claim]:
        """Yield the claims that were never settled and whose process is gone; they keep nobody out."""
        for path in sorted(self._folder.glob("*")):
            claim = _claim(path) if not path.suffix else None
            if claim and claim.pid and is_gone(claim.pid, datetime.fromisoformat(claim.at)):
                yield claim

    @contextmanager
    def holding(self, fence: Fence) -> Iterator[None]:
        """Keep others out while committing; raises FenceLost if the fence is outdated."""
        with self._locked(fence.scope) as path:
            current = self._token(path)
            if current != fence.token:
                raise FenceLost(
                    f"A later run has claimed '{fence.scope}' (token {current}, this run holds {fence.token}): "
                    "this run's result was not written. Nothing is lost; the later run writes it."
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
        self._folder.mkdir(parents=True, exist_ok=True)
        latch = os.open(self._folder / f"{_name(table)}.latch", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            yield latch
        finally:
            os.close(latch)

    @contextmanager
    def _locked(self, scope: str) -> Iterator[Path]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / _name(scope)
        with FileLock(path.with_suffix(".lock")):
            yield path

    @staticmethod
    def _write(path: Path, claim: Claim) -> None:
        staged = path.with_suffix(".new")
        with room_at(path.parent, f"'{claim.scope}' was not claimed"):
            staged.write_text(json.dumps(asdict(claim)))
        staged.replace(path)

    @staticmethod
    def _token(path: Path) -> int:
        return _claim(path).token if path.exists() else 0


def _claim(path: Path) -> Claim:
    facts = json.loads(path.read_text())
    # A bare number is what versions before 0.1 wrote.
    return Claim("", facts) if isinstance(facts, int) else Claim(**facts)


def _name(scope: str) -> str:
    return sha256(scope.encode()).hexdigest()[:32]
