"""Compaction: a day of predictions that is over lies in a file for each few seconds of it, and then in as few as can be."""

from collections.abc import Iterator
from datetime import date

from headrace.core.days import Days
from headrace.serving.gather import predictions_table
from headrace.store.engine import TableView
from headrace.store.site import Site

ROWS_A_FILE = 250_000
"""A day that has fewer files than one for so many rows, and one more, stays as it is."""


def compact_days(site: Site, before: date) -> list[date]:
    """Write each day before another (of UTC, by when requests came) that lies in many files into few, and return these days.

    Rows lie in the order in which they came then, and are the same; nobody gathers while a day is written.
    """
    return [day for day in sorted(_scattered(site, before)) if _compacted(site, Days(day, day))]


def _scattered(site: Site, before: date) -> Iterator[date]:
    """Yield the days that lie in more than one file."""
    held = site.tables.snapshot(predictions_table(site))
    counts: dict[date, int] = {}
    for days in held.files.values() if held else ():
        for day in days or ():
            counts[day] = counts.get(day, 0) + 1
    yield from (day for day, files in counts.items() if files > 1 and day < before)


def _compacted(site: Site, day: Days) -> bool:
    table = predictions_table(site)
    with site.tables.alone(table):
        snapshot = site.tables.snapshot(table)
        assert snapshot
        files = sum(day.first in days for days in snapshot.files.values() if days)
        if files <= 1 + site.tables.read(table, days=day, columns=[]).num_rows // ROWS_A_FILE:
            return False
        view = {"served": TableView(table, day)}
        rows = site.engine.query('from served order by received, request, "row", role', view, origin=table)
        site.tables.rewrite(table, rows, days=day, why=f"compaction of {files} files")
    return True
