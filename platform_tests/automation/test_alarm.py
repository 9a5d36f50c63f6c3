"""Alarms over windows: when they are raised, cleared, and a reason again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from headrace.automation.alarm import Alarm, Reading, Rules, alarm_of

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TWO_OF_THREE = Rules(2, 3, 0.8, 30 * DAY)
ONE = Rules(1, 1, 0.8, 30 * DAY)


def readings(*ratios: float) -> list[Reading]:
    return [Reading(START + DAY * n, ratio, f"at {ratio:g}") for n, ratio in enumerate(ratios)]


def after(ratios: Sequence[float], rules: Rules = TWO_OF_THREE, answered: Sequence[int] = ()) -> Alarm:
    now = START + DAY * (len(ratios) - 1)
    return alarm_of(readings(*ratios), rules, [START + DAY * n for n in answered], now)


def test_it_is_raised_by_as_many_of_the_last_windows_as_confirm_it() -> None:
    assert not after([0.5, 1.2]).fires
    assert "beyond its limit in 1 of the last 3 windows, 2 confirm it: at 1.2" in after([0.5, 1.2]).what
    assert after([1.2, 0.9, 1.1]).fires
    assert not after([1.2, 0.9, 0.9, 1.1]).fires


def test_it_fires_above_its_limit_and_is_cleared_below_the_share_of_it_alone() -> None:
    assert not after([1.0], ONE).fires
    assert after([1.01, 0.81], ONE).fires
    assert not after([1.01, 0.8], ONE).fires


def test_what_was_beyond_before_it_was_cleared_does_not_raise_it_again() -> None:
    assert not after([1.2, 1.2, 0.5, 1.2]).fires
    assert after([1.2, 1.2, 0.5, 1.2, 1.2]).fires


def test_one_that_was_answered_fires_again_when_it_is_as_much_worse_or_after_a_period() -> None:
    assert not after([1.1, 1.1, 1.2], ONE, answered=[1]).fires
    assert "answered by the training of 2013-01-02, not cleared yet" in after([1.1, 1.1], ONE, answered=[1]).what
    worse = after([1.1, 1.1, 1.4], ONE, answered=[1])
    assert worse.fires
    assert "worse than when a training answered it on 2013-01-02" in worse.what
    assert not after([1.1] * 31, ONE, answered=[1]).fires
    assert after([1.1] * 32, ONE, answered=[1]).fires


def test_an_answer_to_an_alarm_that_was_cleared_is_none_to_the_next_one() -> None:
    assert after([1.1, 1.1, 0.5, 1.1], ONE, answered=[1]).fires


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.integers(1, 5), st.integers(0, 4), st.floats(0.1, 1))
def test_nothing_fires_without_as_many_windows_beyond_the_limit_and_what_fires_was_never_clear(
    ratios: list[float], windows: int, more: int, clear: float
) -> None:
    alarm = after(ratios, Rules(windows, windows + more, clear, 30 * DAY))
    if alarm.fires:
        assert sum(ratio > 1 for ratio in ratios) >= windows
        assert ratios[-1] > clear
    if all(ratio > 1 for ratio in ratios[-windows:]) and len(ratios) >= windows:
        assert alarm.fires


@given(st.lists(st.floats(0, 3), min_size=1, max_size=40), st.floats(0.1, 1))
def test_what_stands_after_some_windows_depends_on_these_alone(ratios: list[float], clear: float) -> None:
    rules = Rules(2, 3, clear, 30 * DAY)
    by_hand, raised, begin = [], False, 0
    for n, ratio in enumerate(ratios):
        if raised and ratio <= clear:
            raised, begin = False, n + 1
        elif not raised:
            raised = sum(r > 1 for r in ratios[max(begin, n - 2) : n + 1]) >= 2
        by_hand.append(raised)
    assert [after(ratios[: n + 1], rules).fires for n in range(len(ratios))] == by_hand
