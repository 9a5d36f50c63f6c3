"""What has landed and was not taken yet: the question that a sensor asks every few seconds."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from headrace.core.days import Days
from headrace.core.errors import HeadraceError
from headrace.sources.declaration import Source
from headrace.sources.ingest import days_in, days_of_files, readable_rows
from headrace.sources.known import landed_files
from headrace.sources.landing import Landed
from headrace.store.site import Site

SETTLE_S = 2.0
Stamps = Mapping[str, Mapping[str, list[int | str]]]
"""Source → file → its size and time of change, or etag."""


@dataclass(frozen=True)
class Pending:
    """Files that are new or changed since the last look and whole, and the days their rows lie in."""

    files: dict[str, list[str]]
    days: Days | None
    """None where no file holds rows with a day, or none could be read: the run says why."""
    seen: dict[str, dict[str, list[int | str]]]
    """What the next look should call known."""
    troubles: tuple[str, ...] = ()
    """Why some sources could not be looked at; the others were."""


def pending_files(site: Site, sources: Mapping[str, Source], seen: Stamps, now: float | None = None) -> Pending:
    """Return the files that are not among `seen` and settled at `now` (seconds since 1970, default: this moment)."""
    moment = time.time() if now is None else now
    new, troubles = dict[str, list[Landed]](), list[str]()
    for name, source in sources.items():
        if source.database:
            continue
        try:
            new[name] = _unseen(site, source, seen.get(name, {}), moment)
        except HeadraceError as error:
            troubles.append(f"source '{name}': {error}")
    days = [day for name, files in new.items() if files for day in _days(site, name, sources[name], files)]
    known = {name: dict(files) for name, files in seen.items()}
    for name, files in new.items():
        known.setdefault(name, {}).update({file.name: list(file.stamp) for file in files})
    return Pending(
        files={name: [f.name for f in files] for name, files in new.items() if files},
        days=Days(min(days), max(days)) if days else None,
        seen=known,
        troubles=tuple(troubles),
    )


def _unseen(site: Site, source: Source, seen: Mapping[str, list[int | str]], now: float) -> list[Landed]:
    landed = landed_files(site, source)
    return [f for f in landed if seen.get(f.name) != list(f.stamp) and f.is_settled(now, SETTLE_S)]


def _days(site: Site, name: str, source: Source, files: list[Landed]) -> set[date]:
    if not source.partition:
        return set()
    try:
        rows = readable_rows(site, name, source, files)
    except HeadraceError:
        return set()  # the run that ingests these files fails with the same words
    gone = days_of_files(site, name, [file.name for file in files])
    return gone | (days_in(rows) if rows is not None else set())
