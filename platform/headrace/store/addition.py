"""What goes into a table with landed files, and what a write leaves behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import DeltaTable, Transaction

from headrace.core.days import Days
from headrace.store.layout import files_predicate


@dataclass(frozen=True)
class Commit:
    """What a write left behind; `changed` is False when the rows were there already."""

    table: str
    version: int
    digest: str
    rows: int
    changed: bool
    days: Days | None = None
    """The days that were to be replaced; None for the whole table."""
    snapshot: str = ""
    """The digest of that version's files."""


@dataclass(frozen=True)
class Addition:
    """Rows of landed files that enter a table in one commit."""

    rows: pa.Table
    digests: Mapping[str, str]
    """File → digest of its content."""
    replacing: Sequence[str] | None = ()
    """Files whose earlier rows go out; None for all rows."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the commit should remember."""

    @property
    def predicate(self) -> str | None:
        """Which rows go out; Delta asks that all rows that come in are among them, so the new files are named, too."""
        return files_predicate(self.replacing and sorted({*self.replacing, *self.digests}))

    @property
    def marks(self) -> list[Transaction]:
        """By what the table remembers that they came into it."""
        return [Transaction(_mark(file, digest), 1) for file, digest in self.digests.items()]


def arrived(table: DeltaTable, digests: Mapping[str, str]) -> set[str]:
    """Return which files have come into a table with that content, whatever became of their rows."""
    return {file for file, digest in digests.items() if table.transaction_version(_mark(file, digest)) is not None}


def _mark(file: str, digest: str) -> str:
    return f"file:{file}:{digest}"
