"""Planted leaks are found and named; an honest product raises no alarm."""

from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from headrace.core.errors import LeakFound
from headrace.features.compute import feature_rows
from headrace.features.declaration import Aggregation, Feature
from headrace.features.leakage import find_leaks, refuse_leaks, summarize
from headrace.features.look import Declared
from headrace.features.training import request_rows
from headrace.sources.declaration import Source
from headrace.store.site import Site
from platform_tests.features.airline import LABEL, NOON, SOURCES, airline, declared, flight, windows

LAST_LEG = "select tailnum, {time} as known_at, arr_delay from flights where arr_delay is not null"
GLOBAL_MEAN = "select origin, min(sched_dep) as known_at, avg(arr_delay) as mean_delay from flights group by origin"


def history() -> list[dict[str, object]]:
    return [
        flight(
            i,
            sched_dep=NOON + timedelta(minutes=37 * i),
            dep_delay=float(i % 7 * 13 - 10),
            origin=["EWR", "JFK"][i % 2],
        )
        for i in range(60)
    ]


def leaks_of(site: Site, features: dict[str, Feature]) -> list[str]:
    for name, feature in features.items():
        site.tables.replace(f"air/features/{name}", feature_rows(site, name, feature, SOURCES, None))
    rows = request_rows(site, features, LABEL)
    return [row["feature"] for row in summarize(find_leaks(site, declared(features), rows, sample=40))]


def last_leg(time: str) -> Feature:
    return Feature(sql=f"last_leg_{time}.sql", entity="tailnum", time="known_at", ttl=timedelta(days=3), age=True)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    files = {f"last_leg_{time}.sql": LAST_LEG.format(time=time) for time in ("arr_at", "dep_at", "sched_dep")}
    return airline(tmp_path, history(), files | {"global_mean.sql": GLOBAL_MEAN})


def test_an_honest_product_raises_no_alarm(site: Site) -> None:
    assert leaks_of(site, {"now": windows(over=["2h", "6h"]), "leg": last_leg("arr_at")}) == []


def test_windows_over_rows_that_are_known_as_a_whole_later_raise_no_alarm(site: Site) -> None:
    sources = {"flights": Source(files="flights/*.csv", time="sched_dep", known_at="arr_at")}
    features = {"now": windows(over=["2h", "6h"])}
    site.tables.replace("air/features/now", feature_rows(site, "now", features["now"], sources, None))
    rows = request_rows(site, features, LABEL)
    assert any(rows["now_count_6h"].to_pylist())
    assert find_leaks(site, Declared(sources, features, LABEL), rows, sample=40) == []


def test_a_column_that_begins_like_a_table_is_not_taken_for_one_of_its_columns(site: Site) -> None:
    assert leaks_of(site, {"sched": last_leg("arr_at")}) == []


@pytest.mark.parametrize("agg", ["sum", "mean"])
def test_sums_and_means_of_fractions_raise_no_alarm(site: Site, agg: str) -> None:
    assert leaks_of(site, {"now": windows(of={"share": "dep_delay / 30000"}, agg=[agg], over=["24h"])}) == []


def windows_over_arrivals(agg: list[str]) -> dict[str, Feature]:
    values = {"late": "arr_delay > 15"} if "share" in agg else {"late": "arr_delay", "far": "arr_delay + 1e9"}
    return {"now": windows(time="sched_dep", of=values, agg=agg, over=["3h", "26h"])}


def test_no_aggregation_of_windows_raises_a_false_alarm(site: Site) -> None:
    of_numbers = [agg for agg in get_args(Aggregation) if agg != "share"]
    for aggregations in (of_numbers, list(get_args(Aggregation))):
        assert leaks_of(site, windows_over_arrivals(aggregations)) == []
    texts = windows(of={"plane": "tailnum"}, agg=["last", "first", "distinct"], over=["6h"])
    assert leaks_of(site, {"now": texts}) == []


@pytest.mark.parametrize("agg", get_args(Aggregation))
def test_an_aggregation_of_values_that_were_not_known_yet_is_found(site: Site, agg: str) -> None:
    features = windows_over_arrivals([agg])
    at_once = {"flights": Source(files="flights/*.csv", time="sched_dep")}
    site.tables.replace("air/features/now", feature_rows(site, "now", features["now"], at_once, None))
    rows = request_rows(site, features, LABEL)
    found = {row["feature"] for row in summarize(find_leaks(site, declared(features), rows, sample=40))}
    assert f"now_{agg}_3h" in found if agg in ("count", "since") else f"now_late_{agg}_3h" in found


def test_a_value_used_before_it_was_known_is_found(site: Site) -> None:
    assert leaks_of(site, {"leg": last_leg("dep_at")}) == ["leg_age_minutes", "leg_arr_delay"]


def test_a_mean_over_all_time_is_found(site: Site) -> None:
    feature = Feature(sql="global_mean.sql", entity="origin", time="known_at")
    assert leaks_of(site, {"mean": feature}) == ["mean_mean_delay"]


def test_a_value_that_was_changed_behind_the_platforms_back_is_found(site: Site) -> None:
    features = {"now": windows()}
    assert leaks_of(site, features) == []
    rows = request_rows(site, features, LABEL)
    column = rows.column_names.index("now_count_2h")
    tampered = rows.set_column(column, "now_count_2h", [[value + 1 for value in rows["now_count_2h"].to_pylist()]])
    assert [row["feature"] for row in summarize(find_leaks(site, declared(features), tampered))] == ["now_count_2h"]


def test_a_leak_is_refused_with_feature_row_and_values(site: Site) -> None:
    features = {"leg": last_leg("sched_dep")}
    leaks_of(site, features)
    with pytest.raises(LeakFound, match=r"leg_arr_delay of f\d+ at 2013-01-0\d .* was known then"):
        refuse_leaks(find_leaks(site, declared(features), request_rows(site, features, LABEL)))
