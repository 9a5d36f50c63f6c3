from datetime import UTC, date, datetime, timedelta

import pytest

from headrace.core.days import Days, last_whole_day, local_day, whole_days

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(("day", "hours"), [("2013-03-09", 24), ("2013-03-10", 23), ("2013-11-03", 25)])
def test_a_local_day_has_as_many_hours_as_its_clocks_say(day: str, hours: int) -> None:
    start, end = Days(date.fromisoformat(day), date.fromisoformat(day)).instants(NEW_YORK)
    assert end.astimezone(UTC) - start.astimezone(UTC) == timedelta(hours=hours)


def test_an_instant_belongs_to_the_local_day() -> None:
    assert local_day(datetime(2013, 7, 1, 3, 59, tzinfo=UTC), NEW_YORK) == date(2013, 6, 30)
    assert local_day(datetime(2013, 7, 1, 4, 0, tzinfo=UTC), NEW_YORK) == date(2013, 7, 1)


def test_the_last_whole_day_is_over() -> None:
    assert last_whole_day(datetime(2013, 7, 1, 4, 0, tzinfo=UTC), NEW_YORK) == date(2013, 6, 30)


def test_a_range_counts_both_ends_and_cannot_run_backwards() -> None:
    assert len(Days(date(2013, 1, 1), date(2013, 6, 30))) == 181
    with pytest.raises(ValueError, match="cannot end"):
        Days(date(2013, 1, 2), date(2013, 1, 1))


def test_a_span_reaches_over_whole_days() -> None:
    assert whole_days(timedelta(hours=2)) == 1
    assert whole_days(timedelta(days=14)) == 14
