from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.names import did_you_mean, duration_text, parse_duration, quoted


@pytest.mark.parametrize(("text", "hours"), [("36h", 36), ("7d", 168), ("30m", 0.5), ("1w", 168), ("24h", 24)])
def test_a_duration_is_a_number_and_a_unit(text: str, hours: float) -> None:
    assert parse_duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["36", "h", "1.5h", "-1d", "3 fortnights", ""])
def test_a_duration_that_is_none_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and a unit"):
        parse_duration(text)


@given(st.integers(1, 10**7))
def test_a_duration_survives_being_written_down(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(duration_text(span)) == span


def test_a_near_word_is_offered() -> None:
    assert did_you_mean("orign", ["origin", "dest"]) == " Did you mean 'origin'?"
    assert did_you_mean("zzz", ["origin", "dest"]) == ""


def test_an_identifier_cannot_break_out_of_its_quotes() -> None:
    assert quoted('a" ; drop table b --') == '"a"" ; drop table b --"'
