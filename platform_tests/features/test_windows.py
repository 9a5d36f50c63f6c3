"""Windows against a brute-force oracle, on histories that nobody would think of."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.core.days import Days
from headrace.features.compute import feature_rows
from headrace.features.join import FeatureTable, join_features
from headrace.features.windows import window_columns, zero_columns
from headrace.sources.declaration import Source
from platform_tests.features.airline import NOON, SOURCES, airline, flight, windows

MINUTES = st.integers(-300, 300)
FLIGHT = st.fixed_dictionaries(
    {
        "sched_dep": MINUTES.map(lambda m: NOON + timedelta(minutes=m)),
        "dep_delay": st.none() | st.integers(-40, 200).map(float),
        "origin": st.sampled_from(["EWR", "JFK", None]),
    }
)


def oracle(flights: list[dict[str, Any]], origin: str | None, at: Any, over: timedelta) -> tuple[int, float | None]:
    inside = [
        f["dep_delay"]
        for f in flights
        if f["origin"] == origin is not None and f["dep_at"] and at - over < f["dep_at"] <= at
    ]
    return len(inside), sum(inside) / len(inside) if inside else None


def as_of(site: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    feature = windows()
    assert feature.windows
    table = FeatureTable(
        "now", feature_rows(site, "now", feature, SOURCES, None), ["origin"], zeros=zero_columns("now", feature.windows)
    )
    requests = pa.Table.from_pylist(
        rows, schema=pa.schema([("origin", pa.string()), ("at", pa.timestamp("us", "UTC"))])
    )
    return join_features(requests, "at", [table]).to_pylist()


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FLIGHT, max_size=12), st.lists(MINUTES, min_size=1, max_size=6))
def test_windows_are_what_brute_force_says(tmp_path: Path, changes: list[dict[str, Any]], moments: list[int]) -> None:
    flights = [flight(i, **change) for i, change in enumerate(changes)]
    site = airline(tmp_path, flights)
    asked = [{"origin": o, "at": NOON + timedelta(minutes=m)} for m in moments for o in ("EWR", "JFK", None)]
    for row in as_of(site, asked):
        count, mean = oracle(flights, row["origin"], row["at"], timedelta(hours=2))
        assert row["now_count_2h"] == count
        assert row["now_delay_mean_2h"] == (mean if mean is None else pytest.approx(mean, abs=1e-9))


def test_a_departure_counts_from_the_minute_it_leaves_until_two_hours_later(tmp_path: Path) -> None:
    site = airline(tmp_path, [flight(0, dep_delay=30.0)])
    left = NOON + timedelta(minutes=30)
    before, at, last, after = (
        as_of(site, [{"origin": "EWR", "at": moment}])[0]["now_count_2h"]
        for moment in (
            left - timedelta(seconds=1),
            left,
            left + timedelta(minutes=119, seconds=59),
            left + timedelta(hours=2),
        )
    )
    assert (before, at, last, after) == (0, 1, 1, 0)


def test_a_value_that_is_known_later_than_it_happens_counts_from_then_on(tmp_path: Path) -> None:
    site = airline(tmp_path, [flight(0, arr_delay=50.0)])
    feature = windows(time="sched_dep", of={"late": "arr_delay > 15"}, over=["6h"])
    rows = feature_rows(site, "now", feature, SOURCES, None).to_pylist()
    assert [row["time"] for row in rows] == [NOON + timedelta(minutes=90), NOON + timedelta(hours=6)]


def test_an_event_whose_whole_row_is_known_later_counts_from_then_on(tmp_path: Path) -> None:
    site = airline(tmp_path, [flight(0, arr_delay=50.0), flight(1, arr_at=None)])
    whole_rows = {"flights": Source(files="flights/*.csv", time="sched_dep", known_at="arr_at")}
    rows = feature_rows(site, "now", windows(over=["6h"]), whole_rows, None).to_pylist()
    assert [row["time"] for row in rows] == [NOON + timedelta(minutes=90), NOON + timedelta(hours=6)]


def test_days_made_one_by_one_are_the_days_made_at_once(tmp_path: Path) -> None:
    flights = [flight(i, sched_dep=NOON + timedelta(hours=5 * i), dep_delay=0.1 * i) for i in range(20)]
    site = airline(tmp_path, flights)
    feature = windows(over=["2h", "30h"])
    days = Days(NOON.date(), NOON.date() + timedelta(days=5))
    whole = feature_rows(site, "now", feature, SOURCES, days).to_pylist()
    parts = [row for day in days for row in feature_rows(site, "now", feature, SOURCES, Days(day, day)).to_pylist()]
    assert parts == whole


def test_columns_are_named_by_table_value_aggregation_and_window() -> None:
    feature = windows(agg=["count", "sum", "mean"], over=["24h", "14d"])
    assert feature.windows
    assert window_columns("now", feature.windows) == [
        f"now_{name}_{over}" for over in ("24h", "14d") for name in ("count", "delay_sum", "delay_mean")
    ]
