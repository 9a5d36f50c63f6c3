"""Windows against a brute-force oracle, on histories that nobody would think of."""

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import dagster as dg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.core.days import Days
from headrace.core.errors import SqlError
from headrace.features.assets import feature_assets
from headrace.features.compute import feature_rows
from headrace.features.declaration import Aggregation
from headrace.features.join import FeatureTable, join_features
from headrace.features.lineage import training_lineage
from headrace.features.verify import Graph
from headrace.features.windows import since_columns, window_columns, zero_columns
from headrace.sources.declaration import Source
from platform_tests.features.airline import CONTRACT, LABEL, NOON, SOURCES, airline, flight, windows

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


@pytest.mark.parametrize("of", [{"delay": "dep_delay"}, {"late": "dep_delay > 1", "early": "dep_delay < 0.5"}])
def test_days_made_one_by_one_are_the_days_made_at_once(tmp_path: Path, of: dict[str, str]) -> None:
    flights = [flight(i, sched_dep=NOON + timedelta(hours=5 * i), dep_delay=0.1 * i) for i in range(20)]
    flights.append(flight(20, sched_dep=NOON + timedelta(hours=10)))
    site = airline(tmp_path, flights)
    agg = [agg for agg in get_args(Aggregation) if agg != "share" or "late" in of]
    feature = windows(over=["2h", "30h"], agg=agg, of=of)
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


def test_a_share_of_a_number_is_refused(tmp_path: Path) -> None:
    site = airline(tmp_path, [flight(0)])
    with pytest.raises(
        SqlError, match="a `share` is of what is true or false, and 'delay' is neither: write a condition"
    ):
        feature_rows(site, "now", windows(agg=["share"]), SOURCES, None)


def test_an_event_that_leaves_its_window_as_a_day_begins_is_gone_on_that_day(tmp_path: Path) -> None:
    site = airline(tmp_path, [flight(0, sched_dep=NOON.replace(hour=22))])
    tomorrow = NOON.date() + timedelta(days=1)
    [row] = feature_rows(site, "now", windows(), SOURCES, Days(tomorrow, tomorrow)).to_pylist()
    assert (row["time"], row["now_count_2h"]) == (NOON + timedelta(hours=12), 0)


def test_since_counts_the_minutes_from_the_newest_event_to_the_prediction(tmp_path: Path) -> None:
    site = airline(tmp_path, [flight(0), flight(1)])
    feature = windows(agg=["since"])
    assert feature.windows
    rows = feature_rows(site, "now", feature, SOURCES, None)
    assert rows["now_newest_2h"].to_pylist() == [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=1), None]
    table = FeatureTable("now", rows, ["origin"], since=since_columns("now", feature.windows))
    moments = [NOON + timedelta(minutes=m) for m in (-1, 0, 59, 90.5, 179, 180)]
    requests = pa.table({"origin": ["EWR"] * 6, "at": pa.array(moments, pa.timestamp("us", "UTC"))})
    joined = join_features(requests, "at", [table])
    assert joined["now_since_2h"].to_pylist() == [None, 0.0, 59.0, 30.5, 119.0, None]


@pytest.mark.slow
def test_every_aggregation_goes_through_the_assets_into_the_training_set(tmp_path: Path) -> None:
    flights = [flight(i, sched_dep=NOON + timedelta(minutes=37 * i), dep_delay=float(i % 5)) for i in range(30)]
    site = airline(tmp_path, flights)
    numbers = windows(agg=[a for a in get_args(Aggregation) if a != "share"], of={"delay": "dep_delay"})
    conditions = windows(agg=["share", "mean"], of={"late": "dep_delay > 2"})
    texts = windows(agg=["last", "first", "distinct"], of={"plane": "tailnum", "landed": "arr_at"})
    graph = Graph(SOURCES, {"flights": CONTRACT}, {"now": numbers, "late": conditions, "texts": texts}, LABEL)
    assert dg.materialize(feature_assets(site, graph)).success
    rows = site.tables.read("air/training/set")
    assert {"now_since_2h", "now_delay_std_2h", "late_late_share_2h", "texts_plane_last_2h"} <= set(rows.column_names)
    assert "now_newest_2h" not in rows.column_names
    lineage = training_lineage(site, graph)
    assert lineage["now_since_2h"] == {("features", "now", "now_newest_2h")}
    assert set(lineage) == set(rows.column_names)
