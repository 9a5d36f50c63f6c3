"""The diary of decisions: everything that changes is written down, once; what repeats is counted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.automation.decide import Decision, Fired
from headrace.automation.diary import Diary, Last, in_words

NOW = datetime(2013, 1, 31, 20, tzinfo=UTC)
QUIET = Decision(False, (), (), (), ("drift: at 62% of its limit",))
HELD = Decision(False, ("drift: far",), ("cooldown: 1 d",), (Fired("drift", "far"),))
TRAINS = Decision(True, ("drift: far",), (), (Fired("drift", "far", {"psi": 0.3}),))


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def test_what_repeats_is_counted_and_a_change_of_state_is_written_down(tmp_path: Path) -> None:
    diary, last = Diary(tmp_path), Last()
    for minute, decision in enumerate([QUIET, QUIET, QUIET, HELD, HELD, TRAINS, QUIET]):
        last = diary.note(decision, minutes(minute), last)
    entries = diary.entries(10)
    assert [(entry["what"].partition(" ")[0], entry["repeated"]) for entry in entries] == [
        ("Nothing", 0),
        ("Not", 2),
        ("Train:", 1),
        ("Nothing", 0),
    ]
    assert in_words(entries[1]) == (
        "2013-01-31 20:03  Not now (cooldown: 1 d), although: drift: far (the one before: 3 times)"
    )


def test_other_numbers_are_no_other_state_and_each_hour_is_written_down(tmp_path: Path) -> None:
    diary, last = Diary(tmp_path), Last()
    for minute in range(0, 180, 5):
        said = Decision(False, (), (), (), (f"drift: at {minute}% of its limit",))
        last = diary.note(said, minutes(minute), last)
    assert [entry["at"] for entry in diary.entries(10)] == [minutes(n).isoformat() for n in (0, 60, 120)]
    assert [entry["repeated"] for entry in diary.entries(10)] == [0, 11, 11]


def test_each_month_has_a_log_of_its_own_and_the_last_ones_are_found_across_them(tmp_path: Path) -> None:
    diary, last = Diary(tmp_path), Last()
    for hour in range(10):
        last = diary.note(QUIET, NOW + timedelta(hours=hour), last)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decisions-2013-01", "decisions-2013-02"]
    assert [entry["at"][:13] for entry in diary.entries(7)] == [
        f"{NOW + timedelta(hours=hour):%Y-%m-%dT%H}" for hour in range(3, 10)
    ]


def test_a_process_that_died_before_it_remembered_writes_nothing_twice(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    before = diary.note(QUIET, NOW, Last())
    diary.note(HELD, minutes(1), before)
    again = diary.note(HELD, minutes(1), before)
    assert [entry["state"] for entry in diary.entries(9)] == [QUIET.state, HELD.state]
    assert diary.note(QUIET, minutes(2), again).number == 3


def test_a_look_that_fails_is_told_once_until_it_is_well_again(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    told = [("failing", True), ("failing", False), ("well", True), ("well", False), ("failing", True)]
    for health, is_news in told:
        assert diary.tell("shop__files", health, "disk full", NOW) == is_news  # type: ignore[arg-type]
    assert not diary.tell("shop__retrain", "well", "", NOW)
    assert [entry["health"] for entry in diary.troubles(9)] == ["failing", "well", "failing"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([QUIET, HELD, TRAINS]), st.integers(0, 90)), max_size=25))
def test_every_look_is_either_written_down_or_counted(looks: list[tuple[Decision, int]]) -> None:
    with TemporaryDirectory() as folder:
        diary, last, minute = Diary(Path(folder)), Last(), 0
        for decision, passed in looks:
            minute += passed
            last = diary.note(decision, minutes(minute), last)
        entries = diary.entries(1000)
        assert len(entries) + sum(entry["repeated"] for entry in entries) + last.repeated == len(looks)
        assert sum(entry["train"] for entry in entries) == sum(decision.train for decision, _ in looks)
