"""The next day's rows: an earlier day moved, column by column, and the file that they land in."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.errors import Refused
from headrace.drills.land import NextDay, bytes_of, land
from headrace.drills.rows import model_day, moved, replaced, shifted, spread_of
from headrace.drills.worse import turned
from headrace.project import Project
from headrace.sources.declaration import Source
from platform_tests.end_to_end.shop import make_project

OF, DAY = date(2024, 1, 25), date(2024, 2, 1)
SOURCE = Source.model_validate({"files": "landing/orders/*.csv", "time": "ordered_at", "partition": "day"})


def cell(name: str, value: object, keys: frozenset[str] = frozenset()) -> object:
    return moved(pa.table({name: [value]}), OF, DAY, keys)[name][0].as_py()


def test_a_later_day_is_made_like_the_same_weekday_of_the_newest_week() -> None:
    newest = date(2024, 1, 30)
    assert model_day(newest, date(2024, 1, 31)) == date(2024, 1, 24)
    assert model_day(newest, date(2024, 2, 6)) == newest
    assert model_day(newest, date(2024, 2, 7)) == date(2024, 1, 24)


@pytest.mark.parametrize(
    ("value", "later"),
    [
        ("2024-01-25T08:15:00+00:00", "2024-02-01T08:15:00+00:00"),
        ("2024-01-26", "2024-02-02"),
        (datetime(2024, 1, 25, 8, tzinfo=UTC), datetime(2024, 2, 1, 8, tzinfo=UTC)),
        (date(2024, 1, 25), date(2024, 2, 1)),
        ("a word", "a word"),
        (7, 7),
    ],
)
def test_dates_and_times_are_moved_and_nothing_else(value: object, later: object) -> None:
    assert cell("any", value) == later


def test_columns_that_say_the_day_are_moved_where_they_are_that_days() -> None:
    assert [cell(name, text) for name, text in (("year", "2024"), ("month", "1"), ("day", "25"))] == ["2024", "2", "1"]
    assert cell("Day", 25) == 1
    assert cell("day", "24") == "24"


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("20240125-7", "20240201-7"),
        ("no-2024-01-25/7", "no-2024-02-01/7"),
        ("A7", "A7-20240201"),
        ("17", "24020117"),
        (17, 24020117),
    ],
)
def test_keys_are_such_as_no_row_has_had(key: object, other: object) -> None:
    assert cell("id", key, frozenset({"id"})) == other
    assert cell("id", key) == key


def test_what_is_missing_stays_missing() -> None:
    rows = moved(pa.table({"at": ["2024-01-25", None, ""], "id": ["a", None, "b"]}), OF, DAY, {"id"})
    assert rows["at"].to_pylist() == ["2024-02-01", None, ""]
    assert rows["id"].to_pylist()[1] is None


def test_values_are_shifted_within_bounds_and_whole_numbers_stay_whole() -> None:
    rows = pa.table({"amount": ["1", "2", None, "9"], "price": [1.5, 2.5, None, 9.0]})
    assert shifted(rows, "amount", 2.6, (None, None))["amount"].to_pylist() == ["4", "5", None, "12"]
    assert shifted(rows, "price", 2.5, (0.0, 10.0))["price"].to_pylist() == [4.0, 5.0, None, 10.0]
    assert spread_of(pa.table({"x": ["1", "3", None]}), "x") == pytest.approx(1.0)


def test_the_declared_share_of_rows_is_broken() -> None:
    assert replaced(pa.table({"x": ["1", "2", "3", "4"]}), "x", "broken", 0.5)["x"].to_pylist() == ["broken"] * 2 + [
        "3",
        "4",
    ]


def test_labels_are_turned_whatever_they_are() -> None:
    assert turned(pa.chunked_array([[True, False, None]])).to_pylist() == [False, True, None]
    assert turned(pa.chunked_array([[1.0, 4.0, None]])).to_pylist() == [4.0, 1.0, None]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_rows_are_written_in_the_format_of_the_source(name: str) -> None:
    data = bytes_of(pa.table({"id": ["a"], "amount": ["1"]}), name, SOURCE)
    assert data[:4] == {"a.csv": b"id,a", "a.jsonl": b'{"id', "a.parquet": b"PAR1"}[name]


def test_a_day_lands_beside_the_earlier_one_and_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    site = Project(make_project(tmp_path / "shop")).load("shop")[1]
    (tmp_path / "shop/landing/.replay_clock").parent.mkdir(parents=True)
    (tmp_path / "shop/landing/.replay_clock").write_text("2024-03-01T00:00:00+00:00")
    rows = pa.table({"ordered_at": ["2024-02-01T08:00:00+00:00"]})
    made = NextDay(rows, DAY, OF, "landing/orders/2024-01-25.csv")
    assert [land(site, "orders", SOURCE, made).name for _ in range(2)] == ["2024-02-01.csv", "2024-02-01-drill.csv"]
    packed = land(
        site,
        "orders",
        SOURCE.model_copy(update={"files": "landing/orders/*.csv.gz"}),
        NextDay(rows, DAY, OF, "landing/orders/x.csv.gz"),
    )
    assert gzip.decompress(packed.read_bytes()).startswith(b"ordered_at\n")
    wrong = NextDay(pa.table({"ordered_at": ["2024-01-25"]}), DAY, OF, "landing/orders/2024-01-25.csv")
    with pytest.raises(Refused, match=r"No rows of 2024-02-01 can be made for source 'orders'.*they lie in other days"):
        land(site, "orders", SOURCE, wrong)
    elsewhere = NextDay(rows, DAY, OF, "elsewhere/2024-01-25.csv")
    with pytest.raises(Refused, match="are not found by"):
        land(site, "orders", SOURCE, elsewhere)
    assert not (site.place.root / "elsewhere/2024-02-01.csv").exists()
