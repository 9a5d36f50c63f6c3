from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.days import DAY, Days, in_pieces, last_whole_day, local_day, whole_days

NEW_YORK = "America/New_York"
FIRST = date(2013, 3, 1)


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


@given(rows=st.lists(st.integers(0, 50), min_size=1, max_size=40), most=st.integers(1, 200), back=st.integers(0, 5))
def test_pieces_are_the_range_in_order_and_none_could_be_shorter_or_holds_too_many_rows(
    rows: list[int], most: int, back: int
) -> None:
    days = Days(FIRST, FIRST + DAY * (len(rows) - 1))
    counts = {day: count for day, count in zip(days, rows, strict=True) if count}
    pieces = list(in_pieces(days, counts, most, back))
    assert [day for piece in pieces for day in piece] == list(days)
    for piece in pieces:
        seen = sum(counts.get(day, 0) for day in piece.widened(before=back))
        assert seen <= most or len(piece) <= max(1, back)
    for piece, following in pairwise(pieces):
        assert sum(counts.get(day, 0) for day in Days(piece.first, following.first).widened(before=back)) > most
