"""How many rows a day has: calm on a year of real flights but for its feasts, loud where half a file is missing."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.demo.land import LAST, land
from headrace.sources.assets import VOLUME, source_assets
from headrace.sources.declaration import Source
from headrace.sources.volume import of_day, rows_by_day, volume
from headrace.store.site import Site

DAY = timedelta(days=1)
MONDAY = date(2024, 1, 1)


def source(**changes: Any) -> Source:
    return Source.model_validate({"files": "landing/*.csv", "time": "at", "partition": "day"} | changes)


def weeks(count: int = 9, **changes: int) -> dict[date, int]:
    """Return 1,000 rows a day, 200 on Sundays, and other numbers on some days (`day_62=10`)."""
    days = {MONDAY + DAY * n: 200 if n % 7 == 6 else 1000 for n in range(7 * count)}
    return days | {MONDAY + DAY * int(name.removeprefix("day_")): rows for name, rows in changes.items()}


def usual(days: dict[date, int], day: date, **declared: Any) -> bool:
    return of_day("orders", days, day, source(**declared)).is_usual


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> dict[date, int]:
    """Return the flights of each day of 2013, from the files of the demo."""
    folder = tmp_path_factory.mktemp("landing")
    land(folder, LAST)
    counted: dict[date, int] = {}
    for path in (folder / "flights").glob("*.csv"):
        lines = path.read_bytes().splitlines()[1:]
        year, month, day = map(int, lines[0].split(b",")[:3])
        counted[date(year, month, day)] = len(lines)
    return counted


def test_a_year_of_flights_alarms_on_its_feasts_alone(flights: dict[date, int]) -> None:
    alarms = [day for day in sorted(flights) if not usual(flights, day)]
    assert alarms == [date(2013, 7, 4), date(2013, 11, 28), date(2013, 11, 29), date(2013, 12, 25)]


def test_half_a_day_of_flights_alarms_on_every_day_that_has_a_history(flights: dict[date, int]) -> None:
    known = [day for day in sorted(flights) if day >= date(2013, 1, 29)]
    missed = [day for day in known if usual(flights | {day: flights[day] // 2}, day)]
    assert len(known) == 337
    assert missed == []


def test_a_weekday_is_held_against_its_own_kind() -> None:
    assert usual(weeks(), MONDAY + DAY * 62)
    assert not usual(weeks(day_62=1000), MONDAY + DAY * 62)
    assert not usual(weeks(day_61=200), MONDAY + DAY * 61)


def test_before_four_weeks_have_come_nothing_is_called_unusual() -> None:
    found = of_day("orders", weeks(4, day_27=5000), MONDAY + DAY * 27, source())
    assert found.is_usual
    assert "3 such weekdays before it are too few" in found.what


@given(st.integers(100, 10_000), st.integers(2, 100))
def test_a_source_that_grows_by_a_factor_has_the_same_verdicts(rows: int, factor: int) -> None:
    small = {MONDAY + DAY * 7 * n: 10_000 for n in range(8)} | {MONDAY + DAY * 56: rows * 4}
    large = {day: count * factor for day, count in small.items()}
    assert usual(small, MONDAY + DAY * 56) == usual(large, MONDAY + DAY * 56)


@pytest.mark.parametrize(
    ("limits", "is_usual"), [({"min": 900}, True), ({"min": 1001}, False), ({"max": 999}, False), ({"max": 1000}, True)]
)
def test_declared_limits_count_in_place_of_the_history(limits: dict[str, int], is_usual: bool) -> None:
    assert usual(weeks(), MONDAY + DAY * 61, volume=limits) == is_usual


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"volume": {}}, "needs a `min`, a `max` or both"),
        ({"volume": {"min": 5, "max": 4}}, "no day can have as many rows"),
        ({"volume": {"min": 5}, "partition": None}, "needs `partition: day`"),
    ],
)
def test_limits_that_mean_nothing_are_refused(declared: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        source(**declared)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def site_with(folder: Path, days: dict[date, int]) -> Site:
    """Return a shop whose raw orders are so many a day, at noon after the last of them."""
    site = Site(Identity(product="shop", start=MONDAY, clock="replay"), folder, Place.at(folder))
    site.tables.replace("shop/raw/orders", pa.table({"_day": pa.array([d for d, n in days.items() for _ in range(n)])}))
    site.place.replay_clock.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.combine(max(days), datetime.min.time(), UTC) + DAY * 1.5
    site.place.replay_clock.write_text(now.isoformat())
    return site


def checked(site: Site, instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    """Return what the check says, run alone."""
    checks = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(["shop", "raw", "orders"]), VOLUME))
    defs = dg.Definitions(source_assets(site, {"orders": source()}), jobs=[dg.define_asset_job("look", checks)])
    [said] = defs.resolve_job_def("look").execute_in_process(instance=instance).get_asset_check_evaluations()
    return said


@pytest.mark.parametrize(("rows", "passes"), [(1000, True), (400, False)])
def test_the_check_says_in_words_how_many_rows_came_and_how_many_are_usual(
    tmp_path: Path, instance: dg.DagsterInstance, rows: int, passes: bool
) -> None:
    said = checked(
        site_with(tmp_path, weeks(day_62=rows) | {MONDAY + DAY * 55 - DAY * 7 * n: 1000 for n in range(8)}), instance
    )
    assert (said.passed, said.severity) == (passes, dg.AssetCheckSeverity.WARN)
    assert said.metadata["what"].value == (
        f"'orders' has {rows:,} rows of Sunday 2024-03-03; 8 such weekdays before it had 1,000 in the middle, "
        "usual are 750 to 1,250"
    )


def test_a_day_that_is_not_over_is_not_judged(tmp_path: Path) -> None:
    site = site_with(tmp_path, weeks())
    early = datetime.combine(MONDAY + DAY * 61, datetime.min.time(), UTC) + timedelta(hours=5)
    site.place.replay_clock.write_text(early.isoformat())
    assert "Friday" in volume(site, "orders", source()).what
    assert rows_by_day(site, "shop/raw/orders")[MONDAY] == 1000


def test_where_nothing_has_come_nothing_is_called_unusual(tmp_path: Path) -> None:
    site = Site(Identity(product="shop", start=MONDAY), tmp_path, Place.at(tmp_path))
    assert volume(site, "orders", source()).is_usual
