"""Each file goes into the raw table exactly once, each row into the day it happened."""

import random
from datetime import date
from pathlib import Path

import pytest

from headrace.core.errors import DataError, SqlError
from headrace.sources.ingest import ingest
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from platform_tests.sources.ferries import (
    COLUMNS,
    CROSSINGS,
    RAW,
    SHIP_TABLE,
    SHIPS,
    crossing,
    csv,
    ferry_line,
    land_file,
    raw_rows,
    take,
)

MADE = CROSSINGS.model_copy(update={"sql": "crossings.sql", "time": "left_at"})
SQL = "select *, try_cast(departs as timestamptz) as left_at from landed"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return ferry_line(tmp_path)


def test_rows_keep_the_place_that_they_came_from(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2)]))
    found = take(site)
    assert (found.files, found.rows, found.days) == (["landing/crossings/a.csv"], 2, (date(2013, 3, 5),))
    assert raw_rows(site, "crossing", "_file", "_row") == [
        ("c001", "landing/crossings/a.csv", 1),
        ("c002", "landing/crossings/a.csv", 2),
    ]


def test_a_second_look_at_the_same_files_commits_nothing(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    before = site.tables.version(RAW)
    again = take(site)
    assert (again.files, again.rows, again.days, site.tables.version(RAW)) == ([], 0, (), before)


def test_the_same_content_under_another_name_is_a_duplicate(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    land_file(site, "crossings/b.csv", csv([crossing(1)]))
    assert take(site).duplicates == {"landing/crossings/b.csv": "landing/crossings/a.csv"}
    assert take(site).duplicates == {"landing/crossings/b.csv": "landing/crossings/a.csv"}
    assert site.tables.read(RAW).num_rows == 1


def test_changed_content_takes_the_place_of_the_old_and_the_old_stays_readable(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, ship="Ada"), crossing(2, day="2013-03-06")]))
    take(site)
    old = site.tables.version(RAW)
    land_file(site, "crossings/a.csv", csv([crossing(1, ship="Bea")]))
    found = take(site)
    assert found.replaced == found.files == ["landing/crossings/a.csv"]
    assert found.days == (date(2013, 3, 5), date(2013, 3, 6))
    assert raw_rows(site, "crossing", "ship") == [("c001", "Bea")]
    assert site.tables.read(RAW, version=old).num_rows == 2


def test_content_that_moves_between_names_is_neither_lost_nor_doubled(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    land_file(site, "crossings/a.csv", csv([crossing(2)]))
    land_file(site, "crossings/b.csv", csv([crossing(1)]))
    take(site)
    assert raw_rows(site, "crossing") == [("c001",), ("c002",)]
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    found = take(site)
    assert found.duplicates == {"landing/crossings/a.csv": "landing/crossings/b.csv"}
    assert raw_rows(site, "crossing") == [("c001",)]


def test_a_new_version_that_is_refused_takes_nothing_away(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    land_file(site, "crossings/a.csv", b"")
    land_file(site, "crossings/b.csv", csv([crossing(2)]))
    found = take(site)
    assert list(found.refused) == ["landing/crossings/a.csv"]
    assert raw_rows(site, "crossing") == [("c001",), ("c002",)]


def test_a_missing_column_is_refused_with_the_nearest_name_and_the_good_files_go_in(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    land_file(site, "crossings/b.csv", csv([crossing(2)]))
    renamed = csv([crossing(3)]).replace("passengers", "pasengers")
    land_file(site, "crossings/0-first.csv", renamed)
    found = take(site)
    assert found.refused == {
        "landing/crossings/0-first.csv": "landing/crossings/0-first.csv lacks column 'passengers'; it has crossing, departs, "
        "ship, pasengers. Did you mean 'pasengers'? passengers: was string, is missing (nearest: pasengers). "
        "Send it with the columns that the source has had so far."
    }
    assert raw_rows(site, "crossing") == [("c001",), ("c002",)]


def test_columns_in_another_order_are_matched_by_name(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    land_file(site, "crossings/b.csv", csv([crossing(2)], columns=reversed(COLUMNS)))
    take(site)
    assert raw_rows(site, "crossing", "ship") == [("c001", "Ada"), ("c002", "Ada")]


def test_an_added_column_is_noted_and_left_out(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site)
    land_file(site, "crossings/b.csv", csv([crossing(2, weather="fog")], columns=[*COLUMNS, "weather"]))
    found = take(site)
    assert found.notes == ["landing/crossings/b.csv has columns that nobody knows: weather; they are left out"]
    assert "weather" not in site.tables.schema(RAW).names
    assert site.tables.read(RAW).num_rows == 2


def test_empty_and_header_only_are_two_outcomes(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    land_file(site, "crossings/empty.csv", b"")
    land_file(site, "crossings/header.csv", csv([]))
    found = take(site)
    assert list(found.refused) == ["landing/crossings/empty.csv"]
    assert found.notes == ["landing/crossings/header.csv has a header and no rows"]


def test_a_file_without_rows_is_known_and_takes_the_rows_out_that_it_had(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    land_file(site, "crossings/b.csv", csv([crossing(2, "2013-03-06")]))
    take(site)
    land_file(site, "crossings/b.csv", csv([]))
    found = take(site)
    assert (found.replaced, found.days) == (["landing/crossings/b.csv"], (date(2013, 3, 6),))
    assert raw_rows(site, "crossing") == [("c001",)]
    version = site.tables.version(RAW)
    assert take(site).files == []
    assert site.tables.version(RAW) == version
    land_file(site, "crossings/b.csv", csv([crossing(3, "2013-03-06")]))
    assert take(site).files == ["landing/crossings/b.csv"]
    assert raw_rows(site, "crossing") == [("c001",), ("c003",)]


def test_a_late_row_lands_in_the_day_it_happened(site: Site) -> None:
    land_file(site, "crossings/2013-03-06.csv", csv([crossing(2, "2013-03-06"), crossing(1, "2013-03-05")]))
    assert take(site).days == (date(2013, 3, 5), date(2013, 3, 6))
    assert raw_rows(site, "crossing", "_day") == [("c001", date(2013, 3, 5)), ("c002", date(2013, 3, 6))]


@pytest.mark.parametrize(
    "unreadable", ["2013-02-30T12:00:00", "soon", "infinity", "", "1913-03-05T12:00:00", "2913-01-01"]
)
def test_a_row_without_a_day_of_its_own_goes_with_its_file(site: Site, unreadable: str) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2), crossing(3, departs=unreadable)]))
    take(site)
    assert {day for (day,) in raw_rows(site, "_day")} == {date(2013, 3, 5)}


@pytest.mark.parametrize(
    ("departs", "day"),
    [
        ("2013-03-10T00:30:00", date(2013, 3, 10)),  # naive: the product's own zone
        ("2013-03-10T23:30:00", date(2013, 3, 10)),  # the day of 23 hours ends an hour earlier in UTC
        ("2013-03-11T03:59:00Z", date(2013, 3, 10)),
        ("2013-03-11T04:00:00+00:00", date(2013, 3, 11)),
        ("2013-11-04T04:59:00+00", date(2013, 11, 3)),
        ("2013-11-04T05:00:00Z", date(2013, 11, 4)),
    ],
)
def test_days_are_local_days_through_both_changes_of_the_clock(site: Site, departs: str, day: date) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1, departs=departs)]))
    take(site)
    assert raw_rows(site, "_day") == [(day,)]


def test_a_leap_day_is_a_day(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, start=date(2016, 1, 1), end=date(2017, 1, 1))
    land_file(site, "crossings/a.csv", csv([crossing(1, "2016-02-29"), crossing(2, "2016-03-01")]))
    take(site)
    assert raw_rows(site, "_day") == [(date(2016, 2, 29),), (date(2016, 3, 1),)]


def test_names_that_look_like_sql_are_names(site: Site) -> None:
    odd = 'x"; drop table t; --'
    header = csv([crossing(1)]).replace("ship", '"' + odd.replace('"', '""') + '"', 1)
    land_file(site, "crossings/o'brien.csv", header)
    take(site)
    land_file(site, "crossings/o'brien.csv", header.replace("Ada", "Bea"))
    assert take(site).replaced == ["landing/crossings/o'brien.csv"]
    assert raw_rows(site, odd, "_file") == [("Bea", "landing/crossings/o'brien.csv")]


@pytest.mark.parametrize(
    "reads", ["(select content from read_text('/etc/hostname'))", "(select a from '/etc/passwd')", "getenv('HOME')"]
)
def test_the_sql_of_a_source_reads_what_landed_and_nothing_else(tmp_path: Path, reads: str) -> None:
    site = ferry_line(tmp_path, f"select *, {reads} as stolen from landed")
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    with pytest.raises(SqlError):
        take(site, CROSSINGS.model_copy(update={"sql": "crossings.sql"}))


@pytest.mark.slow
def test_twenty_orders_of_arrival_give_the_same_table(tmp_path: Path) -> None:
    files = {f"crossings/{n}.csv": csv([crossing(n), crossing(n + 50, "2013-03-07")]) for n in range(6)}
    digests = set()
    for order in range(20):
        site = ferry_line(tmp_path / str(order))
        for name in random.Random(order).sample(sorted(files), len(files)):
            land_file(site, name, files[name])
            if order % 2:
                take(site)
        take(site)
        digests.add(rows_digest(site.tables.read(RAW)))
    assert len(digests) == 1


def test_the_newest_file_is_the_whole_table_of_an_unpartitioned_source(site: Site) -> None:
    land_file(site, "ships-2012.csv", "ship,seats\nAda,90\nBea,80\n", mtime=1000)
    ingest(site, "ships", SHIPS)
    land_file(site, "ships-2013.csv", "ship,seats\nAda,100\n", mtime=2000)
    assert ingest(site, "ships", SHIPS).files == ["landing/ships-2013.csv"]
    assert site.tables.read(SHIP_TABLE).select(["ship", "seats"]).to_pylist() == [{"ship": "Ada", "seats": "100"}]
    assert ingest(site, "ships", SHIPS).files == []


def test_sql_adds_typed_columns_and_keeps_every_row(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, SQL)
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2, departs="?")]))
    take(site, MADE)
    assert str(site.tables.schema(RAW).field("left_at").type) == "timestamp[us, tz=UTC]"
    assert raw_rows(site, "crossing", "departs") == [("c001", "2013-03-05T12:00:00"), ("c002", "?")]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from landed limit 1",
        "select l.* from landed l, landed m",
        "select crossing from landed",
        "select * exclude (ship) from landed",
        "select * replace (upper(ship) as ship) from landed",
        "select * replace (crossing as departs) from landed order by crossing desc",
    ],
)
def test_sql_that_loses_or_makes_rows_is_refused(tmp_path: Path, sql: str) -> None:
    site = ferry_line(tmp_path, sql)
    land_file(site, "crossings/a.csv", csv([crossing(1), crossing(2)]))
    with pytest.raises(DataError, match="one row out for each row in"):
        take(site, MADE)
    assert not site.tables.exists(RAW)


def test_sql_that_names_an_unknown_column_says_where(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, "select *, depart as left_at from landed")
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    with pytest.raises(SqlError, match=r"crossings.sql: .*depart"):
        take(site, MADE)


def test_changed_sql_converts_again_what_landed_earlier_even_if_the_files_are_gone(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, SQL)
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    take(site, MADE)
    (site.place.landing / "crossings/a.csv").unlink()
    (site.folder / "crossings.sql").write_text(SQL.replace(" from", ", ship || '!' as loud from"))
    land_file(site, "crossings/b.csv", csv([crossing(2, ship="Bea")]))
    take(site, MADE)
    assert raw_rows(site, "crossing", "loud") == [("c001", "Ada!"), ("c002", "Bea!")]
    version = site.tables.version(RAW)
    take(site, MADE)
    assert site.tables.version(RAW) == version


def test_a_source_without_its_time_column_is_refused_with_the_nearest_name(site: Site) -> None:
    land_file(site, "crossings/a.csv", csv([crossing(1)]))
    with pytest.raises(DataError, match=r"no column 'departed'.*Did you mean 'departs'"):
        take(site, CROSSINGS.model_copy(update={"time": "departed"}))
