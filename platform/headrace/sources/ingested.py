"""What one look at the landing folder brought."""

from dataclasses import dataclass, field
from datetime import date

from headrace.sources.changes import Change


@dataclass
class Ingested:
    """The files that were found, sorted by what became of them."""

    files: list[str] = field(default_factory=list)
    """Taken."""
    replaced: list[str] = field(default_factory=list)
    """Content has changed: their earlier rows went out."""
    duplicates: dict[str, str] = field(default_factory=dict)
    """File → the file that has the same content."""
    refused: dict[str, str] = field(default_factory=dict)
    """File → why it was not read; rows that it had before stay."""
    notes: list[str] = field(default_factory=list)
    """What is odd but harmless: columns that nobody declared, files without rows."""
    changes: list[Change] = field(default_factory=list)
    """Columns that are not what they were: added, removed, renamed, of another type."""
    rows: int = 0
    """How many rows were added."""
    days: tuple[date, ...] = ()
    """The days that rows were added to, or taken from."""
