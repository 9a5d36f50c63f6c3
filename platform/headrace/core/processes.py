"""Whether a process of this machine is still the one that it was."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

_STARTED, _STATE = 19, 0
"""Fields of /proc/<pid>/stat behind the command's name: see proc_pid_stat(5)."""
_SLACK = timedelta(seconds=2)
"""The kernel counts in hundredths of a second since a boot time that it tells in whole ones."""


def is_gone(pid: int, since: datetime | None = None) -> bool:
    """Return whether process `pid` has ended, or is another one that was started after `since`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    if not sys.platform.startswith("linux"):
        return False
    facts = _facts(pid)
    if not facts or facts[_STATE] in "ZX":
        return True
    return since is not None and _moment(int(facts[_STARTED])) > since + _SLACK


def working_in(folder: Path) -> Iterator[int]:
    """Yield the processes whose working folder is this one or one within; on Linux alone, elsewhere none."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            is_there = (place / "cwd").readlink().is_relative_to(folder)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        if is_there and not is_gone(int(place.name)):
            yield int(place.name)


def _facts(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _moment(ticks: int) -> datetime:
    booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    return datetime.fromtimestamp(int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK"), UTC)
