"""An append-only log: one file an entry, chained by digests, appended with compare-and-set."""

import json
import os
from pathlib import Path
from typing import Any

from headrace.core.errors import Refused, StoreError
from headrace.core.failpoints import failpoint
from headrace.store.digest import bytes_digest
from headrace.store.publish import staged

_START = "0" * 64


class Log:
    """Entries 1, 2, 3, ... in a folder. Each names the digest of the one before: an edit breaks the chain."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries, oldest first; raises StoreError where the chain is broken."""
        entries, before = [], _START
        for number, path in enumerate(sorted(self._folder.glob("[0-9]*.json")), start=1):
            data = path.read_bytes()
            entry = _parsed(data)
            if entry.get("number") != number or entry.get("previous") != before:
                raise StoreError(
                    f"The log {self._folder} is broken at entry {number} ({path.name}): an entry was edited, "
                    "removed, torn or reordered. Restore the folder from a backup."
                )
            entries.append(entry)
            before = bytes_digest(data)
        return entries

    def append(self, facts: dict[str, Any], *, after: int) -> dict[str, Any]:
        """Append an entry behind entry `after` (0 for an empty log); raises Refused if another came first."""
        entries = self.entries()
        if len(entries) != after:
            raise Refused(
                f"Somebody else wrote entry {len(entries)} of {self._folder.name} first (expected {after}). Look again."
            )
        entry = {**facts, "number": after + 1, "previous": self._tip(after)}
        self._publish(self._folder / f"{after + 1:06d}.json", entry)
        return entry

    def _tip(self, number: int) -> str:
        if number == 0:
            return _START
        return bytes_digest((self._folder / f"{number:06d}.json").read_bytes())

    def _publish(self, path: Path, entry: dict[str, Any]) -> None:
        data = json.dumps(entry, sort_keys=True, indent=1).encode()
        try:
            with staged(path, data, f"entry {entry['number']} was not written") as new:
                failpoint("log_staged")
                os.link(new, path)
        except FileExistsError as error:
            raise Refused(f"Somebody else wrote {path} first. Look again.") from error
        failpoint("log_published")


def _parsed(data: bytes) -> dict[str, Any]:
    """Return an entry, or an empty one where the bytes are none."""
    try:
        entry = json.loads(data)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
