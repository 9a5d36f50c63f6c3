"""Staged files of writes that never came to their end: named for the process that wrote them."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.core.processes import is_gone

_STAGED = {
    "models": re.compile(r"\.[0-9a-f]{64}\.(\d+)"),
    "models/records/*": re.compile(r"\..+\.(\d+)"),
    "logs/*/*": re.compile(r"\..+\.(\d+)"),
    "ledger/*/*": re.compile(r"\..+\.(\d+)"),
    "lessons/*": re.compile(r".+\.(\d+)"),
    "spool/*": re.compile(r"\..+\.(\d+)"),
    "keys": re.compile(r"\..+\.(\d+)"),
    "reports": re.compile(r".+\.(\d+)"),
    "tables/_fences": re.compile(r"\..+\.(\d+)"),
    "tables/*/*/*/_headrace": re.compile(r".+\.(\d+)"),
    "tables/*/*/*/_headrace/seals": re.compile(r".+\.(\d+)"),
}
"""Where things are staged, and the name of a staged one: the process stands at its end."""


@dataclass(frozen=True)
class Leftover:
    """Something staged that nobody will publish."""

    path: Path
    why: str

    @property
    def size(self) -> int:
        """Its bytes."""
        inside = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(path.stat().st_size for path in inside if path.is_file())

    def remove(self) -> None:
        """Remove it."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def staged_leftovers(home: Path, now: datetime, most: timedelta) -> Iterator[Leftover]:
    """Yield what was staged by processes that are gone, or longer than `most` before now."""
    for folder, name in _STAGED.items():
        for path in sorted(home.glob(f"{folder}/*")):
            found, staged = name.fullmatch(path.name), _changed_at(path)
            if not found or staged is None:
                continue
            age = now - staged
            if is_gone(int(found[1]), staged):
                yield Leftover(path, f"staged by process {found[1]}, which is gone")
            elif age > most:
                yield Leftover(path, f"staged {age.days} days ago and never published")


def _changed_at(path: Path) -> datetime | None:
    """Return when something was written last; None where it was published, and so renamed, a moment ago."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
