"""Versions whose rows are gone: written down before the first of their files is, so that a reader is told in words."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from headrace.core.errors import VersionRemoved
from headrace.store.conflicts import room_at

_FILE = Path("_headrace", "removed.json")


@dataclass(frozen=True)
class Removed:
    """Versions of one table that can no longer be read, and since when the last of them cannot."""

    versions: frozenset[int] = frozenset()
    at: datetime | None = None
    why: str = ""

    def refuse(self, table: str, version: int | None, newest: int) -> NoReturn:
        """Raise VersionRemoved, which names the versions that can still be read."""
        kept = [str(number) for number in range(newest + 1) if number not in self.versions]
        raise VersionRemoved(
            f"Version {version} of '{table}' was removed ({self.why}, last on {self.at:%Y-%m-%d}). "
            f"These can be read: {', '.join(kept[-20:])}. See: headrace history {table}"
        )


def removed_of(folder: Path) -> Removed:
    """Return the versions of the table in `folder` that are gone."""
    path = folder / _FILE
    if not path.exists():
        return Removed()
    facts = json.loads(path.read_text())
    return Removed(frozenset(facts["versions"]), datetime.fromisoformat(facts["at"]), facts["why"])


def remove_versions(folder: Path, versions: Iterable[int], why: str, at: datetime) -> None:
    """Write down, durably, that versions are gone from now on; files may be deleted after that."""
    path = folder / _FILE
    path.parent.mkdir(exist_ok=True)
    facts = {"versions": sorted(removed_of(folder).versions | set(versions)), "at": at.isoformat(), "why": why}
    staged = path.with_suffix(f".{os.getpid()}")
    with room_at(path, "no version was removed"), staged.open("w") as file:
        json.dump(facts, file)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
