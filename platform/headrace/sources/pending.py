"""What has come and was not taken yet: the question that a sensor asks every few seconds."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from headrace.core.days import Days, local_day
from headrace.core.errors import HeadraceError
from headrace.sources.declaration import Source
from headrace.sources.ingest import arrived_windows, days_in, days_of_files, readable_rows, rows_of
from headrace.sources.known import known_files, landed_files
from headrace.sources.landing import Landed
from headrace.store.digest import rows_digest
from headrace.store.site import Site

SETTLE_S = 2.0
LOOK_ROWS = 100_000
"""How many new rows of a database are looked at for their days; where there are more, all days count as touched."""
Stamps = Mapping[str, Mapping[str, list[int | str]]]
"""Source → file → its size and time of change, or etag; of a database the window that is due, its rows and digest."""


@dataclass(frozen=True)
class Pending:
    """What is new or changed since the last look and whole, and the days its rows lie in."""

    files: dict[str, list[str]]
    touched: frozenset[date]
    """Empty where nothing has rows with a day, or none could be read: the run says why."""
    seen: dict[str, dict[str, list[int | str]]]
    """What the next look should call known."""
    looked: dict[str, float] = field(default_factory=dict)
    """When each source was last looked at, in seconds since 1970."""
    troubles: tuple[str, ...] = ()
    """Why some sources could not be looked at; the others were."""

    @property
    def days(self) -> Days | None:
        """The span of the touched days."""
        return Days(min(self.touched), max(self.touched)) if self.touched else None


@dataclass(frozen=True)
class _New:
    """What one source has that is new: stamps by name, and the days that are touched."""

    stamps: dict[str, list[int | str]]
    days: Collection[date]


def pending_files(
    site: Site,
    sources: Mapping[str, Source],
    seen: Stamps,
    now: float | None = None,
    looked: Mapping[str, float] | None = None,
) -> Pending:
    """Return what is not among `seen` and settled at `now` (seconds since 1970, default: this moment).

    `looked` says when each source was looked at; one whose `every` has not passed since then is left alone.
    """
    moment = time.time() if now is None else now
    found, troubles, looks = dict[str, _New](), list[str](), dict(looked or {})
    for name, source in sources.items():
        if not _is_due(source, looks.get(name), moment):
            continue
        looks[name] = moment
        try:
            found[name] = _new(site, name, source, seen.get(name, {}), moment)
        except HeadraceError as error:
            troubles.append(f"source '{name}': {error}")
    known = {name: dict(files) for name, files in seen.items()}
    for name, new in found.items():
        known[name] = (
            new.stamps if sources[name].files is None and new.stamps else {**known.get(name, {}), **new.stamps}
        )
    return Pending(
        files={name: list(new.stamps) for name, new in found.items() if new.stamps},
        touched=frozenset(day for new in found.values() for day in new.days),
        seen=known,
        looked=looks,
        troubles=tuple(troubles),
    )


def _is_due(source: Source, looked: float | None, now: float) -> bool:
    every = source.looked_at_every
    return every is not None and (looked is None or now - looked >= every.total_seconds())


def _new(site: Site, name: str, source: Source, seen: Mapping[str, list[int | str]], now: float) -> _New:
    if source.files is None:
        return _new_rows(site, name, source, seen)
    landed = landed_files(site, source)
    files = [f for f in landed if seen.get(f.name) != list(f.stamp) and f.is_settled(now, SETTLE_S)]
    return _New({file.name: list(file.stamp) for file in files}, _days(site, name, source, files) if files else ())


def _days(site: Site, name: str, source: Source, files: list[Landed]) -> set[date]:
    if not source.partition:
        return set()
    try:
        rows = readable_rows(site, name, source, files)
    except HeadraceError:
        return set()  # the run that ingests these files fails with the same words
    gone = days_of_files(site, name, [file.name for file in files])
    return gone | (days_in(rows) if rows is not None else set())


def _new_rows(site: Site, name: str, source: Source, seen: Mapping[str, list[int | str]]) -> _New:
    """Return the window of a database that is due, if it is not the one that was asked for already."""
    arrived = arrived_windows(site, name, source, known_files(site, name, source), LOOK_ROWS)
    if not arrived.texts:
        return _New({}, ())
    rows = rows_of(site, name, source, arrived.texts)
    window = arrived.texts[0]
    stamps: dict[str, list[int | str]] = {window.name: [window.rows.num_rows, rows_digest(window.rows)]}
    if seen == stamps:
        return _New({}, ())
    if arrived.more and site.product.start:
        return _New(stamps, set(_all_days(site, site.product.start)))
    return _New(stamps, days_in(rows) | days_of_files(site, name, arrived.replaced))


def _all_days(site: Site, start: date) -> Days:
    return Days(start, max(start, local_day(site.clock.now(), site.product.timezone)))
