"""The store's own errors, in words that say what to do."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake.exceptions import CommitFailedError, DeltaError

from headrace.core.errors import DiskFull, StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_WORDS = re.compile(r"No space left on device|Disk quota exceeded|File too large|\(os error (28|122|27)\)")


@contextmanager
def explained(name: str, folder: Path) -> Iterator[None]:
    """Turn what Delta and the disk say while a table is written into a StoreError."""
    try:
        with room_at(folder / name, f"'{name}' was not written, and what was there stays"):
            yield
    except CommitFailedError as error:
        raise StoreError(
            f"Another run wrote '{name}' at the same moment and won ({error}). Nothing was written twice: run this again."
        ) from error
    except DeltaError as error:
        if not is_there_already(error):
            raise
        raise StoreError(
            f"Another run created '{name}' at the same moment. Nothing was written twice: run this again."
        ) from error


@contextmanager
def room_at(path: Path, what: str) -> Iterator[None]:
    """Turn a write that fails because nothing more fits into DiskFull; `what` says what became of it."""
    try:
        yield
    except (DeltaError, OSError) as error:
        if not is_full(error):
            raise
        raise DiskFull(f"disk full at {path}: {what}. Free some space and run this again.") from error


def is_there_already(error: Exception) -> bool:
    """Return whether a table could not be created because another process has."""
    return isinstance(error, DeltaError) and "already exists" in str(error)


def is_full(error: Exception) -> bool:
    """Return whether a write failed because nothing more fits: the disk, the quota, or the size a file may have."""
    return getattr(error, "errno", None) in _FULL or bool(_FULL_WORDS.search(str(error)))
