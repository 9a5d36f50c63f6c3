"""An append-only log: one file an entry, chained by digests, appended with compare-and-set."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any, Literal

from headrace.core.errors import Refused, StoreError
from headrace.core.failpoints import failpoint
from headrace.store.checksum import bytes_digest
from headrace.store.publish import make_folder, staged, sync_folder
from headrace.store.witness import Testimony, Witness

_START = "0" * 64
_ASIDE = "set_aside"
What = Literal["edited", "removed", "reordered", "cut off", "torn", "not ours", "broken"]
_WORDS: Mapping[What, str] = {
    "edited": "was edited: its bytes are not those that were written",
    "removed": "was removed",
    "reordered": "stands in another's place",
    "cut off": "was cut off: the log ends before it",
    "torn": "is torn: it cannot be read",
    "not ours": "was written by hand: no process of Headrace wrote it",
    "broken": "was edited, removed, torn or reordered, or the one before it was",
}
Head = tuple[int, str]
"""How many entries a log has, and the digest of the last one."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one entry."""

    number: int
    what: What
    path: Path

    def __str__(self) -> str:
        return f"entry {self.number} ({self.path.name}) {_WORDS[self.what]}"


@dataclass(frozen=True)
class _Written:
    """An entry as it lies on the disk."""

    path: Path
    data: bytes

    @property
    def digest(self) -> str:
        return bytes_digest(self.data)

    @property
    def facts(self) -> dict[str, Any]:
        """What it says; nothing where the bytes are none."""
        try:
            entry = json.loads(self.data)
        except ValueError:
            return {}
        return entry if isinstance(entry, dict) else {}


class Log:
    """Entries 1, 2, 3, ... in a folder. Each names the digest of the one before: an edit breaks the chain.

    With a witness, a file elsewhere, an entry that was cut off, or written by somebody else, is noticed, too.
    """

    def __init__(self, folder: Path, witness: Path | None = None) -> None:
        self._folder = folder
        self._witness = Witness(witness) if witness else None

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries, oldest first; raises StoreError where one is not as it was written."""
        seen = self._look()
        found = next(_faults(self._folder, seen), None)
        if found:
            raise StoreError(
                f"The log {self._folder} is broken at entry {found.number}: {found}. Nothing is read from it. "
                "Restore the folder from a backup."
            )
        return [entry.facts for _, entry in sorted(seen.written.items())]

    def faults(self) -> list[Fault]:
        """Return what is wrong with the entries, oldest first."""
        return list(_faults(self._folder, self._look()))

    def copy_to(self, folder: Path, until: int) -> None:
        """Copy the entries up to a number, byte for byte; raises StoreError where one is not as it was written."""
        self.entries()
        make_folder(folder)
        for number in range(1, until + 1):
            copyfile(self._path(number), folder / self._path(number).name)

    def head(self) -> Head:
        """Return how many entries there are, and the digest of the last; raises StoreError where one is not as it was written."""
        count = len(self.entries())
        return count, self.digest_of(count)

    def digest_of(self, number: int) -> str:
        """Return the digest of an entry; of entry 0, what the first one names as the one before it."""
        return bytes_digest(self._path(number).read_bytes()) if number else _START

    def append(self, facts: Mapping[str, Any], *, after: int) -> dict[str, Any]:
        """Append an entry behind entry `after` (0 for an empty log); raises Refused if another came first."""
        entries = self.entries()
        if len(entries) != after:
            raise Refused(
                f"Somebody else wrote entry {len(entries)} of {self._folder.name} first (expected {after}). Look again."
            )
        self.settle()
        entry = {**facts, "number": after + 1, "previous": self.digest_of(after)}
        self._publish(self._path(after + 1), entry)
        return entry

    def add(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Append an entry behind whatever is there by then; raises StoreError where one is not as it was written."""
        while True:
            try:
                return self.append(facts, after=len(self.entries()))
            except Refused:
                # Somebody else has written one: one of the two always gets on.
                continue

    def settle(self) -> None:
        """Let the witness know of entries that killed processes have written, and not said so."""
        testimony = self._testimony()
        known = testimony.entries if testimony else {}
        for number, entry in sorted(self._written().items()) if self._witness else ():
            if number not in known and (testimony is None or entry.digest in testimony.intended.get(number, ())):
                self._say("entry", number, entry.digest)

    def set_aside(self, fault: Fault) -> Path:
        """Move an entry that no process of ours wrote out of the log, and return where it is."""
        aside = self._folder / _ASIDE
        make_folder(aside)
        there = aside / f"{fault.path.stem}.{bytes_digest(fault.path.read_bytes())[:12]}.json"
        fault.path.replace(there)
        sync_folder(self._folder)
        return there

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.json"

    def _written(self) -> dict[int, _Written]:
        paths = {int(path.stem): path for path in self._folder.glob("[0-9]*.json") if path.stem.isdigit()}
        return {number: _Written(path, path.read_bytes()) for number, path in paths.items()}

    def _look(self) -> "_Seen":
        """Return the entries between two testimonies: whoever appends meanwhile must not look like whoever forges or cuts off."""
        before = self._testimony()
        written = self._written()
        return _Seen(before, written, self._testimony())

    def _testimony(self) -> Testimony | None:
        return self._witness.testimony() if self._witness else None

    def _say(self, state: Literal["intent", "entry"], number: int, digest: str) -> None:
        if self._witness:
            self._witness.say(state, number, digest)

    def _publish(self, path: Path, entry: Mapping[str, Any]) -> None:
        data, number = json.dumps(entry, sort_keys=True, indent=1).encode(), entry["number"]
        try:
            with staged(path, data, f"entry {number} was not written") as new:
                failpoint("log_staged")
                self._say("intent", number, bytes_digest(data))
                failpoint("log_intended")
                os.link(new, path)
        except FileExistsError as error:
            raise Refused(f"Somebody else wrote {path} first. Look again.") from error
        failpoint("log_published")
        self._say("entry", number, bytes_digest(data))


@dataclass(frozen=True)
class _Seen:
    """A log as it was looked at."""

    before: Testimony | None
    """What was confirmed by then was there."""
    written: Mapping[int, _Written]
    after: Testimony | None
    """What was there was announced by then."""


def _faults(folder: Path, seen: _Seen) -> Iterator[Fault]:
    """Yield what is wrong, oldest first: by the witness where there is one, else by the chain."""
    written, testimony = seen.written, seen.after
    last, confirmed = max(written, default=0), seen.before.entries if seen.before else {}
    for number in range(1, max(last, *confirmed, 0) + 1):
        entry = written.get(number)
        if entry is None:
            yield Fault(number, "removed" if number < last else "cut off", folder / f"{number:06d}.json")
            continue
        what = _by_witness(number, entry, testimony) if testimony else _by_chain(number, entry, written)
        if what:
            yield Fault(number, what, entry.path)


def _by_witness(number: int, entry: _Written, testimony: Testimony) -> What | None:
    if entry.digest == testimony.entries.get(number):
        return None
    is_known = number in testimony.entries
    if not is_known and entry.digest in testimony.intended.get(number, ()):
        return None
    if not entry.facts:
        return "torn"
    if entry.facts.get("number") != number and entry.digest in testimony.entries.values():
        return "reordered"
    return "edited" if is_known else "not ours"


def _by_chain(number: int, entry: _Written, written: Mapping[int, _Written]) -> What | None:
    before = written.get(number - 1)
    previous = before.digest if before else _START
    facts = entry.facts
    if not facts:
        return "torn"
    is_whole = facts.get("number") == number and facts.get("previous") == previous and (before or number == 1)
    return None if is_whole else "broken"
