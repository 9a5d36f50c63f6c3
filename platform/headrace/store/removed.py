"""Versions whose rows are gone: written down before the first of their files is, so that a reader is told in words."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from headrace.core.errors import VersionRemoved
from headrace.store.publish import publish

_FILE = Path("_headrace", "removed.json")
ERASE = "headrace erase"


@dataclass(frozen=True)
class Removed:
    """Versions of one table that can no longer be read, and since when the last of them cannot."""

    versions: frozenset[int] = frozenset()
    at: datetime | None = None
    why: str = ""
    erased: frozenset[int] = frozenset()
    """Those of them that went because a person was erased."""

    def __str__(self) -> str:
        return f"{self.why}, last on {self.at:%Y-%m-%d}"

    def words(self, version: int) -> str:
        """Return what became of a version; nothing where it can be read."""
        if version in self.erased:
            return "(erased) "
        return "(removed by gc) " if version in self.versions else ""

    def refuse(self, table: str, version: int | None, newest: int) -> NoReturn:
        """Raise VersionRemoved, which names the versions that can still be read."""
        how = "erased" if version in self.erased else "removed"
        kept = [str(number) for number in range(newest + 1) if number not in self.versions]
        raise VersionRemoved(
            f"Version {version} of '{table}' was {how} ({self}). "
            f"These can be read: {', '.join(kept[-20:])}. See: headrace history {table}"
        )


def removed_of(folder: Path) -> Removed:
    """Return the versions of the table in `folder` that are gone."""
    path = folder / _FILE
    if not path.exists():
        return Removed()
    facts = json.loads(path.read_text())
    erased = frozenset(facts.get("erased", ()))
    return Removed(frozenset(facts["versions"]), datetime.fromisoformat(facts["at"]), facts["why"], erased)


def remove_versions(folder: Path, versions: Iterable[int], why: str, at: datetime) -> None:
    """Write down, durably, that versions are gone from now on; files may be deleted after that."""
    before = removed_of(folder)
    _write(folder, replace(before, versions=before.versions | set(versions), why=why, at=at))


def erase_versions(folder: Path, versions: Iterable[int], at: datetime) -> None:
    """Write down, durably, that versions are gone because a person was erased."""
    before, erased = removed_of(folder), frozenset(versions)
    _write(folder, Removed(before.versions | erased, at, ERASE, before.erased | erased))


def _write(folder: Path, removed: Removed) -> None:
    path = folder / _FILE
    assert removed.at
    facts = {"versions": sorted(removed.versions), "at": removed.at.isoformat(), "why": removed.why}
    publish(path, json.dumps(facts | {"erased": sorted(removed.erased)}).encode(), "no version was removed")
