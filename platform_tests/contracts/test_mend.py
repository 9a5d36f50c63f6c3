"""Rows that were set aside are mended in a CSV and come in exactly once, whatever happens meanwhile."""

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from benchmarks.project import copy_settings
from headrace.cli import main
from headrace.contracts.mend import export_aside, mend_rows, rows_aside
from headrace.core.days import Days
from headrace.core.errors import DataError, Refused
from headrace.definitions import validate_days
from headrace.project import Project
from headrace.sources.ingest import ingest
from headrace.store.digest import rows_digest
from headrace.store.site import Site
from platform_tests.sources.ferries import crossing, csv, land_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DECLARATION = """\
type: headrace.Product
attributes:
  product: ferry
  timezone: America/New_York
  start: 2013-03-01
  end: 2013-04-01
  sources:
    crossings: {files: "landing/crossings/*.csv", sql: seats.sql, time: departs, partition: day}
  contracts:
    crossings:
      columns:
        crossing: {type: string, unique: true}
        departs: {type: timestamp}
        passengers: {type: integer, min: 0}
        seats: {type: integer}
"""
VALIDATED, ASIDE = "ferry/validated/crossings", "ferry/quarantine/crossings"
MARCH = Days(date(2013, 3, 1), date(2013, 3, 31))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project where ten crossings are good, and five are set aside: three with a bad number, one without a day, one torn."""
    folder = tmp_path / "platform" / "products" / "ferry"
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(DECLARATION)
    (folder / "seats.sql").write_text("select *, 500 as seats from landed")
    project = copy_settings(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "")
    rows = [*(crossing(n) for n in range(10)), *(crossing(n, passengers="?") for n in range(10, 13))]
    text = csv([*rows, crossing(13, departs="2013-02-30T12:00:00")]) + "c014,2013-03\n"
    land_file(project.load("ferry")[1], "crossings/a.csv", text)
    validate(project)
    return project


def validate(project: Project) -> None:
    project.instance_home()
    declared, site = project.load("ferry")
    ingest(site, "crossings", declared.sources["crossings"])
    validate_days(declared, site, "crossings", [MARCH])


def site_of(project: Project) -> Site:
    return project.load("ferry")[1]


def exported(project: Project) -> pl.DataFrame:
    declared, site = project.load("ferry")
    return pl.read_csv(export_aside(site, "crossings", declared.sources["crossings"]), infer_schema=False)


def mend(project: Project, passengers: str = "7", file: str = "mended.csv") -> Path:
    """Write a CSV in which all rows that are aside are mended; the one without a day goes to the sixth of March."""
    number = 10 + pl.int_range(pl.len())
    mended = exported(project).with_columns(
        crossing=pl.format("c{}", pl.lit("0") + number.cast(pl.String)),
        departs=pl.when(number == 13).then(pl.lit("2013-03-06T12:00:00")).otherwise(pl.lit("2013-03-05T12:00:00")),
        passengers=pl.lit(passengers),
        ship=pl.lit("Ada"),
    )
    mended.write_csv(project.root / file)
    return project.root / file


def replay(file: Path) -> Result:
    return CliRunner().invoke(main, ["quarantine", "replay", "ferry.crossings", str(file)])


def assert_ledger(site: Site, good: int, aside: int) -> None:
    there = site.tables.read(VALIDATED)["crossing"].to_pylist()
    assert (len(there), len(set(there)), site.tables.read(ASIDE).num_rows) == (good, good, aside)


def test_a_person_sees_what_is_aside(project: Project) -> None:
    listed = CliRunner().invoke(main, ["quarantine", "list", "ferry.crossings", "--most", "2"]).output
    assert "landing/crossings/a.csv:11: passengers: '?' is no integer\n" in listed
    assert "5 rows of ferry.crossings are set aside; 3 of them are not shown." in listed


def test_the_export_holds_reason_file_row_and_what_landed(project: Project) -> None:
    rows = exported(project)
    assert rows.columns == [
        "_reason", "_file", "_digest", "_row", "crossing", "departs", "ship", "passengers", "_malformed",
    ]  # fmt: skip
    assert rows["_row"].to_list() == ["11", "12", "13", "14", "15"]


def test_mended_rows_come_in_once_with_the_columns_that_sql_makes(project: Project) -> None:
    file, site = mend(project), site_of(project)
    first = replay(file)
    assert "5 rows were mended anew; 5 mended rows are in, 0 are still set aside." in first.output
    assert_ledger(site, 15, 0)
    assert site.tables.read(VALIDATED)["seats"].to_pylist() == [500] * 15
    assert site.tables.read(VALIDATED, days=Days(date(2013, 3, 6), date(2013, 3, 6)))["crossing"].to_pylist() == [
        "c013"
    ]
    version = site.tables.version(VALIDATED)
    again = replay(file)
    assert "0 rows were mended anew; 5 mended rows are in, 0 are still set aside." in again.output
    assert site.tables.version(VALIDATED) == version


def test_mended_rows_stay_when_their_days_are_validated_again(project: Project) -> None:
    replay(mend(project))
    before = rows_digest(site_of(project).tables.read(VALIDATED))
    validate(project)
    land_file(site_of(project), "crossings/b.csv", csv([crossing(99)]))
    validate(project)
    assert_ledger(site_of(project), 16, 0)
    rows = site_of(project).tables.read(VALIDATED)
    assert rows_digest(rows.filter(pl.Series(rows["crossing"]).ne("c099").to_arrow())) == before


def test_a_row_that_is_still_bad_stays_aside_with_its_new_reason(project: Project) -> None:
    told = replay(mend(project, passengers="-1")).output
    assert "a.csv:11: passengers: -1 breaks min 0.0" in told
    assert "5 rows were mended anew; 0 mended rows are in, 5 are still set aside." in told
    assert_ledger(site_of(project), 10, 5)
    assert "5 mended rows are in" in replay(mend(project)).output
    assert_ledger(site_of(project), 15, 0)


def test_a_row_may_be_mended_twice_and_lies_in_one_day(project: Project) -> None:
    file = mend(project)
    replay(file)
    file.write_text(file.read_text().replace("2013-03-06", "2013-03-09"))
    replay(file)
    assert_ledger(site_of(project), 15, 0)
    assert site_of(project).tables.read(VALIDATED)["_day"].to_pylist().count(date(2013, 3, 9)) == 1


def test_rows_that_nobody_has_mended_stay_as_they_are(project: Project) -> None:
    file = project.root / "same.csv"
    CliRunner().invoke(main, ["quarantine", "export", "ferry.crossings", "-o", str(file)])
    lines = pl.read_csv(file, infer_schema=False)
    lines.filter(pl.col("_row") != "15").write_csv(file)
    assert "0 rows were mended anew" in replay(file).output
    assert_ledger(site_of(project), 10, 5)


def test_when_its_file_lands_anew_a_mended_row_is_forgotten(project: Project) -> None:
    file = mend(project)
    replay(file)
    land_file(site_of(project), "crossings/a.csv", csv(crossing(n) for n in range(20, 24)))
    validate(project)
    assert_ledger(site_of(project), 4, 0)


def test_only_rows_that_are_aside_can_be_mended(project: Project) -> None:
    file = mend(project)
    declared, site = project.load("ferry")
    rows = pl.read_csv(file, infer_schema=False)
    for changed, error, words in (
        (rows.with_columns(_row=pl.lit("1")).head(1), Refused, "Row 1 of landing/crossings/a.csv is not set aside"),
        (rows.with_columns(_row=pl.lit("11")), DataError, "names row 11 of landing/crossings/a.csv twice"),
        (rows.with_columns(_row=pl.lit("x")), DataError, "names no row"),
        (
            rows.rename({"passengers": "pasengers"}),
            DataError,
            "lacks the column 'passengers'.*Did you mean 'pasengers'",
        ),
    ):
        changed.write_csv(file)
        with pytest.raises(error, match=words):
            mend_rows(site, "crossings", declared.sources["crossings"], file)
    assert not site.tables.exists("ferry/mended/crossings")
    assert rows_aside(site, "crossings").num_rows == 5


@pytest.mark.slow
@pytest.mark.parametrize("point", [f"{name}:{n}" for name in ("before_staging", "committed") for n in (1, 2, 3)])
def test_a_kill_at_any_named_place_loses_and_doubles_nothing(project: Project, point: str) -> None:
    file = mend(project)
    path = os.pathsep.join([str(ROOT / "platform"), str(ROOT)])
    command = [sys.executable, "-m", "headrace.cli", "quarantine", "replay", "ferry.crossings", str(file)]
    killed = subprocess.run(
        command, cwd=project.root, env={**os.environ, "PYTHONPATH": path, "FAILPOINT": point}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert "5 mended rows are in, 0 are still set aside." in replay(file).output
    assert_ledger(site_of(project), 15, 0)
