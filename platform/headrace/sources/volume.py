"""Whether a day of a source has as many rows as such days have: by declared limits, or by its own weekdays.

Without limits the newest whole day is held against the median of the same weekday of eight weeks before. How far days
lie from that is told by the median of their distances (B. Iglewicz, D. Hoaglin, How to Detect and Handle Outliers, 1993),
and is taken as no less than a twentieth of the median, nor than what chance does to a count. Five times that alarms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from headrace.core.days import last_whole_day
from headrace.sources.declaration import Source
from headrace.store.site import Site
from headrace.store.tables import DAY

WEEKS, LEAST_WEEKS = 8, 4
LEAST_SPREAD, FAR = 0.05, 5.0
TO_DEVIATION = 1.4826
"""What makes of the median distance a standard deviation, for normal values."""


@dataclass(frozen=True)
class Volume:
    """The rows of the newest whole day against what such a day has; no limits where nothing can be told yet."""

    rows: int
    low: float | None
    high: float | None
    what: str

    @property
    def is_usual(self) -> bool:
        """Whether the rows are neither too few nor too many."""
        return (self.low is None or self.rows >= self.low) and (self.high is None or self.rows <= self.high)


def volume(site: Site, name: str, source: Source) -> Volume:
    """Return how many rows the newest whole day of a source has, and how many it should have."""
    table = site.product.table("raw", name)
    days = rows_by_day(site, table) if site.tables.exists(table) else {}
    last = last_whole_day(site.clock.now(), site.product.timezone)
    whole = [day for day in days if day <= last]
    return (
        of_day(name, days, max(whole), source) if whole else Volume(0, None, None, f"no whole day of '{name}' has come")
    )


def of_day(name: str, days: Mapping[date, int], day: date, source: Source) -> Volume:
    """Return whether one day of those that have come has as many rows as it should."""
    rows, limits = days[day], source.volume
    came = f"'{name}' has {rows:,} rows of {day:%A} {day}"
    if limits:
        said = [
            f"{word} {limit:,}"
            for word, limit in (("at least", limits.min), ("at most", limits.max))
            if limit is not None
        ]
        return Volume(rows, limits.min, limits.max, f"{came}; declared are {' and '.join(said)}")
    before = [days[past] for week in range(1, WEEKS + 1) if (past := day - timedelta(weeks=week)) in days]
    if len(before) < LEAST_WEEKS:
        return Volume(rows, None, None, f"{came}; {len(before)} such weekdays before it are too few to tell by")
    middle = float(np.median(before))
    distance = TO_DEVIATION * float(np.median(np.abs(np.array(before) - middle)))
    reach = FAR * max(distance, LEAST_SPREAD * middle, middle**0.5)
    low, high = max(middle - reach, 0.0), middle + reach
    usual = f"{came}; {len(before)} such weekdays before it had {middle:,.0f} in the middle, usual are {low:,.0f} to {high:,.0f}"
    return Volume(rows, low, high, usual)


def rows_by_day(site: Site, table: str) -> dict[date, int]:
    """Return the rows of each day that has come; counted once a version."""

    def counted() -> dict[str, int]:
        found = site.tables.read(table, columns=[DAY])[DAY].drop_null().value_counts()
        return {str(row["values"]): row["counts"] for row in found.to_pylist()}

    return {
        date.fromisoformat(day): rows for day, rows in site.ledger.remembered(table, "rows by day", counted).items()
    }
