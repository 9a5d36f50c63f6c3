"""Studies: the files that searches for parameters keep their trials in, one of a product written at a time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout


def lock_of(folder: Path) -> Path:
    """Return the file whose lock is held by who works with the studies of a folder."""
    return folder / ".lock"


def old_studies(folder: Path, since: datetime) -> Iterator[tuple[Path, datetime]]:
    """Yield the studies that nobody has gone on with since a moment, and when they were written last; none while one is at work."""
    if not folder.is_dir():
        return
    try:
        with FileLock(lock_of(folder), timeout=0):
            for path in sorted(folder.glob("*.db")):
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                if written <= since:
                    yield path, written
    except Timeout:
        return
