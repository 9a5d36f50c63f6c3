"""The witness of a log: which entries were written and which digest each has, kept in another folder than the log.

A chain shows what is broken inside it. That its end was cut off, or that somebody wrote an entry by hand, only somebody
else can tell: `append` says what it is about to write before it does, and that it has written it afterwards.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from headrace.store.publish import make_folder, sync_folder
from headrace.store.room import room_at

State = Literal["intent", "entry"]


@dataclass(frozen=True)
class Testimony:
    """What a witness has seen."""

    lines: tuple[tuple[str, int, str], ...]

    @cached_property
    def entries(self) -> Mapping[int, str]:
        """The digest of each entry that was written."""
        return {number: digest for state, number, digest in self.lines if state == "entry"}

    @cached_property
    def intended(self) -> Mapping[int, set[str]]:
        """The digests that entries were about to have: of those, one at most was written."""
        found: dict[int, set[str]] = defaultdict(set)
        for _, number, digest in self.lines:
            found[number].add(digest)
        return found


@dataclass(frozen=True)
class Witness:
    """A file of lines, `<state> <number> <digest>`: any process appends, none rewrites."""

    path: Path

    def testimony(self) -> Testimony | None:
        """Return what was seen; None where there is no such file. A line that a killed process left half written is none."""
        if not self.path.exists():
            return None
        return Testimony(tuple(_lines(self.path.read_text())))

    def say(self, state: State, number: int, digest: str) -> None:
        """Write down that an entry is about to be written, or is; it stands on the disk when this returns."""
        with room_at(self.path.parent, f"entry {number} was not witnessed"):
            make_folder(self.path.parent)
            is_new = not self.path.exists()
            opened = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                # One write: lines of processes that append at the same time do not mix.
                os.write(opened, f"\n{state} {number} {digest}.".encode())
                os.fsync(opened)
            finally:
                os.close(opened)
            if is_new:
                sync_folder(self.path.parent)


def _lines(text: str) -> Iterator[tuple[str, int, str]]:
    for line in text.split("\n"):
        words = line.split()
        if len(words) == len(("state", "number", "digest")) and line.endswith(".") and words[1].isdigit():
            yield words[0], int(words[1]), words[2].removesuffix(".")
