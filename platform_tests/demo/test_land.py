"""Real flights land as they would have arrived, each day once."""

import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from headrace.core.errors import DataError
from headrace.demo.land import land

ROOT = Path(__file__).parents[2]
FIFTH = date(2013, 1, 5)


def tree(landing: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in landing.rglob("*") if path.is_file())
    return {str(path.relative_to(landing)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_each_day_is_a_file_of_flights_and_one_of_weather_beside_the_aircraft(tmp_path: Path) -> None:
    land(tmp_path, FIFTH)
    days = [f"2013-01-0{n}.csv" for n in range(1, 6)]
    assert sorted(tree(tmp_path)) == sorted(
        [".replay_clock", "planes.csv", *(f"{kind}/{day}" for kind in ("flights", "weather") for day in days)]
    )


def test_rows_are_those_of_the_package_untouched_cancelled_flights_included(tmp_path: Path) -> None:
    land(tmp_path, FIFTH)
    lines = (tmp_path / "flights/2013-01-01.csv").read_text().splitlines()
    assert lines[0].startswith("year,month,day,dep_time,sched_dep_time,dep_delay,arr_time")
    assert len(lines) == 843
    assert sum(line.split(",")[3] in ("", "NA") for line in lines[1:]) == 4


def test_landing_again_lands_nothing(tmp_path: Path) -> None:
    land(tmp_path, FIFTH)
    before = tree(tmp_path)
    again = land(tmp_path, FIFTH)
    assert (again.written, again.there) == (0, 11)
    assert tree(tmp_path) == before


def test_landing_further_adds_only_the_new_days_and_moves_the_clock(tmp_path: Path) -> None:
    land(tmp_path, date(2013, 1, 4))
    assert land(tmp_path, FIFTH).written == 2
    assert datetime.fromisoformat((tmp_path / ".replay_clock").read_text()) == datetime(2013, 1, 6, 5, tzinfo=UTC)
    land(tmp_path, date(2013, 1, 2))
    assert datetime.fromisoformat((tmp_path / ".replay_clock").read_text()) == datetime(2013, 1, 6, 5, tzinfo=UTC)


def test_the_clock_stands_at_midnight_of_new_york_in_summer_too(tmp_path: Path) -> None:
    land(tmp_path, date(2013, 7, 1))
    assert datetime.fromisoformat((tmp_path / ".replay_clock").read_text()) == datetime(2013, 7, 2, 4, tzinfo=UTC)


def test_a_damaged_landed_file_is_landed_again(tmp_path: Path) -> None:
    land(tmp_path, FIFTH)
    (tmp_path / "planes.csv").write_text("half")
    assert land(tmp_path, FIFTH).written == 1


@pytest.mark.parametrize("through", [date(2012, 12, 31), date(2014, 1, 1)])
def test_another_year_is_refused(tmp_path: Path, through: date) -> None:
    with pytest.raises(DataError, match="The flights are those of 2013"):
        land(tmp_path, through)
    assert tree(tmp_path) == {}


def test_without_the_demo_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = "from datetime import date; from pathlib import Path; from headrace.demo.land import land; land(Path('x'), date(2013, 1, 1))"
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "platform")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DataError: The flights come with the demo extra: pip install 'headrace[demo]'" in run.stderr
