"""What has landed and was not taken yet: the question that a sensor asks every few seconds."""

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.core.days import Days
from headrace.sources.declaration import Source
from headrace.sources.ingest import days_in, readable_rows
from headrace.sources.read import Landed, landed_files
from headrace.store.site import Site

SETTLE_S = 2.0
Stamps = Mapping[str, Mapping[str, list[int]]]
"""Source → file → its size and time of change."""


@dataclass(frozen=True)
class Pending:
    """Files that are new or changed since the last look and whole, and the days their rows lie in."""

    files: dict[str, list[str]]
    days: Days | None
    seen: dict[str, dict[str, list[int]]]
    """What the next look should call known."""


def pending_files(site: Site, sources: Mapping[str, Source], seen: Stamps, now: float) -> Pending:
    """Return the files that are not among `seen` and settled at `now` (seconds since 1970)."""
    new = {name: list(_unseen(site, source, seen.get(name, {}), now)) for name, source in sources.items()}
    days = [d for name, files in new.items() if files and (d := _days(site, name, sources[name], files))]
    known = {name: {**seen.get(name, {}), **{f.name: list(f.stamp) for f in files}} for name, files in new.items()}
    return Pending(
        files={name: [f.name for f in files] for name, files in new.items() if files},
        days=Days(min(d.first for d in days), max(d.last for d in days)) if days else None,
        seen=known,
    )


def _unseen(site: Site, source: Source, seen: Mapping[str, list[int]], now: float) -> list[Landed]:
    landed = landed_files(site.place.root, source)
    return [f for f in landed if seen.get(f.name) != list(f.stamp) and f.is_settled(now, SETTLE_S)]


def _days(site: Site, name: str, source: Source, files: list[Landed]) -> Days | None:
    rows = readable_rows(site, name, source, files) if source.partition else None
    return days_in(rows) if rows is not None else None
