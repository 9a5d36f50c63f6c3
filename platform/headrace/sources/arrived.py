"""What goes into a raw table in one commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.sources.changes import Change
from headrace.sources.read import FileText


@dataclass(frozen=True)
class Arrived:
    """The files (or windows of a database) that go in, and those whose earlier rows go out."""

    texts: list[FileText]
    replaced: list[str]
    more: bool = False
    """Whether to look again after this commit."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the commit should remember beside its rows."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """What was not read, and why."""
    notes: tuple[str, ...] = ()
    """What is odd but harmless."""
    changes: tuple[Change, ...] = ()
    """Columns that are not what they were."""
