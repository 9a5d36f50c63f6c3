"""What the sensor asks: which whole files are new, and which days do their rows touch."""

import os
import time
from datetime import date
from pathlib import Path

from headrace.core.days import Days
from headrace.sources.pending import SETTLE_S, pending_files
from headrace.store.site import Site
from platform_tests.sources.ferries import CROSSINGS, SHIPS, crossing, csv, ferry_line, land_file, take

SOURCES = {"crossings": CROSSINGS, "ships": SHIPS}
NOW = 1_000_000.0


def land_settled(site: Site, name: str, text: str) -> None:
    land_file(site, name, text, mtime=NOW - SETTLE_S)


def days(first: str, last: str) -> Days:
    return Days(date.fromisoformat(first), date.fromisoformat(last))


def test_new_files_are_named_with_the_days_of_their_rows(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_settled(site, "crossings/a.csv", csv([crossing(1, "2013-03-05"), crossing(2, "2013-03-08")]))
    found = pending_files(site, SOURCES, {}, NOW)
    assert found.files == {"crossings": ["landing/crossings/a.csv"]}
    assert found.days == days("2013-03-05", "2013-03-08")
    assert pending_files(site, SOURCES, found.seen, NOW).files == {}


def test_a_file_that_is_still_being_written_waits(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "crossings/a.csv", csv([crossing(1)]), mtime=NOW - SETTLE_S + 0.5)
    assert pending_files(site, SOURCES, {}, NOW).files == {}
    assert pending_files(site, SOURCES, {}, NOW + 1).files != {}


def test_without_a_moment_it_is_now(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_file(site, "ships.csv", "ship\nAda\n")
    assert pending_files(site, SOURCES, {}).files == {}
    past = time.time() - 60
    os.utime(site.place.landing / "ships.csv", (past, past))
    found = pending_files(site, SOURCES, {})
    assert (found.files, found.days) == ({"ships": ["landing/ships.csv"]}, None)


def test_a_changed_file_touches_the_days_that_its_rows_leave(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_settled(site, "crossings/a.csv", csv([crossing(1, "2013-03-05")]))
    seen = pending_files(site, SOURCES, {}, NOW).seen
    take(site)
    land_file(site, "crossings/a.csv", csv([crossing(1, "2013-03-09")]), mtime=NOW - 100)
    assert pending_files(site, SOURCES, seen, NOW).days == days("2013-03-05", "2013-03-09")


def test_a_file_that_cannot_be_read_is_new_but_touches_no_day(tmp_path: Path) -> None:
    site = ferry_line(tmp_path, "select *, nonsense as left_at from landed")
    land_settled(site, "crossings/a.csv", csv([crossing(1)]))
    wrong = CROSSINGS.model_copy(update={"sql": "crossings.sql"})
    found = pending_files(site, {"crossings": wrong}, {}, NOW)
    assert (list(found.files), found.days) == (["crossings"], None)


def test_a_time_far_outside_the_product_touches_no_far_day(tmp_path: Path) -> None:
    site = ferry_line(tmp_path)
    land_settled(site, "crossings/a.csv", csv([crossing(1), crossing(2, "2999-01-01"), crossing(3, "1900-01-01")]))
    assert pending_files(site, SOURCES, {}, NOW).days == days("2013-03-05", "2013-03-05")
