"""Calendar days of a product: ranges of them, and the day an instant belongs to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class Days:
    """An unbroken range of local days, both ends included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"a range of days cannot end ({self.last}) before it starts ({self.first})")

    def __iter__(self) -> Iterator[date]:
        return (self.first + DAY * i for i in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}...{self.last}"

    def widened(self, before: int = 0, after: int = 0) -> "Days":
        """Return the range with days added at its ends."""
        return Days(self.first - DAY * before, self.last + DAY * after)

    def instants(self, timezone: str) -> tuple[datetime, datetime]:
        """Return the half-open span [start, end) of the range in UTC-comparable instants."""
        zone = ZoneInfo(timezone)
        return datetime.combine(self.first, time(), zone), datetime.combine(self.last + DAY, time(), zone)


def unbroken(days: Iterable[date]) -> list[Days]:
    """Return days as ranges without a gap, oldest first."""
    ranges: list[Days] = []
    for day in sorted(set(days)):
        if ranges and ranges[-1].last + DAY == day:
            ranges[-1] = Days(ranges[-1].first, day)
        else:
            ranges.append(Days(day, day))
    return ranges


def in_pieces(days: Days, rows: Mapping[date, int], most: float, back: int = 0) -> Iterator[Days]:
    """Yield a range in pieces, in order, each with `most` rows in it and the days that it looks back on, or one day.

    `rows` of days that are left out are none. A piece is no shorter than `back`, so that no row is looked at more than twice.
    """
    first, seen = days.first, _rows_before(days.first, rows, back)
    for day in days:
        seen += rows.get(day, 0)
        if day == days.last or (len(Days(first, day)) >= back and seen + rows.get(day + DAY, 0) > most):
            yield Days(first, day)
            first, seen = day + DAY, _rows_before(day + DAY, rows, back)


def _rows_before(day: date, rows: Mapping[date, int], back: int) -> int:
    return sum(rows.get(day - DAY * n, 0) for n in range(1, back + 1))


def local_day(moment: datetime, timezone: str) -> date:
    """Return the calendar day of an instant in a time zone."""
    return moment.astimezone(ZoneInfo(timezone)).date()


def last_whole_day(now: datetime, timezone: str) -> date:
    """Return the newest day that is over at `now`."""
    return local_day(now, timezone) - DAY


def whole_days(span: timedelta) -> int:
    """Return how many calendar days a span can reach back over."""
    return -(-span // DAY)
