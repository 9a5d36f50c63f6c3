"""What each of Flower's programs begins as: it dies with the process that started it, and reads no other program's files.

It knows the standard library alone, for Flower's interpreter runs it: `confine.py <pid> <folder> <program> <words>...`. Of
what lies beside its own folder it reads nothing from then on, nor does what it starts: on Linux with Landlock the kernel
refuses. Source: landlock(7).
"""

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

DIE_WITH_PARENT, NO_NEW_PRIVILEGES = 1, 38
CREATE, ADD, RESTRICT = 444, 445, 446
"""Numbers of system calls, the same on all processors."""
READ_FILE, REFER = 1 << 2, 1 << 13
WITH_REFER = 2
"""The version of Landlock since which files may be moved between folders."""
MARK = "confined"


def main(parent: int, folder: Path, command: list[str]) -> None:
    """Become the command; the folder holds a mark where it is confined."""
    if sys.platform.startswith("linux"):
        kernel = ctypes.CDLL(None, use_errno=True)
        kernel.prctl(DIE_WITH_PARENT, signal.SIGKILL)
        version = kernel.syscall(CREATE, None, 0, 1)
        if version > 0:
            (folder / MARK).touch()
            _confine(kernel, folder, version)
    if os.getppid() != parent:
        sys.exit("its parent is gone")
    os.execv(command[0], command)  # noqa: S606  the program that the platform has named


def _confine(kernel: ctypes.CDLL, folder: Path, version: int) -> None:
    handled = READ_FILE | (REFER if version >= WITH_REFER else 0)
    rules = kernel.syscall(CREATE, struct.pack("=Q", handled), 8, 0)
    for place in readable(folder):
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        allowed = handled if place.is_dir() else READ_FILE
        kernel.syscall(ADD, rules, 1, struct.pack("=Qi", allowed, opened), 0)
        os.close(opened)
    kernel.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if kernel.syscall(RESTRICT, rules, 0):
        sys.exit(f"it could not be confined to {folder}: {os.strerror(ctypes.get_errno())}")


def readable(folder: Path) -> Iterator[Path]:
    """Yield a folder, and all of the machine but what lies beside it; links are followed to what they lead to when read."""
    yield folder
    apart = folder.parent
    for upper in apart.parents:
        yield from (place for place in upper.iterdir() if not apart.is_relative_to(place) and not place.is_symlink())


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
