"""Room on the disk: what cannot be written because nothing more fits is said in words."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.core.errors import DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_WORDS = re.compile(r"No space left on device|Disk quota exceeded|File too large|\(os error (28|122|27)\)")


@contextmanager
def room_at(path: Path, what: str, raised: type[Exception] | tuple[type[Exception], ...] = OSError) -> Iterator[None]:
    """Turn a write that fails because nothing more fits into DiskFull.

    `what` says what became of it, `raised` are the errors by which a library says so.
    """
    try:
        yield
    except raised as error:
        if not is_full(error):
            raise
        raise DiskFull(f"disk full at {path}: {what}. Free some space and run this again.") from error


def is_full(error: Exception) -> bool:
    """Return whether a write failed because nothing more fits: the disk, the quota, or the size a file may have."""
    return getattr(error, "errno", None) in _FULL or bool(_FULL_WORDS.search(str(error)))
