"""The store's own errors, in words that say what to do."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake.exceptions import CommitFailedError, DeltaError

from headrace.core.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_WORDS = re.compile(r"No space left on device|Disk quota exceeded|File too large|\(os error (28|122|27)\)")


@contextmanager
def explained(name: str, folder: Path) -> Iterator[None]:
    """Turn what Delta and the disk say while a table is written into a StoreError."""
    try:
        yield
    except CommitFailedError as error:
        raise StoreError(
            f"Another run wrote '{name}' at the same moment and won ({error}). Nothing was written twice: run this again."
        ) from error
    except (DeltaError, OSError) as error:
        if is_there_already(error):
            raise StoreError(
                f"Another run created '{name}' at the same moment. Nothing was written twice: run this again."
            ) from error
        if not is_full(error):
            raise
        raise disk_full(folder / name, f"'{name}' was not written") from error


def is_there_already(error: Exception) -> bool:
    """Return whether a table could not be created because another process has."""
    return isinstance(error, DeltaError) and "already exists" in str(error)


def is_full(error: Exception) -> bool:
    """Return whether a write failed because nothing more fits: the disk, the quota, or the size a file may have."""
    return getattr(error, "errno", None) in _FULL or bool(_FULL_WORDS.search(str(error)))


def disk_full(path: Path, what: str) -> StoreError:
    """Return the error that says where the disk is full."""
    return StoreError(f"disk full at {path}: {what}, and what was there stays. Free some space and run this again.")
