"""Files that appear whole or not at all, and are still there after a power cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

from headrace.store.room import room_at


def publish(path: Path, data: bytes, lost: str) -> None:
    """Write a file over what is there; `lost` says in DiskFull what became of it."""
    with staged(path, data, lost) as new:
        new.replace(path)


@contextmanager
def staged(path: Path, data: bytes, lost: str) -> Iterator[Path]:
    """Yield a file beside `path` with the bytes, for the caller to give it its name, which stands on the disk then."""
    new = path.with_name(f".{path.name}.{get_ident()}.{os.getpid()}")
    try:
        with room_at(path.parent, lost):
            make_folder(path.parent)
            write_durably(new, data)
        yield new
        sync_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def write_durably(path: Path, data: bytes) -> None:
    """Write bytes that stand on the disk when this returns; whoever names the file syncs its folder."""
    with path.open("wb") as file:
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
    """Make a folder, and those above it, so that their names stand on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
