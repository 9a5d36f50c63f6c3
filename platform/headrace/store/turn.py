"""A turn: what one process does at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def turn_in(folder: Path, wait_s: float = 0.0) -> Iterator[bool]:
    """Yield True to one process at a time; False where another one still has its turn in a folder after `wait_s` seconds."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
