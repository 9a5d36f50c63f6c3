"""Fencing tokens: whoever claimed a table last may commit to it, an orphan of an older run may not.

After M. Kleppmann, "How to do distributed locking" (2016): the store itself refuses an old token.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from headrace.core.errors import FenceLost


@dataclass(frozen=True)
class Fence:
    """The right to commit to a scope, until somebody claims it anew."""

    scope: str
    token: int


class Fences:
    """A folder of token files, one a scope; the file lock of a dead process frees itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, scope: str) -> Fence:
        """Return a fence that outdates all earlier ones of the scope."""
        with self._locked(scope) as path:
            token = self._token(path) + 1
            staged = path.with_suffix(".new")
            staged.write_text(str(token))
            staged.replace(path)
        return Fence(scope, token)

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
    def _token(path: Path) -> int:
        return int(path.read_text()) if path.exists() else 0


def _name(scope: str) -> str:
    return sha256(scope.encode()).hexdigest()[:32]
