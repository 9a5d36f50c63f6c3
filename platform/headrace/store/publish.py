"""Files that appear whole or not at all, and are still there after a power cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

from headrace.core.errors import StoreError
from headrace.store.room import room_at

_READABLE = 0o666
"""The mode of a file that everybody may read whom the umask lets."""


def publish(path: Path, data: bytes, lost: str, mode: int = _READABLE) -> None:
    """Write a file over what is there; `lost` says in DiskFull what became of it. `mode` is less what the umask takes."""
    with staged(path, data, lost, mode) as new:
        new.replace(path)


@contextmanager
def staged(path: Path, data: bytes, lost: str, mode: int = _READABLE) -> Iterator[Path]:
    """Yield a file beside `path` with the bytes, for the caller to give it its name, which stands on the disk then."""
    new = path.with_name(f".{path.name}.{get_ident()}.{os.getpid()}")
    try:
        with room_at(path.parent, lost):
            make_folder(path.parent)
            write_durably(new, data, mode)
        yield new
        sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def write_durably(path: Path, data: bytes, mode: int = _READABLE) -> None:
    """Write bytes that stand on the disk when this returns; whoever names the file syncs its folder."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Let the names of a folder stand on the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, so that their names stand on the disk.

    Raises StoreError where something else stands in its place, as when a disk is not mounted.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        # Another process may have made it by now; what is there already and is no folder is an error.
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise StoreError(
            f"{folder} is no folder: nothing can be kept in it. Is its disk mounted? Then run this again."
        ) from None
    sync_folder(folder.parent)
